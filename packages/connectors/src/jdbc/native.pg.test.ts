import { int4, secret, table, text } from '@millrace/core';
import { rowSinkConformance, rowSourceConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { testDatabase } from '../../../../test/postgres.ts';
import { testContext } from '../../test/load.ts';
import { readAll, wholeTable } from '../../test/read.ts';
import { jdbc } from './index.ts';

/** As a driver would have it. No driver is named in these tests, so none can be at work. */
function jdbcUrl(postgresUrl: string): string {
  const { username, password, host, pathname } = new URL(postgresUrl);
  return `jdbc:postgresql://${host}${pathname}?user=${username}&password=${password}`;
}

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
const context = (url: string) => testContext(undefined, { secret: async () => jdbcUrl(url) });

describe.each([
  ['a URL that is written down', (url: string) => jdbcUrl(url)],
  ['a URL that is a secret', () => secret('SHOP')],
] as const)('jdbc:postgresql: is taken over by the connector of Postgres: %s', (_name, urlOf) => {
  rowSourceConformance(test, async () => {
    const database = await testDatabase();
    await database.sql(
      "create table noted (id int4 primary key, note text); insert into noted select n, 'note ' || n || repeat('x', 1500) from generate_series(1, 60) n",
    );
    return {
      selection: jdbc({ url: urlOf(database.url) }).selection(noted),
      rows: await database.sql<SinkRow>('select id, note from noted'),
      splitBytes: 16_384,
      context: (options) => ({ ...context(database.url), ...options }),
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    };
  });

  rowSinkConformance(
    test,
    async () => {
      const database = await testDatabase();
      return {
        target: (mode) =>
          jdbc({ url: urlOf(database.url) }).table(sinkTable, { mode: mode === 'history' ? 'append' : mode, schema: 'create' }),
        read: async () => {
          const [there] = await database.sql<{ there: boolean }>("select to_regclass('conformance') is not null as there");
          return there?.there ? database.sql<SinkRow>('select id, note from conformance') : [];
        },
        context: (options) => ({ ...context(database.url), ...options }),
        [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
      };
    },
    { modes: ['append', 'merge'] },
  );
});

test('a plan sees the lanes of Postgres where the URL is written down, and batches where it is a secret', async () => {
  await using database = await testDatabase();
  expect(jdbc({ url: jdbcUrl(database.url) }).selection(noted).offers).toEqual(['pgcopy-binary', 'csv', 'batches']);
  const hidden = jdbc({ url: secret('SHOP') }).selection(noted);
  expect(hidden.offers).toEqual(['batches']);
  await database.sql('create table noted (id int4 primary key, note text)');
  await using source = await hidden.open(context(database.url));
  expect(source.offers(await source.plan(wholeTable))).toEqual(['batches']);
});

test('queries, doctor and introspect go the same way', async () => {
  await using database = await testDatabase();
  await database.sql("create table noted (id int4 primary key, note text); insert into noted values (1, 'a'), (2, null)");
  const connection = jdbc({ url: secret('SHOP') });
  const { rows } = await readAll(connection.query('select id, upper(note) as note from noted;', { as: noted }), {}, context(database.url));
  expect(rows).toEqual([
    { id: 1, note: 'A' },
    { id: 2, note: null },
  ]);
  const findings = await connection.examine(context(database.url));
  expect(findings.some(({ message }) => message.startsWith('PostgreSQL'))).toBe(true);
  expect((await connection.introspect(context(database.url), { tables: ['public.noted'] })).map(({ name }) => name)).toEqual([
    'public.noted',
  ]);
});
