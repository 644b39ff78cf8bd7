/**
 * One attempt at following a stream, in a process that a test kills: `node follow-once.js '{"sink": "log", …}'`. The stream is the same each
 * time; what a sink does not have yet is copied, and what it does not hold for durable is applied.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { int4, int8, table, text } from '@millrace/core';
import type { ChangeTarget, Position } from '@millrace/core/runtime';
import fc from 'fast-check';
import { redis } from '../src/redis/index.ts';
import { redshift } from '../src/redshift/index.ts';
import { s3 } from '../src/s3/index.ts';
import { groupOf, positionAt, streamOf } from './hand-made.ts';
import { batches, split, testContext } from './load.ts';
import { arbitrarySteps, grouped, historyOf } from './random-changes.ts';

export interface FollowErrand {
  readonly sink: 'log' | 'mirror' | 'cache' | 'cluster';
  /** Of files, a directory: `file:…`. */
  readonly lake: string;
  /** A URL; of caches too. */
  readonly database: string;
  readonly schema: string;
  readonly epoch: number;
}

const columns = { id: int8(), note: text().orNull(), total: int4() };
export const tables = { orders: table('orders', columns, { key: ['id'] }), items: table('items', columns, { key: ['id'] }) };

const [steps] = fc.sample(arbitrarySteps([], 40), { seed: 20_260_301, numRuns: 40 }).filter(({ length }) => length > 32);
export const history = historyOf(tables, ['items'], steps ?? []);
const begins = positionAt(100);
/** The stream changes none of these. */
export const copied = [50, 51, 52].map((id) => ({ id: BigInt(id), note: 'copied', total: id }));

const last = history.states.at(-1) ?? {};
/** What is there after all of it, by table. */
export const outcomeOfHistory = Object.fromEntries(
  Object.keys(tables).map((name) => [
    name,
    [...(last[name] ?? []), ...copied].map((row) => ({ ...row, id: Number(row.id) })).sort((a, b) => a.id - b.id),
  ]),
);

export function targetOf({ sink, lake, database, schema }: FollowErrand): ChangeTarget<never> {
  if (sink === 'cache' || sink === 'cluster') return redis({ url: database, cluster: sink === 'cluster' }).apply({ prefix: `${schema}:` });
  const place = s3({ url: lake });
  if (sink === 'log') return place.changelog({ prefix: schema, roll: { every: '1h', size: '2KB' } });
  return redshift({ url: database }).apply({ schema, staging: place, prefix: schema, roll: { every: '1h', size: '2KB' } });
}

export async function follow(errand: FollowErrand): Promise<void> {
  const spool = mkdtempSync(path.join(tmpdir(), 'millrace-follow-'));
  try {
    await using sink = await targetOf(errand).open(testContext(undefined, { spool, memoryBudget: 256 * 1024 * 1024 }));
    const owner = { pipeline: 'shop', step: errand.schema };
    const policy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' } as const;
    const fence = { key: `shop/${errand.schema}`, epoch: errand.epoch };
    const state = await sink.begin({ owner, pipelineRun: 'run-1', tables, policy }, fence);
    if (!state.identity) await sink.follow(streamOf(), begins);
    for (const [name, of] of Object.entries(tables)) {
      if (state.copied[name]) continue;
      await using copy = await sink.copy(name, 'fresh', begins);
      await copy.stage(split(0), batches(of, copied));
      await copy.finish(begins);
    }
    const from: Position = state.position ?? begins;
    const left = history.transactions.filter(({ at }) => positionAt(at) >= from);
    let groups = 0;
    for (const group of grouped(left, [6, 1, 4])) {
      await sink.apply(groupOf(tables, group));
      if (++groups % 2 === 0) await sink.flush();
    }
    await sink.flush();
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

if (process.argv[2]?.startsWith('{')) void follow(JSON.parse(process.argv[2]) as FollowErrand);
