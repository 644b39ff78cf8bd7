import { run } from '@millrace/core';
import { remoteTaskConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { AwsFault, awsFake } from '../../../../test/aws-fake.ts';
import { fixtureOf, outputOf, remoteOf } from '../../test/remote.ts';
import { redshiftData } from './index.ts';

const context = testContext();
const serverless = { workgroup: 'etl', database: 'dev' };

/** The Data API, which honours client tokens and tells statements from the look after `hiddenFor` others on. */
async function fakeRedshift({ hiddenFor = 0, emptyPages = 0 } = {}) {
  // biome-ignore lint/suspicious/noExplicitAny: a statement as the API has it.
  const statements: any[] = [];
  let looks = 0;
  const visible = () => (looks++ < hiddenFor ? [] : statements);
  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire.
  const execute = (input: any) => {
    let found = statements.find(({ ClientToken }) => ClientToken === input.ClientToken);
    if (!found) {
      found = { ...input, Id: `d9b6c0c9-0747-4bf4-b142-e8883122f76${statements.length}`, Status: 'SUBMITTED' };
      statements.push(found);
    }
    return { Id: found.Id };
  };
  const fake = await awsFake({
    ExecuteStatement: execute,
    BatchExecuteStatement: execute,
    DescribeStatement({ Id }) {
      const found = visible().find((one) => one.Id === Id);
      if (!found) throw new AwsFault('ResourceNotFoundException', 'Query does not exist.');
      return found;
    },
    ListStatements: ({ StatementName, NextToken = '0' }) =>
      Number(NextToken) < emptyPages
        ? { Statements: [], NextToken: String(Number(NextToken) + 1) }
        : { Statements: visible().filter((one) => one.StatementName.startsWith(StatementName)) },
    CancelStatement({ Id }) {
      const found = statements.find((one) => one.Id === Id);
      if (['FINISHED', 'FAILED', 'ABORTED'].includes(found.Status))
        throw new AwsFault('ValidationException', 'Could not cancel a query that is already in FINISHED state');
      found.Status = 'ABORTED';
      return { Status: true };
    },
  });
  const connection = redshiftData({ ...fake.settings, ...serverless, settlesMs: 60 });
  const one = remoteOf(connection.statement('call refresh(:day)', { parameters: { day: '2026-03-29' } }));
  return { fake, statements, connection, ...one, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

test('a statement behind empty pages of the list is found', async () => {
  await using world = await fakeRedshift({ emptyPages: 3 });
  const { id } = await world.task.start(world.request(), context);
  expect(await world.task.adopt(world.request(), context)).toMatchObject({ id });
  expect(await world.task.adopt(world.request('another'), context)).toBeNull();
});

test('a statement is started with the parameters of the API and a token', async () => {
  await using world = await fakeRedshift();
  const handle = await world.task.start(world.request(), context);
  expect(world.fake.called('ExecuteStatement')).toEqual([
    {
      WorkgroupName: 'etl',
      Database: 'dev',
      Sql: 'call refresh(:day)',
      Parameters: [{ name: 'day', value: '2026-03-29' }],
      ClientToken: 'run-1-stage-1',
      StatementName: 'run-1-stage-1',
    },
  ]);
  expect(handle.id).toBe(world.statements[0].Id);
});

test('statements go together', async () => {
  await using world = await fakeRedshift();
  const batch = remoteOf(world.connection.batch(['truncate a', 'insert into a select 1'], { transaction: false }));
  const handle = await batch.task.start(batch.request(), context);
  expect(world.fake.called('BatchExecuteStatement')[0]).toMatchObject({
    Sqls: ['truncate a', 'insert into a select 1'],
    ExecutionMode: 'AUTO_COMMIT',
  });
  Object.assign(world.statements[0], {
    Status: 'STARTED',
    SubStatements: [
      { Id: '1', Status: 'FINISHED' },
      { Id: '2', Status: 'STARTED' },
    ],
  });
  expect(await batch.task.poll(handle, context)).toEqual({ at: 'running', status: 'STARTED', progress: 0.5 });
});

test('steps say what a state machine needs', () => {
  const cluster = redshiftData({
    cluster: 'warehouse',
    database: 'dev',
    dbUser: 'etl',
    secretArn: 'arn:aws:secretsmanager:eu-west-1:1:secret:s',
  });
  expect(cluster.statement('call refresh(:day)', { parameters: { day: run.date } }).work).toMatchObject({
    parameters: {
      ClusterIdentifier: 'warehouse',
      DbUser: 'etl',
      SecretArn: 'arn:aws:secretsmanager:eu-west-1:1:secret:s',
      Parameters: [{ Name: 'day', Value: run.date }],
    },
    task: {
      description: {
        service: 'redshift-data',
        action: 'ExecuteStatement',
        starts: 'once',
        watched: true,
        facts: { native: true, statements: 1 },
      },
    },
  });
  expect(cluster.batch(['a', 'b']).work).toMatchObject({
    task: { description: { action: 'BatchExecuteStatement', facts: { statements: 2 } } },
  });
});

test('what the API would refuse is refused before', () => {
  const connection = redshiftData(serverless);
  expect(() => redshiftData({ database: 'dev' })).toThrow(/either a workgroup or a cluster/);
  expect(() => connection.batch([])).toThrow(/1 to 40/);
  expect(() => connection.batch(Array.from({ length: 41 }, () => 'select 1'))).toThrow(/1 to 40/);
  expect(() => connection.statement('x'.repeat(100_001))).toThrow(/100000 bytes/);
});

describe('every status has a meaning', () => {
  test.each([
    ['SUBMITTED', {}, { at: 'running', status: 'SUBMITTED', progress: null }],
    ['PICKED', {}, { at: 'running' }],
    ['STARTED', {}, { at: 'running' }],
    [
      'FAILED',
      { Error: 'ERROR: relation "a" does not exist' },
      { at: 'failed', again: false, reason: 'ERROR: relation "a" does not exist' },
    ],
    ['FAILED', { Error: 'ERROR: 1023 Serializable isolation violation on table - 1' }, { at: 'failed', again: true }],
    ['ABORTED', {}, { at: 'failed', again: true }],
    [
      'FINISHED',
      { Duration: 1_234_000_000, HasResultSet: true, ResultRows: 3, ResultSize: 120, RedshiftQueryId: 77 },
      { at: 'succeeded', output: { seconds: 1.234, rows: 3, resultBytes: 120, query: 77 } },
    ],
    [
      'FINISHED',
      { ResultRows: -1, ResultSize: -1, RedshiftQueryId: -1, SubStatements: [{ Id: '1', ResultRows: 2 }] },
      { output: { statements: [{ rows: 2 }] } },
    ],
  ])('%s %j', async (Status, more, state) => {
    await using world = await fakeRedshift();
    const handle = await world.task.start(world.request(), context);
    Object.assign(world.statements[0], { Status, ...more });
    expect(await world.task.poll(handle, context)).toMatchObject(state);
  });
});

test('a statement that has a result is measured, and its rows are left where they are', async () => {
  await using world = await fakeRedshift();
  const handle = await world.task.start(world.request(), context);
  Object.assign(world.statements[0], { Status: 'FINISHED', HasResultSet: true, ResultRows: 3, ResultSize: 120 });
  expect(outputOf(await world.task.poll(handle, context))).toEqual({ rows: 3, resultBytes: 120 });
  expect(world.fake.called('GetStatementResult')).toEqual([]);
});

test('a start whose answer is lost is one start', async () => {
  await using world = await fakeRedshift({ hiddenFor: 2 });
  world.fake.cut('ExecuteStatement');
  await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(await world.task.adopt(world.request(), context)).toMatchObject({ id: world.statements[0].Id });
  await world.task.start(world.request(), context);
  expect(world.statements).toHaveLength(1);
  expect(await world.task.adopt(world.request('run-1'), context)).toBeNull();
});

test('a statement that is not told yet is submitted, one that is forgotten has failed', async () => {
  await using world = await fakeRedshift({ hiddenFor: 2 });
  const handle = await world.task.start(world.request(), context);
  expect(await world.task.poll(handle, context)).toMatchObject({ at: 'running', status: 'SUBMITTED' });
  const later = testContext({ now: () => new Date(Date.now() + 90_000_000) });
  expect(await world.task.poll(handle, later)).toMatchObject({ at: 'failed', again: false });
});

test('a statement is cancelled, and one that has ended is left', async () => {
  await using world = await fakeRedshift();
  const handle = await world.task.start(world.request(), context);
  await world.task.cancel(handle, context);
  expect(await world.task.poll(handle, context)).toMatchObject({ at: 'failed', again: true });
  await world.task.cancel(handle, context);
});

describe('what the API says of a start', () => {
  test.each([
    ['ThrottlingException', 400, 'REMOTE_THROTTLED'],
    ['ActiveStatementsExceededException', 400, 'REMOTE_THROTTLED'],
    ['InternalServerException', 500, 'REMOTE_UNAVAILABLE'],
    ['DatabaseConnectionException', 500, 'REMOTE_UNAVAILABLE'],
    ['ValidationException', 400, 'REMOTE_REFUSED'],
    ['AccessDeniedException', 400, 'ACCESS_DENIED'],
  ])('%s', async (name, status, code) => {
    await using world = await fakeRedshift();
    world.fake.fail('ExecuteStatement', new AwsFault(name, 'no', status));
    await expect(world.task.start(world.request(), context)).rejects.toMatchObject({ code });
  });
});

describe('a statement is watched as all work elsewhere is', () => {
  remoteTaskConformance(test, async () => {
    const world = await fakeRedshift();
    const end = (Status: string) => () => void Object.assign(world.statements.at(-1), { Status });
    return fixtureOf(world, {
      start: 'ExecuteStatement',
      poll: 'DescribeStatement',
      works: () => world.statements.length,
      end: { succeeded: end('FINISHED'), failed: end('FAILED'), interrupted: end('ABORTED') },
      forget: () => void world.statements.pop(),
    });
  });
});
