import { expect, it, vi } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { connect } from './connect.ts';
import { type Migration, migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { postgresStore } from './postgres-store.ts';

const column: Migration = { name: '9998-more', sql: 'alter table run add column colour text' };
const upheaval: Migration = { name: '9999-future', sql: 'alter table run drop column colour', breaks: true };

it('many processes that come at once make the schema once', async () => {
  await using database = await testDatabase();
  const stores = await Promise.all([1, 2, 3, 4].map(() => postgresStore(database.url)));
  for (const store of stores) expect(await store.list({})).toEqual([]);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

it('an older version starts and works beside what a newer one has added, also where it comes to a half of what it knows', async () => {
  await using database = await testDatabase();
  await using connection = connect(database.url);
  await migrate(connection.db, [...migrations.slice(0, 2), column]);
  await using older = await postgresStore(database.url);
  expect(await older.list({})).toEqual([]);
  const names = (await database.sql('select name from millrace.migration order by name')).map(({ name }) => name);
  expect(names).toEqual([...migrations.map(({ name }) => name), column.name]);
  await migrate(connection.db, [...migrations, column]);
});

it('a database that a newer version has changed in more than additions is refused', async () => {
  await using database = await testDatabase();
  await using connection = connect(database.url);
  await migrate(connection.db, [...migrations, column, upheaval]);
  await expect(postgresStore(database.url)).rejects.toMatchObject({
    code: 'STATE_VERSION',
    message: expect.stringContaining('(9999-future)'),
    facts: { newer: ['9999-future'] },
  });
  await migrate(connection.db, [...migrations, column, upheaval]);
});

it('a database from before migrations said so is brought up to date', async () => {
  await using database = await testDatabase();
  await using connection = connect(database.url);
  await migrate(connection.db);
  await database.sql('alter table millrace.migration drop column breaks');
  await migrate(connection.db);
  await migrate(connection.db, [...migrations, column]);
  expect(await database.sql('select name from millrace.migration where not breaks')).toHaveLength(migrations.length + 1);
});

it('a migration that has to wait for a table keeps nobody from it for long, and is made when it is free', async () => {
  await using database = await testDatabase();
  await using connection = connect(database.url);
  await using working = await postgresStore(database.url);
  await using backup = connect(database.url);
  let upgraded = false;
  let upgrading: Promise<void> | undefined;
  await backup.db.transaction().execute(async (trx) => {
    await trx.selectFrom('run').select('id').execute();
    upgrading = migrate(connection.db, [...migrations, column]).then(() => {
      upgraded = true;
    });
    await vi.waitFor(async () => expect(await waiting(database)).toBe(1), { timeout: 30_000 });
    const asked = performance.now();
    expect(await working.list({})).toEqual([]);
    expect(performance.now() - asked).toBeLessThan(10_000);
    expect(upgraded).toBe(false);
  });
  await upgrading;
  expect(upgraded).toBe(true);
});

it('migrations only add: tables, indexes of them, and columns that older versions need not fill', () => {
  const statements = migrations.flatMap(({ name, sql }) =>
    sql
      .replaceAll(/--.*$/gm, '')
      .split(';')
      .map((statement) => ({ name, statement: statement.trim().replaceAll(/\s+/g, ' ') }))
      .filter(({ statement }) => statement !== ''),
  );
  const made = new Map(
    statements.flatMap(({ name, statement }) => {
      const table = /^create table (\w+) \(/.exec(statement)?.[1];
      return table === undefined ? [] : [[table, name] as const];
    }),
  );
  const more = statements.filter(({ name, statement }) => {
    if (/^create table \w+ \(/.test(statement)) return false;
    const index = /^create (unique )?index \w+ on (\w+) \(/.exec(statement);
    // What must be unique in a table that is there already, an older version may double.
    if (index) return index[1] !== undefined && made.get(index[2] as string) !== name;
    const added = /^alter table \w+ (add column .*)$/.exec(statement)?.[1];
    return !added
      ?.split(/, (?=add column)/)
      .every((one) => /^add column \w+ /.test(one) && (!/not null/.test(one) || / default /.test(one)));
  });
  expect(more).toEqual([]);
});

it('a database that is not there is STATE_UNAVAILABLE, without its password', async () => {
  const failure = postgresStore('postgres://shop:geheim@127.0.0.1:1/shop');
  await expect(failure).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
  await expect(failure).rejects.not.toThrow(/geheim/);
});

async function waiting(database: { sql(text: string): Promise<Record<string, unknown>[]> }): Promise<unknown> {
  const [row] = await database.sql(
    "select count(*)::int as waiting from pg_locks where not granted and relation = 'millrace.run'::regclass",
  );
  return row?.['waiting'];
}
