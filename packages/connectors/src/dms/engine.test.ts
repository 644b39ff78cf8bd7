import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rowsOf } from '@millrace/core/runtime';
import {
  Choices,
  MemoryDatabase,
  memoryDatabase,
  memoryMirror,
  mirrorState,
  plainState,
  type Statement,
  seeded,
  streamWorld,
  testContext,
} from '@millrace/core/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DmsServer, dmsServer, targetOf } from '../../../../test/dms-server.ts';
import { DmsTask, type Written, type WrittenAs } from '../../../../test/dms-task.ts';
import { plainTexts, dmsTables as tables, texts, dmsWork as work } from '../../test/dms-workload.ts';
import { s3 } from '../s3/index.ts';
import { dms } from './engine.ts';
import { completeOutput, type S3Output } from './output.ts';

let server: DmsServer;
beforeAll(async () => {
  server = await dmsServer();
});
afterAll(() => server[Symbol.asyncDispose]());

let made = 0;

interface Setting {
  readonly output: S3Output;
  readonly sequence?: boolean;
  readonly serverless?: boolean;
  readonly lookBack?: `${number}${'s' | 'h'}`;
}

/** A source, a task that writes its changes to a directory, and a mirror that follows them. */
function world({ output, sequence = true, serverless = false, lookBack = '6h' }: Setting) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
  const arn = `arn:aws:dms:eu-west-1:123456789012:${serverless ? 'replication-config' : 'task'}:T${++made}`;
  const database = new MemoryDatabase(tables);
  const complete = completeOutput(output);
  const task = new DmsTask({ arn, database, tables, folder, output: complete as WrittenAs, sequence, overlap: 2 });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { BucketName: 'lake', ...complete });
  const mirror = memoryMirror();
  const engine = dms({
    ...(serverless ? { replication: arn } : { task: arn }),
    files: s3({ url: pathToFileURL(folder).href }),
    output,
    sequence,
    lookBack,
    settle: '0s',
    poll: '10ms',
    look: '10ms',
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const stream = streamWorld({ database, tables, sinks: { mirror: { mirror, strict: false } }, capture: { engine } });
  return {
    folder,
    database,
    task,
    mirror,
    engine,
    stream,
    deliver: (files: readonly Written[]) => {
      for (const file of files) task.deliver(file);
    },
    expectEqual: () => expect(plainState(mirrorState(mirror))).toEqual(plainState(database.stateAt(database.end))),
  };
}

const settings: Readonly<Record<string, Setting>> = {
  parquet: { output: {} },
  'parquet in folders of days': {
    output: { DatePartitionEnabled: true, DatePartitionSequence: 'YYYYMMDDHH', DatePartitionDelimiter: 'SLASH' },
  },
  'CSV with names': { output: { DataFormat: 'csv' } },
  'CSV without names, packed, with bars': {
    output: { DataFormat: 'csv', AddColumnName: false, CsvDelimiter: '|', CompressionType: 'gzip' },
  },
  'CSV without quotes': { output: { DataFormat: 'csv', Rfc4180: false, CsvDelimiter: '\t', CsvNullValue: 'NULL' } },
  'CSV whose full load does not say what was done': { output: { DataFormat: 'csv', IncludeOpForFullLoad: false, AddColumnName: false } },
  'CSV in folders of months': {
    output: { DataFormat: 'csv', DatePartitionEnabled: true, DatePartitionSequence: 'MMYYYYDD', DatePartitionDelimiter: 'UNDERSCORE' },
  },
  transactions: { output: { PreserveTransactions: true, CdcPath: 'changes/tx' } },
  'transactions, packed': { output: { PreserveTransactions: true, CdcPath: 'tx', CompressionType: 'gzip', IncludeOpForFullLoad: false } },
};

const poolOf = ({ output }: Setting): readonly (string | null)[] => (output.Rfc4180 === false ? plainTexts : texts);

/** Files arrive in any order, some twice under the same name, some again under another, some after the next ones have been read. */
async function followAll(setting: Setting, seed: number, kinds: { readonly doubles: boolean; readonly atCommits: boolean }): Promise<void> {
  const { database, task, stream, deliver, expectEqual } = world(setting);
  const choices = new Choices(seeded(seed));
  for (let left = choices.below(6); left > 0; left--) work(database, choices, poolOf(setting));
  await stream.catchUp();
  let late: Written[] = [];
  for (let round = 0; round < 2; round++) {
    for (let left = 1 + choices.below(6); left > 0; left--) work(database, choices, poolOf(setting));
    const files = [...late, ...(await task.changes(() => 1 + choices.below(5), kinds.atCommits))];
    for (let at = files.length - 1; at > 0; at--) {
      const other = choices.below(at + 1);
      [files[at], files[other]] = [files[other] as Written, files[at] as Written];
    }
    const kept = choices.below(Math.min(3, files.length + 1));
    late = files.slice(0, kept);
    const now = files.slice(kept);
    deliver(now);
    const [again] = now;
    if (kinds.doubles && again && choices.below(2) === 0) deliver([again]);
    if (kinds.doubles && again && choices.below(2) === 0) late.push(task.again(again));
    await stream.catchUp();
  }
  deliver(late);
  await stream.catchUp();
  expectEqual();
}

describe('the mirror equals the source, whatever the order in which files come', () => {
  for (const [name, setting] of Object.entries(settings)) {
    test(name, async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(100_000), (seed) =>
          followAll(setting, seed, { doubles: true, atCommits: setting.output.PreserveTransactions === true }),
        ),
        { numRuns: name.includes(',') || name.includes('folders') ? 1 : 2 },
      );
    });
  }

  test('by the time of commits alone, where files are not doubled and end with a commit', async () => {
    const setting: Setting = { output: { DataFormat: 'csv' }, sequence: false };
    await fc.assert(
      fc.asyncProperty(fc.nat(100_000), (seed) => followAll(setting, seed, { doubles: false, atCommits: true })),
      { numRuns: 2 },
    );
  });

  test('of a serverless replication', async () => {
    await followAll({ output: { DataFormat: 'csv' }, serverless: true }, 1, { doubles: true, atCommits: false });
  });
});

