import { expect, it } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { postgresStore } from './postgres-store.ts';

it('many processes that come at once make the schema once', async () => {
  await using database = await testDatabase();
  const stores = await Promise.all([1, 2, 3, 4].map(() => postgresStore(database.url)));
  for (const store of stores) expect(await store.list({})).toEqual([]);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

it('a database that a newer version has used is refused', async () => {
  await using database = await testDatabase();
  await (await postgresStore(database.url))[Symbol.asyncDispose]();
  await database.sql("insert into millrace.migration (name) values ('9999-future')");
  await expect(postgresStore(database.url)).rejects.toMatchObject({
    code: 'STATE_VERSION',
    message: expect.stringContaining('9999-future'),
  });
});

it('a database that is not there is STATE_UNAVAILABLE, without its password', async () => {
  const failure = postgresStore('postgres://shop:geheim@127.0.0.1:1/shop');
  await expect(failure).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
  await expect(failure).rejects.not.toThrow(/geheim/);
});
