import { jdbc } from '@millrace/connectors/jdbc';
import type { Context } from '@millrace/core/runtime';
import { lineitem, someLineitem } from './lineitem.ts';

/*
 * Reads lineitem through its JDBC driver, in a process of its own: a few rows, then prints "ready", waits for a line, reads all of them as
 * batches, prints what it did. Connecting is part of what is measured; starting Node and Java is not.
 */

const { MILLRACE_BENCH_URL: url = '', MILLRACE_BENCH_DRIVER: driver = '' } = process.env;
const source = jdbc({ url, drivers: [driver], native: false });

const context: Context = {
  run: { id: 'bench', pipeline: 'bench', logicalTime: '2026-01-01T00:00:00Z', date: '2026-01-01', window: null, params: {} },
  signal: new AbortController().signal,
  secret: () => Promise.reject(new Error('no secrets here')),
  now: () => new Date(),
  log: { info: () => {}, warn: () => {} },
  spool: '/tmp',
  progress: () => {},
  memoryBudget: 256 * 1024 * 1024,
};

await read(someLineitem);
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const started = performance.now();
const rows = await read(lineitem);
process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - started) / 1000, rows })}\n`);
process.exit(0);

async function read(table: typeof lineitem): Promise<number> {
  await using open = await source.selection(table).open(context);
  const plan = await open.plan({ absorbed: [], since: null, splitBytes: 1e15, earlier: null });
  let count = 0;
  for (const split of plan.splits) {
    const channel = await open.open(split, 'batches');
    if (channel.format !== 'batches') throw new Error('not batches');
    for await (const batch of channel.batches) count += batch.rowCount;
  }
  return count;
}