const insert = (id: number, note = `n${id}`): Statement => ({
  do: 'insert',
  table: 'things',
  row: { id: BigInt(id), note, flag: null, amount: null, at: null, day: null, raw: null, score: null },
});
const update = (id: number, note: string): Statement => ({ do: 'update', table: 'things', key: { id: BigInt(id) }, set: { note } });

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
  deliver(await task.changes(() => 10));
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
  deliver(late);
  await stream.catchUp();
  expectEqual();
  database.commit(update(3, 'after'));
  deliver(await task.changes(() => 10));
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
  const { database, task, stream } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1), insert(2));
  await task.start('start-replication');
  const counted = task.counts.get('things');
  if (counted) counted.loaded = 3;
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH', facts: { said: 3, read: 2 } });
});

test('rows that DMS says it has left out, and a table that it could not load, are errors', async () => {
  const { database, task, stream } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1));
  await task.start('start-replication');
  const counted = task.counts.get('things');
  if (counted) counted.errors = 1;
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining('1 rows') });
  if (counted) Object.assign(counted, { errors: 0, state: 'Table error' });
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining('Table error') });
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

test('a value that was cut is an error, not a value', async () => {
  const { database, stream } = world({ output: { DataFormat: 'csv' } });
  database.commit(insert(1, 'x'.repeat(1024 * 1024)));
  await expect(stream.catchUp()).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE', facts: { column: 'note' } });
});

test.each([{}, { DataFormat: 'csv' }, { PreserveTransactions: true, CdcPath: 'tx' }] satisfies S3Output[])(
  'a table that is copied while the stream goes on is built from its files, as it is there (%o)',
  async (output) => {
    const { database, task, stream, deliver, engine } = world({ output });
    const choices = new Choices(seeded(3));
    for (let left = 5; left > 0; left--) work(database, choices, texts);
    await stream.catchUp();
    for (let round = 0; round < 2; round++) {
      for (let left = 6; left > 0; left--) work(database, choices, texts);
      deliver((await task.changes(() => 4)).toReversed());
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
