import { rowsOf } from '@millrace/core/runtime';
import { Choices, memoryDatabase, seeded, testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DmsServer, dmsServer } from '../../../../test/dms-server.ts';
import { dmsTables as tables, texts, dmsWork as work } from '../../test/dms-workload.ts';
import { type DmsSetting, dmsWorld, insert, move, remove, update } from '../../test/dms-world.ts';
import type { S3Output } from './output.ts';

let server: DmsServer;
beforeAll(async () => {
  server = await dmsServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const world = (setting: DmsSetting) => dmsWorld(server, setting);

test('the task is started once, resumed where somebody has stopped it, and loads again when everything is wanted anew', async () => {
  const { database, task, stream, deliver, expectEqual } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1), insert(2));
  await stream.catchUp();
  expect(task.calls).toEqual(['modify', 'start-replication']);
  expectEqual();

  task.stop();
  database.commit(update(1, 'later'));
  await stream.catchUp();
  expect(task.calls).toEqual(['modify', 'start-replication', 'stop', 'resume-processing']);
  await deliver(await task.changes(() => 10));
  await stream.catchUp();
  expectEqual();

  database.commit(update(1, 'lost'), insert(3));
  task.forgetChanges();
  await stream.catchUp({ fullRefresh: true });
  expect(task.calls.slice(4)).toEqual(['stop', 'reload-target']);
  expectEqual();
});

test('a table that somebody has DMS load again comes in the stream, and what was written before that is not put over it', async () => {
  const { database, task, stream, deliver, expectEqual } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1), insert(2));
  await stream.catchUp();
  database.commit(update(1, 'written, and late'));
  const late = await task.changes(() => 10);
  database.commit(update(1, 'lost'), { do: 'delete', table: 'things', key: { id: 2n } }, insert(3));
  task.forgetChanges();
  await task.reload('things');
  await deliver(late);
  await stream.catchUp();
  expectEqual();
  database.commit(update(3, 'after'));
  await deliver(await task.changes(() => 10));
  await stream.catchUp();
  expectEqual();
});

test('a table that is empty when it is loaded again is emptied', async () => {
  const { database, task, stream, expectEqual } = world({ output: {} });
  database.commit(insert(1));
  await stream.catchUp();
  database.commit({ do: 'delete', table: 'things', key: { id: 1n } });
  task.forgetChanges();
  await task.reload('things');
  await stream.catchUp();
  expectEqual();
});

test('rows that DMS has counted and that are in no file are an error', async () => {
  const { database, task, stream, begin } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1), insert(2));
  await begin();
  const counted = task.counts.get('things');
  if (counted) counted.loaded = 3;
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH', facts: { said: 3, read: 2 } });
});

test('rows that DMS says it has left out, and a table that it could not load, are errors', async () => {
  const { database, task, stream, begin } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1));
  await begin();
  const counted = task.counts.get('things');
  if (counted) counted.errors = 1;
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining('1 rows') });
  if (counted) Object.assign(counted, { errors: 0, state: 'Table error' });
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining('Table error') });
});

test('a load that somebody has begun is taken where it is of our tables and settings, and made again where it is not', async () => {
  const ours = world({ output: { DataFormat: 'csv' } });
  ours.database.commit(insert(1));
  await ours.begin();
  await ours.stream.catchUp();
  expect(ours.task.calls).toEqual(['start-replication']);
  ours.expectEqual();
  for (const other of [{ mappings: '{"rules":[]}' }, { settings: '{"TargetMetadata":{"SupportLobs":false}}' }]) {
    const theirs = world({ output: { DataFormat: 'csv' } });
    theirs.database.commit(insert(1));
    await theirs.begin();
    Object.assign(theirs.task, other);
    await theirs.stream.catchUp();
    expect(theirs.task.calls).toEqual(['start-replication', 'stop', 'modify', 'reload-target']);
    theirs.expectEqual();
  }
});

test('a task that has failed is not resumed: its reason is told', async () => {
  const { database, task, stream } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1));
  await stream.catchUp();
  Object.assign(task, { status: 'stopped', stopReason: 'Stop Reason FATAL_ERROR', failure: 'the slot is gone' });
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining('the slot is gone') });
  Object.assign(task, { stopReason: 'Stop Reason RECOVERABLE_ERROR' });
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_INTERRUPTED' });
});

test('a value that was cut is an error, not a value: DMS counts two bytes for each character', async () => {
  const { database, stream, expectEqual } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1, 'x'.repeat(512 * 1024 - 2)));
  await stream.catchUp();
  expectEqual();
  const cut = world({ output: { DataFormat: 'csv' } });
  cut.database.commit(insert(1, 'x'.repeat(512 * 1024)));
  await expect(cut.stream.catchUp()).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE', facts: { column: 'note' } });
});

