import { int4, secret, table, text } from '@millrace/core';
import { rowSinkConformance, rowSourceConformance, sinkTable } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../test/mariadb-server.ts';
import { testContext } from '../../test/load.ts';
import { jdbc } from './index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** As a driver would have it. No driver is named in these tests, so none can be at work. */
const jdbcUrl = ({ name }: MariaDbDatabase): string => `jdbc:mariadb://127.0.0.1:${server.port}/${name}?user=root`;
const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
const rowsIn = async (database: MariaDbDatabase, name: string) =>
  (await database.sql(`select id, note from ${name}`)).map(({ id, note }) => ({ id: Number(id), note: note ?? null }));

describe.each([
  ['a URL that is written down', jdbcUrl],
  ['a URL that is a secret', () => secret('SHOP')],
] as const)('jdbc:mariadb: is taken over by the connector of MySQL: %s', (_name, urlOf) => {
  const contextOf = (database: MariaDbDatabase) => testContext(undefined, { secret: async () => jdbcUrl(database) });

  rowSourceConformance(test, async () => {
    const database = await server.database();
    await database.sql(
      'create table noted (id int primary key, note text)',
      "insert into noted select seq, concat('note ', seq, repeat('x', 1500)) from seq_1_to_60",
      'analyze table noted',
    );
    return {
      selection: jdbc({ url: urlOf(database) }).selection(noted),
      rows: await rowsIn(database, 'noted'),
      splitBytes: 16_384,
      context: (options) => ({ ...contextOf(database), ...options }),
      [Symbol.asyncDispose]: async () => void (await database.sql(`drop database ${database.name}`)),
    };
  });

  rowSinkConformance(
    test,
    async () => {
      const database = await server.database();
      return {
        target: (mode) => jdbc({ url: urlOf(database) }).table(sinkTable, { mode: mode === 'history' ? 'append' : mode, schema: 'create' }),
        read: async () => ((await database.sql("show tables like 'conformance'")).length > 0 ? rowsIn(database, 'conformance') : []),
        context: (options) => ({ ...contextOf(database), ...options }),
        [Symbol.asyncDispose]: async () => void (await database.sql(`drop database ${database.name}`)),
      };
    },
    { modes: ['append', 'merge'] },
  );
});

test('doctor and introspect go the same way', async () => {
  const database = await server.database();
  await database.sql('create table noted (id int primary key, note text)');
  const connection = jdbc({ url: jdbcUrl(database) });
  expect((await connection.examine(testContext())).some(({ message }) => message.includes('MariaDB'))).toBe(true);
  expect((await connection.introspect(testContext(), { tables: ['noted'] })).map(({ name }) => name)).toEqual(['noted']);
});
