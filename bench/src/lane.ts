import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { extract, load, type Pipeline, pipeline, type RowOf } from '@millrace/core';
import { compile, runStage } from '@millrace/core/runtime';
import { map, mapBatches } from '@millrace/transforms';
import { copied, lineitem, someLineitem } from './lineitem.ts';

/*
 * Runs one load of lineitem in a process of its own, as a worker does that has run a stage before: moves a few rows, prints "ready", waits
 * for a line, moves all rows, prints what it did. Connecting and committing are part of what is measured; starting Node and compiling are not.
 */

const { MILLRACE_BENCH_URL: url = '', MILLRACE_BENCH_LAKE: lakeDirectory = '' } = process.env;
const source = postgres({ url });
const lake = s3({ url: `file:${lakeDirectory}` });

/** Reads four columns and changes two, as functions in pipelines do. */
function discounted(item: RowOf<typeof lineitem>): RowOf<typeof copied> {
  return { ...item, l_returnflag: item.l_tax === '0.00' ? 'X' : item.l_returnflag, l_comment: item.l_comment.trim() };
}

const lanes: Readonly<Record<string, (from: typeof lineitem) => Pipeline>> = {
  bytes(from) {
    const rows = extract(source, from);
    return pipeline({ name: 'bench-bytes', steps: { rows, loaded: load(rows, source.table(copied, { mode: 'append' })) } });
  },
  duckdb(from) {
    const rows = extract(source, from);
    return pipeline({ name: 'bench-duckdb', steps: { rows, loaded: load(rows, lake.parquet({ prefix: 'lineitem/' })) } });
  },
  columns(from) {
    const rows = extract(source, from);
    const taxed = mapBatches(rows, {
      to: copied,
      batch: (batch) =>
        batch.with({
          l_linenumber: batch
            .column('l_linenumber')
            .values()
            .map((line) => line + 1),
          l_quantity: batch.column('l_tax'),
        }),
    });
    return pipeline({ name: 'bench-columns', steps: { rows, taxed, loaded: load(taxed, source.table(copied, { mode: 'append' })) } });
  },
  rows(from) {
    const rows = extract(source, from);
    const changed = map(rows, { to: copied, row: discounted });
    return pipeline({ name: 'bench-rows', steps: { rows, changed, loaded: load(changed, source.table(copied, { mode: 'append' })) } });
  },
};

const lane = process.argv[2] ?? '';
await move(someLineitem);
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const started = performance.now();
const rows = await move(lineitem);
process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - started) / 1000, rows })}\n`);
process.exit(0);

/** One attempt at the lane's only stage, without a state store. Answers the rows that were committed. */
async function move(from: typeof lineitem): Promise<number> {
  const made = (lanes[lane] as (from: typeof lineitem) => Pipeline)(from);
  const [stage] = compile(made).stages;
  if (stage?.lane !== lane) throw new Error(`the planner took the ${stage?.lane} lane for ${lane}: ${stage?.reason}`);
  const spool = await mkdtemp(path.join(tmpdir(), 'millrace-bench-'));
  const now = new Date().toISOString();
  const output = await runStage(
    {
      run: { id: `bench-${from.name}-${now}`, pipeline: made.name, logicalTime: now, date: now.slice(0, 10), window: null, params: {} },
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
