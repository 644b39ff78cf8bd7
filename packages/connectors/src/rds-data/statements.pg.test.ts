import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake, type FakeCall } from '../../../../test/aws-fake.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { outputOf, remoteOf } from '../../test/remote.ts';
import { type RdsStatementOptions, rdsData } from './index.ts';

const context = testContext();
const cluster = 'arn:aws:rds:eu-west-1:123456789012:cluster:shop';
const secretArn = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop';

/** The Data API over a real Postgres. */
async function fakeRdsData() {
  const database = await testDatabase();
  const pool = new pg.Pool({ connectionString: database.url });
  const transactions = new Map<string, pg.PoolClient>();
  let begun = 0;
  const fake = await awsFake({
    async BeginTransaction() {
      const client = await pool.connect();
      await client.query('BEGIN');
      const transactionId = `t${++begun}`;
      transactions.set(transactionId, client);
      return { transactionId };
    },
    async ExecuteStatement({ sql, parameters = [], transactionId }: FakeCall['input']) {
      const values: unknown[] = [];
      const text = sql.replace(/(?<!:):(\w+)/g, (_: string, name: string) => {
        const { value } = parameters.find((one: { name: string }) => one.name === name);
        return `$${values.push(value.isNull ? null : Object.values(value)[0])}`;
      });
      try {
        const result = await (transactionId ? transactions.get(transactionId)! : pool).query({ text, values, rowMode: 'array' });
        return {
          numberOfRecordsUpdated: result.command === 'SELECT' ? 0 : (result.rowCount ?? 0),
          records: result.rows.map((row) => row.map((value) => ({ stringValue: String(value) }))),
        };
      } catch (error) {
        const { message, code } = error as pg.DatabaseError;
        throw new AwsFault('DatabaseErrorException', `ERROR: ${message}; SQLState: ${code}`);
      }
    },
    CommitTransaction: ({ transactionId }) => end(transactionId, 'COMMIT'),
    RollbackTransaction: ({ transactionId }) => end(transactionId, 'ROLLBACK'),
  });
  async function end(id: string, how: string) {
    const client = transactions.get(id)!;
    transactions.delete(id);
    await client.query(how);
    client.release();
    return { transactionStatus: how };
  }
  await pool.query('CREATE TABLE daily (day date, n integer, note text)');
  const connection = rdsData({ ...fake.settings, cluster, secretArn, database: 'shop' });
  const insert = {
    sql: 'INSERT INTO daily VALUES (:day::date, :n, :note)',
    parameters: { day: '2026-03-29', n: 3, note: null },
    types: { day: 'DATE' as const },
  };
  const one = (options: RdsStatementOptions = {}) => remoteOf(connection.statements([insert], options));
  return {
    fake,
    connection,
    insert,
    one,
    rows: async () => (await pool.query('SELECT day::text, n, note FROM daily')).rows,
    async [Symbol.asyncDispose]() {
      await fake[Symbol.asyncDispose]();
      for (const client of transactions.values()) client.release(true);
      await pool.end();
      await database[Symbol.asyncDispose]();
    },
  };
}

const loaded = { day: '2026-03-29', n: 3, note: null };

test('statements are one transaction with a row that says so', async () => {
  await using world = await fakeRdsData();
  const { task, request } = remoteOf(world.connection.statements([world.insert, 'UPDATE daily SET n = n + 1']));
  expect(outputOf(await task.poll(await task.start(request(), context), context))).toEqual({ rows: [1, 1] });
  expect(await world.rows()).toEqual([{ ...loaded, n: 4 }]);
  expect(world.fake.called('ExecuteStatement').find(({ sql }) => sql.startsWith('INSERT INTO daily'))).toEqual({
    resourceArn: cluster,
    secretArn,
    database: 'shop',
    transactionId: 't1',
    sql: world.insert.sql,
    parameters: [
      { name: 'day', value: { stringValue: '2026-03-29' }, typeHint: 'DATE' },
      { name: 'n', value: { longValue: 3 } },
      { name: 'note', value: { isNull: true } },
    ],
  });
});

