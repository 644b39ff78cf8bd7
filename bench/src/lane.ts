import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { extract, load, type Pipeline, pipeline, type RowOf } from '@millrace/core';
import { compile, runStage } from '@millrace/core/runtime';
import { map, mapBatches } from '@millrace/transforms';
import { copied, lineitem } from './lineitem.ts';

/*
 * Runs one load of lineitem in a process of its own, as a warm worker would: prints "ready", waits for a line, moves the rows,
 * prints what it did. Connecting and committing are part of what is measured; starting Node is not.
 */

const { MILLRACE_BENCH_URL: url = '', MILLRACE_BENCH_LAKE: lakeDirectory = '' } = process.env;
const source = postgres({ url });
const lake = s3({ url: `file:${lakeDirectory}` });

/** Reads four columns and changes two, as functions in pipelines do. */
function discounted(item: RowOf<typeof lineitem>): RowOf<typeof copied> {
  return { ...item, l_returnflag: item.l_tax === '0.00' ? 'X' : item.l_returnflag, l_comment: item.l_comment.trim() };
}

const lanes: Readonly<Record<string, () => Pipeline>> = {
  bytes() {
    const rows = extract(source, lineitem);
    return pipeline({ name: 'bench-bytes', steps: { rows, loaded: load(rows, source.table(copied, { mode: 'append' })) } });
  },
  duckdb() {
    const rows = extract(source, lineitem);
    return pipeline({ name: 'bench-duckdb', steps: { rows, loaded: load(rows, lake.parquet({ prefix: 'lineitem/' })) } });
  },
  columns() {
    const rows = extract(source, lineitem);
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
  rows() {
    const rows = extract(source, lineitem);
    const changed = map(rows, { to: copied, row: discounted });
    return pipeline({ name: 'bench-rows', steps: { rows, changed, loaded: load(changed, source.table(copied, { mode: 'append' })) } });
  },
};

const lane = process.argv[2] ?? '';
const made = (lanes[lane] as () => Pipeline)();
const [stage] = compile(made).stages;
if (stage?.lane !== lane) throw new Error(`the planner took the ${stage?.lane} lane for ${lane}: ${stage?.reason}`);
const spool = await mkdtemp(path.join(tmpdir(), 'millrace-bench-'));
const now = new Date();
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const started = performance.now();
const output = await runStage(
  {
    run: {
      id: `bench-${now.getTime()}`,
      pipeline: made.name,
      logicalTime: now.toISOString(),
      date: now.toISOString().slice(0, 10),
      window: null,
      params: {},
    },
    runAt: now.toISOString(),
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
const seconds = (performance.now() - started) / 1000;
await rm(spool, { recursive: true, force: true });
process.stdout.write(`${JSON.stringify({ seconds, rows: output.kind === 'load' ? output.receipt.rows : 0 })}\n`);
process.exit(0);
