import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { mysql } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import { extract, load, pipeline, table } from '@millrace/core';
import { compile, runStage } from '@millrace/core/runtime';
import { copied, lineitem } from './lineitem.ts';
import { streamRows } from './mysql-peer.ts';

/*
 * Moves lineitem from MariaDB to Postgres in a process of its own, as Millrace does or as a program around the driver's row stream would:
 * moves a few rows, prints "ready", waits for a line, moves all rows, prints what it did.
 */

const { MILLRACE_BENCH_URL: to = '', MILLRACE_BENCH_FROM: from = '' } = process.env;
const ways: Readonly<Record<string, (table: string) => Promise<number>>> = { millrace: move, driver: (name) => streamRows(from, name, to) };

const way = ways[process.argv[2] ?? ''] ?? move;
await way('lineitem_some');
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const started = performance.now();
const usage = process.cpuUsage();
const rows = await way('lineitem');
const { user, system } = process.cpuUsage(usage);
process.stdout.write(
  `${JSON.stringify({ seconds: (performance.now() - started) / 1000, processorSeconds: (user + system) / 1e6, rows })}\n`,
);
process.exit(0);

/** One attempt at the only stage, without a state store. Answers the rows that were committed. */
async function move(name: string): Promise<number> {
  const read = extract(mysql({ url: from }), table(name, lineitem.declared));
  const made = pipeline({
    name: 'bench-mysql',
    steps: { read, loaded: load(read, postgres({ url: to }).table(copied, { mode: 'append' })) },
  });
  const [stage] = compile(made).stages;
  if (!stage) throw new Error('the plan has no stage');
  const spool = await mkdtemp(path.join(tmpdir(), 'millrace-bench-'));
  const now = new Date().toISOString();
  const output = await runStage(
    {
      run: { id: `bench-${name}-${now}`, pipeline: made.name, logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
      runAt: now,
      fullRefresh: false,
      stage,
      epoch: 1,
      redone: 0,
      files: {},
      earlier: { plan: null, parts: [] },
      concurrency: 1,
      memoryBudget: 256 * 1024 * 1024,
    },
    made,
    {
      signal: new AbortController().signal,
      secret: () => Promise.reject(new Error('no secrets here')),
      now: () => new Date(),
      spool,
      log: { info: () => {}, warn: () => {} },
      progress: () => {},
      storePlan: async () => {},
      storePart: async () => {},
      forgetParts: async () => {},
    },
  );
  await rm(spool, { recursive: true, force: true });
  return output.kind === 'load' ? output.receipt.rows : 0;
}
