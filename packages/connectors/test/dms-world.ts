import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  Choices,
  MemoryDatabase,
  memoryMirror,
  mirrorState,
  plainState,
  type Statement,
  seeded,
  streamWorld,
} from '@millrace/core/testing';
import { expect } from 'vitest';
import { filesIn, type Written } from '../../../test/dms-files.ts';
import type { WrittenAs } from '../../../test/dms-formats.ts';
import { type DmsServer, targetOf } from '../../../test/dms-server.ts';
import { DmsTask } from '../../../test/dms-task.ts';
import { dms } from '../src/dms/engine.ts';
import { tableMappings } from '../src/dms/mappings.ts';
import { completeOutput, type S3Output } from '../src/dms/output.ts';
import { s3 } from '../src/s3/index.ts';
import { dmsTables, dmsWork, texts } from './dms-workload.ts';

export interface DmsSetting {
  readonly output: S3Output;
  readonly sequence?: boolean;
  readonly keyChanges?: boolean;
  readonly binary?: 'hex' | 'base64';
  readonly serverless?: boolean;
  readonly transactionWait?: `${number}s`;
  /** Transactions before the full load that come again as changes: two. */
  readonly overlap?: number;
}

let made = 0;

/** A source, a task that writes its changes to a directory, and a mirror that follows them. */
export function dmsWorld(server: DmsServer, setting: DmsSetting) {
  const { output, sequence = true, binary = 'hex', serverless = false, transactionWait } = setting;
  const complete = completeOutput(output);
  const isNamed = !complete.PreserveTransactions && (complete.DataFormat === 'parquet' || complete.AddColumnName === true);
  const { keyChanges = isNamed } = setting;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
  const arn = `arn:aws:dms:eu-west-1:123456789012:${serverless ? 'replication-config' : 'task'}:T${++made}`;
  const database = new MemoryDatabase(dmsTables);
  const task = new DmsTask({
    arn,
    database,
    tables: dmsTables,
    files: filesIn(folder),
    output: complete as WrittenAs,
    sequence,
    keyBefore: keyChanges,
    binary,
    overlap: setting.overlap ?? 2,
  });
  server.tasks.set(arn, task);
  server.endpoints.set(targetOf(arn), { BucketName: 'lake', ...complete });
  const mirror = memoryMirror();
  const engine = dms({
    ...(serverless ? { replication: arn } : { task: arn }),
    files: s3({ url: pathToFileURL(folder).href }),
    output,
    sequence,
    keyChanges,
    binary,
    ...(transactionWait !== undefined && { transactionWait }),
    settle: '0s',
    poll: '10ms',
    look: '10ms',
    endpoint: server.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const stream = streamWorld({ database, tables: dmsTables, sinks: { mirror: { mirror, strict: false } }, capture: { engine } });
  return {
    folder,
    database,
    task,
    mirror,
    engine,
    stream,
    keyChanges,
    /** Somebody has started it, with the mappings that we want. */
    begin: async () => {
      task.mappings = JSON.stringify(tableMappings(dmsTables, { sequence, keyBefore: keyChanges }));
      await task.start('start-replication');
    },
    deliver: async (files: readonly Written[]) => {
      for (const file of files) await task.deliver(file);
    },
    state: () => plainState(mirrorState(mirror)),
    expectEqual: () => expect(plainState(mirrorState(mirror))).toEqual(plainState(database.stateAt(database.end))),
  };
}

/** Files arrive in any order, one or two after the next ones have been read, some twice under the same name, some again under another. */
export async function followAll(
  server: DmsServer,
  setting: DmsSetting,
  seed: number,
  kinds: { readonly doubles: boolean; readonly atCommits: boolean; readonly pool?: readonly (string | null)[] },
): Promise<void> {
  const { database, task, stream, begin, deliver, expectEqual, keyChanges } = dmsWorld(server, setting);
  const choices = new Choices(seeded(seed));
  const work = (transactions: number): void => {
    for (let left = transactions; left > 0; left--) dmsWork(database, choices, kinds.pool ?? texts, keyChanges);
  };
  work(choices.below(6));
  await begin();
  work(2 + choices.below(8));
  const files = shuffled(await task.changes(() => 1 + choices.below(5), kinds.atCommits), choices);
  const late = files.slice(0, choices.below(Math.min(3, files.length + 1)));
  const now = files.slice(late.length);
  await deliver(now);
  const [again] = now;
  if (kinds.doubles && again) await deliver([again]);
  await stream.catchUp();
  if (kinds.doubles && again) late.push(task.again(again));
  work(choices.below(3));
  await deliver(shuffled([...late, ...(await task.changes(() => 1 + choices.below(5), kinds.atCommits))], choices));
  await stream.catchUp();
  expectEqual();
}

function shuffled<One>(some: readonly One[], choices: Choices): One[] {
  const all = [...some];
  for (let at = all.length - 1; at > 0; at--) {
    const other = choices.below(at + 1);
    [all[at], all[other]] = [all[other] as One, all[at] as One];
  }
  return all;
}

export const insert = (id: number, note: string | null = `n${id}`): Statement => ({
  do: 'insert',
  table: 'things',
  row: { id: BigInt(id), note, flag: null, amount: null, at: null, day: null, raw: null, score: null },
});
export const update = (id: number, note: string): Statement => ({ do: 'update', table: 'things', key: { id: BigInt(id) }, set: { note } });
export const remove = (id: number): Statement => ({ do: 'delete', table: 'things', key: { id: BigInt(id) } });
/** Of a row, another key. */
export const move = (from: number, to: number): Statement => ({
  do: 'update',
  table: 'things',
  key: { id: BigInt(from) },
  set: { id: BigInt(to) },
});
