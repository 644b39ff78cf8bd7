import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { mysql } from '@millrace/connectors/mysql';
import { postgres } from '@millrace/connectors/postgres';
import { capture, continuous, load, type Pipeline, pipeline } from '@millrace/core';
import { type Context, compile, positionOf, runStage } from '@millrace/core/runtime';
import { ledger } from './cdc-workload.ts';

/*
 * What the cases of `cdc` run in a process of their own, as a worker does:
 *
 *   attach   begins a stream without a first copy, and ends
 *   drain    reads all changes from a position to the end, and does nothing with them
 *   apply    applies changes to the target until told to stop
 *   copy     begins a stream, copies the table and ends
 *
 * It prints "ready", waits for a line, does it, and prints what it did.
 */

const { MILLRACE_BENCH_SOURCE: from = '', MILLRACE_BENCH_TARGET: to = '' } = process.env;
const [work = '', table = 'ledger', after = ''] = process.argv.slice(2);
const target = postgres({ url: to });
const snapshot = work === 'copy' ? 'initial' : 'never';
const changes = from.startsWith('mysql:')
  ? capture(mysql({ url: from }), { tables: { [table]: ledger(`bench.${table}`) }, snapshot })
  : capture(postgres({ url: from }), { tables: { [table]: ledger(`public.${table}`) }, snapshot });
const made: Pipeline = pipeline({
  name: 'bench-cdc',
  runs: continuous,
  steps: { changes, mirrored: load(changes, target.apply({ schema: 'public' })) },
});
const now = new Date();
const spool = await mkdtemp(path.join(tmpdir(), 'millrace-bench-'));
const stop = new AbortController();
const context: Context = {
  run: { id: 'bench', pipeline: made.name, logicalTime: now.toISOString(), date: now.toISOString().slice(0, 10), window: null, params: {} },
  signal: stop.signal,
  secret: () => Promise.reject(new Error('no secrets here')),
  now: () => new Date(),
  log: { info: () => {}, warn: (message) => void process.stderr.write(`${message}\n`) },
  spool,
  progress: () => {},
  memoryBudget: 256 * 1024 * 1024,
};
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.once('data', () => stop.abort(new Error('enough')));
const started = performance.now();
const cpu = process.cpuUsage();
const done = work === 'drain' ? await drain() : await run();
const used = process.cpuUsage(cpu);
process.stdout.write(
  `${JSON.stringify({ seconds: (performance.now() - started) / 1000, cpuSeconds: (used.user + used.system) / 1e6, ...done })}\n`,
);
await rm(spool, { recursive: true, force: true });
process.exit(0);

interface Done {
  readonly changes: number;
  readonly position: string | null;
}

async function drain(): Promise<Done> {
  const { work: step } = changes;
  if (step.kind !== 'capture') throw new Error('no capture');
  await using opened = await step.source.open(context, { pipeline: made.name, step: 'changes' }, Date.now() * 1000);
  const stream = await opened.stream();
  if (!stream) throw new Error('no stream');
  let count = 0;
  for await (const group of opened.read(positionOf(after), { signal: stop.signal, until: stream.end })) {
    for await (const part of group.parts) if (part.kind === 'changes') count += part.kinds.length;
  }
  return { changes: count, position: null };
}

async function run(): Promise<Done> {
  const [stage] = compile(made).stages;
  const at = new Date().toISOString();
  let done: Done = { changes: 0, position: null };
  try {
    await runStage(
      {
        run: context.run,
        runAt: at,
        fullRefresh: false,
        ...(work !== 'apply' && { until: 'caught-up' }),
        stage: stage as NonNullable<typeof stage>,
        epoch: 1,
        redone: 0,
        files: {},
        earlier: { plan: null, parts: [] },
        concurrency: 2,
        memoryBudget: context.memoryBudget,
      },
      made,
      {
        ...context,
        progress: ({ stream }) => {
          if (stream) done = { changes: stream.changes, position: stream.position };
        },
        storePlan: async () => {},
        storePart: async () => {},
        forgetParts: async () => {},
      },
    );
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  return done;
}