test('a commit whose answer is lost is found again, and is not done twice', async () => {
  await using world = await fakeRdsData();
  const { task, request } = world.one();
  expect(await task.adopt(request(), context)).toBeNull();
  world.fake.cut('CommitTransaction');
  await expect(task.start(request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  const found = await task.adopt(request(), context);
  expect(outputOf(await task.poll(found!, context))).toEqual({ earlier: true });
  expect(outputOf(await task.poll(await task.start(request(), context), context))).toEqual({ earlier: true });
  expect(await world.rows()).toEqual([loaded]);
  await task.start(request('another'), context);
  expect(await world.rows()).toHaveLength(2);
});

test('two that do it at the same moment do it once', async () => {
  await using world = await fakeRdsData();
  const { task, request } = world.one();
  await task.adopt(request(), context);
  const ends = await Promise.allSettled([task.start(request(), context), task.start(request(), context), task.start(request(), context)]);
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
  expect(await world.rows()).toEqual([loaded]);
});

test('two that make the ledger at the same moment both have it', async () => {
  await using world = await fakeRdsData();
  const { task, request } = world.one();
  await Promise.all([task.start(request('a'), context), task.start(request('b'), context), task.start(request('c'), context)]);
  expect(await world.rows()).toHaveLength(3);
});

test('a statement that is refused leaves nothing, and can be done later under the same id', async () => {
  await using world = await fakeRdsData();
  const broken = remoteOf(world.connection.statements([world.insert, 'INSERT INTO nowhere VALUES (1)']));
  await expect(broken.task.start(broken.request(), context)).rejects.toMatchObject({
    code: 'STATEMENT_FAILED',
    message: expect.stringContaining('relation "nowhere" does not exist'),
  });
  expect(await world.rows()).toEqual([]);
  const { task, request } = world.one();
  await task.start(request(), context);
  expect(await world.rows()).toEqual([loaded]);
});

describe('without the row', () => {
  test('a transaction is done again', async () => {
    await using world = await fakeRdsData();
    const { task, request } = world.one({ manner: 'transaction' });
    expect(task.description).toMatchObject({ starts: 'at-least-once', facts: { native: false, transaction: true } });
    await task.start(request(), context);
    await task.start(request(), context);
    expect(await world.rows()).toHaveLength(2);
    expect(await task.adopt(request(), context)).toBeNull();
  });

  test('one statement is the call that a state machine makes', async () => {
    await using world = await fakeRdsData();
    const { work } = world.connection.statements([{ ...world.insert, parameters: { ...world.insert.parameters, day: run.date } }], {
      manner: 'apart',
    });
    expect(work).toMatchObject({
      parameters: {
        ResourceArn: cluster,
        SecretArn: secretArn,
        Database: 'shop',
        Sql: world.insert.sql,
        Parameters: [{ Name: 'day', Value: { StringValue: run.date }, TypeHint: 'DATE' }, {}, {}],
      },
      task: { description: { service: 'rds-data', action: 'ExecuteStatement', starts: 'at-least-once', facts: { native: true } } },
    });
    const { task, request } = world.one({ manner: 'apart', continueAfterTimeout: true });
    await task.start(request(), context);
    expect(world.fake.called('ExecuteStatement')[0]).toMatchObject({ continueAfterTimeout: true });
    expect(world.fake.called('BeginTransaction')).toEqual([]);
    expect(await world.rows()).toEqual([loaded]);
  });
});

describe('what the API says', () => {
  test.each([
    ['ThrottlingException', 400, 'no', 'REMOTE_THROTTLED'],
    ['DatabaseResumingException', 400, 'resuming', 'REMOTE_UNAVAILABLE'],
    ['ServiceUnavailableError', 503, 'no', 'REMOTE_UNAVAILABLE'],
    ['InternalServerErrorException', 500, 'no', 'REMOTE_UNAVAILABLE'],
    ['DatabaseErrorException', 400, 'ERROR: could not serialize access; SQLState: 40001', 'REMOTE_UNAVAILABLE'],
    ['DatabaseErrorException', 400, 'ERROR: syntax error; SQLState: 42601', 'STATEMENT_FAILED'],
    ['StatementTimeoutException', 400, 'Request timed out', 'REMOTE_FAILED'],
    ['NotFoundException', 404, 'no', 'REMOTE_REFUSED'],
    ['ForbiddenException', 403, 'no', 'ACCESS_DENIED'],
  ])('%s %s %s', async (name, status, message, code) => {
    await using world = await fakeRdsData();
    world.fake.fail('ExecuteStatement', new AwsFault(name, message, status));
    const { task, request } = world.one({ manner: 'apart' });
    await expect(task.start(request(), context)).rejects.toMatchObject({ code });
    expect(await world.rows()).toEqual([]);
  });
});

test('what cannot be is refused', () => {
  const connection = rdsData({ cluster, secretArn });
  expect(() => rdsData({ cluster: 'shop', secretArn })).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
  expect(() => connection.statements([])).toThrow(/no statement/);
  expect(() => connection.statements(['a', 'b'], { manner: 'apart' })).toThrow(/2 statements/);
  expect(() => connection.statements('a', { continueAfterTimeout: true })).toThrow(/timeout/);
});

describe('statements are work elsewhere that is done at once', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeRdsData();
    const { task, request } = world.one();
    return {
      task,
      parameters: request().parameters,
      works: async () => (await world.rows()).length,
      end: {},
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    };
  });
});