test.each([{}, { DataFormat: 'csv' }] satisfies S3Output[])(
  'a row that gets another key moves, and takes the place of one that went (%o)',
  async (output) => {
    const { database, task, stream, deliver, expectEqual } = world({ output });
    database.commit(insert(1), insert(2), insert(3));
    await stream.catchUp();
    database.commit(move(1, 9));
    database.commit(remove(2), move(3, 2), update(2, 'moved and changed'));
    database.commit(insert(1, 'another one'), move(9, 8), move(8, 7));
    await deliver((await task.changes(() => 2)).toReversed());
    await stream.catchUp();
    expectEqual();
  },
);

test('where files have no names, a row that gets another key stays under its old one too: dms() is told so', async () => {
  expect(() => world({ output: { PreserveTransactions: true, CdcPath: 'tx' }, keyChanges: true })).toThrow(
    'keyChanges needs columns with names',
  );
  const { database, task, stream, deliver, state } = world({ output: { PreserveTransactions: true, CdcPath: 'tx' } });
  database.commit(insert(1));
  await stream.catchUp();
  database.commit(move(1, 2));
  await deliver(await task.changes(() => 9));
  await stream.catchUp();
  expect(state()['things']?.map(({ id }) => id)).toEqual([1n, 2n]);
});

test('a file of another format than was told is refused', async () => {
  const { database, task, stream, deliver } = world({ output: {} });
  database.commit(insert(1));
  await stream.catchUp();
  database.commit(update(1, 'later'));
  const [file] = await task.changes(() => 9);
  await deliver([{ ...file!, key: file!.key.replace('.parquet', '.csv'), body: Buffer.from('U,1\n') }]);
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'SCHEMA_DRIFT', message: expect.stringContaining('is csv') });
});

test('a value that the log of the source does not have is refused, and not NULL', async () => {
  const { database, task, stream, deliver } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1, 'long'));
  await stream.catchUp();
  database.commit(update(1, 'a text'));
  const [file] = await task.changes(() => 9);
  await deliver([{ ...file!, body: Buffer.from(file!.body.toString().replace('a text', '~UNLOGGED~')) }]);
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE', facts: { column: 'note' } });
});

test.each([
  ['no number', /,(\d{35}),/, ',~NULL~,', 'FILE_CORRUPT'],
  ['a number of another form', /,(\d{35}),/, ',12,', 'FILE_CORRUPT'],
  ['no time of commit', /^U,[^,]*,/m, 'U,~NULL~,', 'FILE_CORRUPT'],
  ['another operation', /^U,/m, 'X,', 'FILE_CORRUPT'],
  ['a field more', /^U,/m, 'U,,', 'FILE_CORRUPT'],
])('a change with %s is refused', async (_, what, instead, code) => {
  const { database, task, stream, deliver } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1));
  await stream.catchUp();
  database.commit(update(1, 'later'));
  const [file] = await task.changes(() => 9);
  const body = file!.body.toString();
  expect(body).toMatch(what);
  await deliver([{ ...file!, body: Buffer.from(body.replace(what, instead)) }]);
  await expect(stream.catchUp()).rejects.toMatchObject({ code });
});

test.each([{}, { DataFormat: 'csv' }, { PreserveTransactions: true, CdcPath: 'tx' }] satisfies S3Output[])(
  'a table that is copied while the stream goes on is built from its files, as it is there (%o)',
  async (output) => {
    const { database, task, stream, deliver, engine, keyChanges } = world({ output });
    const choices = new Choices(seeded(3));
    for (let left = 5; left > 0; left--) work(database, choices, texts, keyChanges);
    await stream.catchUp();
    for (let round = 0; round < 2; round++) {
      for (let left = 6; left > 0; left--) work(database, choices, texts, keyChanges);
      await deliver((await task.changes(() => 4)).toReversed());
      await stream.catchUp();
    }
    const source = engine.capture(memoryDatabase(database).capture(tables, {}));
    await using opened = await source.open(testContext(), { pipeline: 'p', step: 'changes' }, Number.MAX_SAFE_INTEGER);
    await using snapshot = await opened.snapshot(['things']);
    await using rows = await snapshot.table('things');
    const plan = await rows.plan({ absorbed: [], since: null, splitBytes: 1, earlier: null });
    const found: Record<string, unknown>[] = [];
    for (const split of plan.splits) {
      const channel = await rows.open(split, 'batches');
      if (channel.format === 'batches') for await (const batch of channel.batches) found.push(...rowsOf(batch));
    }
    const byId = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) => Number(a['id']) - Number(b['id']);
    expect(found.sort(byId)).toEqual([...database.rows('things')].sort(byId));
  },
);
