import { int4, table } from '@millrace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { h2Server, hsqldbServer, type JdbcDatabase } from '../../../../test/jdbc.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { connect } from './connect.ts';
import { jdbc } from './index.ts';

let servers: readonly AsyncDisposable[];
let h2: JdbcDatabase;
let hsqldb: JdbcDatabase;
beforeAll(async () => {
  const [one, other] = await Promise.all([h2Server(), hsqldbServer(['names'])]);
  [h2, hsqldb] = await Promise.all([one.database('names'), other.database('names')]);
  servers = [h2, hsqldb, one, other];
});
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
});
const settings = ({ url, user, password, jar }: JdbcDatabase) => ({ url, user, password, drivers: [jar] });
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
const rows = (name: string) => table(name, { id: int4() });
const read = async (database: JdbcDatabase, name: string) => (await readAll(jdbc(settings(database)).selection(rows(name)))).rows;

describe.each([
  ['H2', () => h2],
  ['HSQLDB', () => hsqldb],
] as const)('%s', (_, at) => {
  test.each(['a"b', 'back\\slash', '100%', 'under_score', 'two\nlines', "quo'te", '🙂 été', 'a.b'])(
    'a table %j is the one of this name',
    async (name) => {
      await at().sql(`CREATE TABLE ${quoted(name)} (id INTEGER NOT NULL)`);
      await at().sql(`INSERT INTO ${quoted(name)} VALUES (1)`);
      expect(await read(at(), quoted(name))).toEqual([{ id: 1 }]);
      await loadRows(jdbc(settings(at())).table(rows(quoted(name)), { mode: 'append' }), {
        id: name,
        step: name,
        key: name,
        splits: [[{ id: 2 }]],
      });
      expect(await read(at(), quoted(name))).toEqual([{ id: 1 }, { id: 2 }]);
    },
  );

  test('a table that only another schema has is not the one that was meant', async () => {
    for (const schema of ['ONE', 'TWO']) {
      await at().sql(`CREATE SCHEMA ${schema}`);
      await at().sql(`CREATE TABLE ${schema}.ELSEWHERE (id INTEGER NOT NULL)`);
    }
    await at().sql('CREATE TABLE ONE.ALONE (id INTEGER NOT NULL)');
    for (const name of ['elsewhere', 'ELSEWHERE', 'alone']) await expect(read(at(), name)).rejects.toMatchObject({ code: 'TABLE_MISSING' });
    expect(await read(at(), 'two.elsewhere')).toEqual([]);
    const target = jdbc(settings(at())).table(table('alone', { id: int4() }), { mode: 'append', schema: 'create' });
    await loadRows(target, { id: 'alone', step: 'alone', key: 'alone', splits: [[{ id: 1 }]] });
    expect(await at().sql('SELECT COUNT(*) FROM ONE.ALONE')).toEqual([['0']]);
  });
});

test('of two schemas on the path neither is taken without a word', async () => {
  const path = { ...settings(h2), url: `${h2.url};SCHEMA_SEARCH_PATH=PUBLIC,ONE,TWO` };
  await expect(readAll(jdbc(path).selection(rows('elsewhere')))).rejects.toMatchObject({
    code: 'TABLE_MISSING',
    message: expect.stringContaining('write which one is meant'),
  });
});

test('a name with its catalog is read from that catalog', async () => {
  const { session } = await connect(settings(h2), testContext());
  await using _ = session;
  expect((await session.table(['names', 'one', 'alone']))?.quoted).toBe('"NAMES"."ONE"."ALONE"');
  expect((await session.table(['one', 'alone']))?.quoted).toBe('"ONE"."ALONE"');
  expect(await session.table(['elsewhere', 'one', 'alone'])).toBeNull();
  expect(await read(h2, 'names.one.alone')).toEqual([]);
});
