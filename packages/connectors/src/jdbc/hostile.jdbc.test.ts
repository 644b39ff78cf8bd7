import { int4, numeric, table, text } from '@millrace/core';
import { isMillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { h2Server, hostileJar, type JdbcDatabase } from '../../../../test/jdbc.ts';
import { testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { connect, type SessionSettings } from './connect.ts';
import { jdbc } from './index.ts';
import { javaCommand } from './java.ts';
import { javaProcess } from './process.ts';
import { JdbcSession } from './session.ts';

let server: Awaited<ReturnType<typeof h2Server>>;
let database: JdbcDatabase;
let jar: string;
beforeAll(async () => {
  jar = hostileJar();
  server = await h2Server();
  database = await server.database('hostile');
  await database.sql(
    "CREATE TABLE ten (id INTEGER PRIMARY KEY, note VARCHAR(20), n NUMERIC(20, 2)) AS SELECT X, 'note', X FROM SYSTEM_RANGE(1, 10)",
  );
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** A Java of its own: what these drivers do is not for the sessions of others. */
const settings = (how: string) =>
  ({
    url: `jdbc:hostile:${how}:${database.url}`,
    user: database.user,
    password: database.password,
    drivers: [jar, database.jar],
    driverClass: 'HostileDriver',
    java: { args: [`-Dhostile=${how}`] },
  }) as const satisfies SessionSettings;
const some = table('ten', { id: int4(), note: text().orNull() });
const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!isMillraceError(error)) throw error ?? new Error('it did not fail');
  return error;
};

test('what a driver prints is shown with the end of its process, without passwords', async () => {
  process.env['JAVA_TOOL_OPTIONS'] = '-Dkey.store=tool-secret';
  try {
    const { session } = await connect(settings('prints'), testContext());
    const error = await failure(session.query('HALT'));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', facts: { output: expect.stringContaining('DEBUG ***') } });
    const shown = JSON.stringify([error.message, error.facts, error.remedy]);
    expect(shown).not.toContain(database.password);
    expect(shown).not.toContain('tool-secret');
  } finally {
    delete process.env['JAVA_TOOL_OPTIONS'];
  }
});

test('a driver that writes among the frames ends its process, and nobody waits for what it has announced', async () => {
  const error = await failure(readAll(jdbc(settings('garbage')).selection(some)));
  expect(error).toMatchObject({ code: 'WIRE_CORRUPT' });
});

test('a transaction that cannot be rolled back is not committed by what follows', async () => {
  await database.sql('CREATE TABLE half (id INTEGER PRIMARY KEY)');
  const { session } = await connect(settings('norollback'), testContext());
  await using _ = session;
  const work = session.inTransaction(async () => {
    await session.query('INSERT INTO half VALUES (1)');
    await session.query('INSERT INTO half VALUES (1)');
  });
  expect(await failure(work)).toMatchObject({ code: 'TYPE_MISMATCH' });
  expect(session.ended).toBe(true);
  expect(await database.sql('SELECT COUNT(*) FROM half')).toEqual([['0']]);
});

test('a driver that begins without autocommit keeps its fences all the same', async () => {
  const { session } = await connect(settings('manual'), testContext());
  await using _ = session;
  await database.sql('CREATE TABLE fence (attempt INTEGER PRIMARY KEY)');
  await session.query('INSERT INTO fence VALUES (1)');
  expect(await database.sql('SELECT COUNT(*) FROM fence')).toEqual([['1']]);
});

test('a number of two thousand million digits is refused by its column, and Java lives', async () => {
  const numbers = table('ten', { n: numeric(20, 2).orNull() });
  const { pid } = javaProcess(javaCommand(settings('huge').java));
  expect(await failure(readAll(jdbc(settings('huge')).selection(numbers)))).toMatchObject({
    code: 'VALUE_UNREPRESENTABLE',
    facts: { column: 'n' },
  });
  expect(javaProcess(javaCommand(settings('huge').java)).pid).toBe(pid);
});

describe('a driver that hangs', () => {
  test('in its log-in is given up, and its process with it', async () => {
    const process = javaProcess(javaCommand(settings('silent').java));
    const request = { jars: [jar, database.jar], driverClass: 'HostileDriver', url: settings('silent').url, properties: {}, first: [] };
    const error = await failure(JdbcSession.open(process, request, { label: 'x', hidden: [] }, testContext(), 200));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', message: 'x: no log-in within 0.2 s.' });
    expect(process.alive).toBe(false);
  }, 20_000);

  test('in a read, whose reader has left, ends with its process', async () => {
    const stuck = settings('stuck');
    const { session } = await connect({ ...stuck, url: `${stuck.url};LAZY_QUERY_EXECUTION=1` }, testContext());
    const process = javaProcess(javaCommand(stuck.java));
    const request = {
      sql: 'SELECT X FROM SYSTEM_RANGE(1, 1000000)',
      parameters: [],
      fetchSize: 1_000,
      columns: [{ name: 'X', kind: 'long', digits: 0 }],
      types: [{ kind: 'int8' }],
      schema: { columns: [{ name: 'X', type: { kind: 'int8' }, nullable: false }] },
    } as const;
    for await (const batch of session.read(request)) {
      expect(batch.rowCount).toBe(16_384);
      break;
    }
    expect(process.alive).toBe(false);
  }, 30_000);
});
