import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { int4, table } from '@millrace/core';
import { type Context, rowsOf } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listManifests, openDataset, type S3Failpoint, s3, s3Failpoints } from './index.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const things = table('things', { id: int4() });
let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
  writeFileSync(join(home, 'load.mjs'), loadProgram);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** One attempt at the load `second` into a dataset: two splits, then the commit. Its arguments: directory, mode, load, epoch. */
const loadProgram = `
import { mkdirSync } from 'node:fs';
import { batchOfRows } from ${JSON.stringify(pathToFileURL(join(here, '../../../core/src/runtime.ts')).href)};
import { int4, table } from ${JSON.stringify(pathToFileURL(join(here, '../../../core/src/index.ts')).href)};
import { s3 } from ${JSON.stringify(pathToFileURL(join(here, 'index.ts')).href)};
const [directory, mode, id, epoch] = process.argv.slice(2);
const things = table('things', { id: int4() });
const spool = directory + '/spool-' + process.pid;
mkdirSync(spool, { recursive: true });
const context = { run: {}, signal: new AbortController().signal, secret: async () => '', now: () => new Date(), log: { info() {}, warn: console.error }, spool, progress() {}, memoryBudget: 256 * 1024 * 1024 };
const window = id === 'first' ? { column: 'id', low: null, high: '3' } : { column: 'id', low: '3', high: '6' };
const load = { id: id.padEnd(32, '0'), owner: { pipeline: 'p', step: 's' }, run: id, runAt: '2026-03-01T00:00:00Z', schema: things, window: mode === 'append' ? window : null, files: [], plan: null, parallel: false };
const sink = await s3({ url: 'file:' + directory }).parquet({ prefix: 'things', mode }).open(context);
const session = await sink.begin(load, { key: id, epoch: Number(epoch) });
let receipt = session.applied;
if (!receipt) {
  const parts = [];
  for (const [split, ids] of (id === 'first' ? [['s0', [0, 1]], ['s1', [2]]] : [['s0', [3]], ['s1', [4, 5]]])) {
    const batches = (async function* () { yield batchOfRows(things, ids.map((n) => ({ id: n }))); })();
    parts.push(await session.stage({ id: split, estimate: { rows: null, bytes: null }, where: {} }, { format: 'batches', schema: things, batches }));
  }
  receipt = await session.commit(parts, { window: load.window, loadId: load.id });
}
console.log(JSON.stringify(receipt));
process.exit(0);
`;

interface Attempt {
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

function attempt(
  directory: string,
  mode: string,
  load: string,
  epoch: number,
  failpoint?: string,
  started: (pid: number) => void = () => {},
): Promise<Attempt> {
  const env = { ...process.env, ...(failpoint && { MILLRACE_FAILPOINT: failpoint }) };
  const child = spawn(
    process.execPath,
    ['--conditions=millrace-source', '--import', 'tsx', join(home, 'load.mjs'), directory, mode, load, String(epoch)],
    {
      cwd: join(here, '../../../..'),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  started(child.pid!);
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    output += text;
  });
  return new Promise((resolve) => child.once('close', (_code, signal) => resolve({ signal, output })));
}

const context = (directory: string): Context => ({
  run: { id: '', pipeline: '', logicalTime: '', date: '', window: null, params: {} },
  signal: new AbortController().signal,
  secret: async () => '',
  now: () => new Date(),
  log: { info() {}, warn() {} },
  spool: directory,
  progress() {},
  memoryBudget: 256 * 1024 * 1024,
});

/** What readers and the next load can see. */
async function seen(directory: string) {
  const lake = s3({ url: `file:${directory}` });
  await using source = await lake.dataset('things', things).open(context(directory));
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const ids: unknown[] = [];
  for (const split of plan.splits) {
    const channel = await source.open(split, 'batches');
    if (channel.format === 'batches') for await (const batch of channel.batches) ids.push(...rowsOf(batch).map(({ id }) => id));
  }
  await using dataset = await openDataset(`${pathToFileURL(directory).href}/things/`, {}, context(directory));
  const manifests = await listManifests(dataset);
  await using sink = await lake.parquet({ prefix: 'things' }).open(context(directory));
  return {
    ids: ids.sort(),
    log: manifests.map(({ sequence, loadId, rows, mode }) => ({ sequence, loadId, rows, mode })),
    checkpoint: await sink.checkpoint({ pipeline: 'p', step: 's' }),
  };
}

/** A dataset with the load `first` in it. */
async function begun(mode: string): Promise<string> {
  firsts[mode] ??= first(mode);
  const original = await firsts[mode];
  const directory = mkdtempSync(join(home, 'copy-'));
  cpSync(original, directory, { recursive: true, preserveTimestamps: true });
  return directory;
}
const firsts: Record<string, Promise<string>> = {};

async function first(mode: string): Promise<string> {
  const directory = mkdtempSync(join(home, 'first-'));
  const { signal, output } = await attempt(directory, mode, 'first', 1);
  expect(signal, output).toBeNull();
  return directory;
}

async function undisturbed(mode: string) {
  const directory = await begun(mode);
  expect((await attempt(directory, mode, 'second', 1)).signal).toBeNull();
  return seen(directory);
}

const calm: Record<string, ReturnType<typeof seen>> = {};
function expected(mode: string) {
  calm[mode] ??= undisturbed(mode);
  return calm[mode];
}

const points = s3Failpoints.flatMap(
  (point: S3Failpoint) =>
    (point.startsWith('s3.commit')
      ? [
          ['append', point],
          ['replace', point],
        ]
      : [['append', point]]) as ['append' | 'replace', S3Failpoint][],
);

test.concurrent.each(points)(
  '%s: killed at %s twice, then done',
  async (mode, point) => {
    const directory = await begun(mode);
    const kills = [await attempt(directory, mode, 'second', 1, point), await attempt(directory, mode, 'second', 2, point)];
    // After the commit a second attempt finds its load applied and never comes past the point.
    const committed = point === 's3.commit.written' || point === 's3.commit.tidied';
    expect(kills.map(({ signal }) => signal)).toEqual(['SIGKILL', committed ? null : 'SIGKILL']);
    const last = await attempt(directory, mode, 'second', 3);
    expect(last.signal, last.output).toBeNull();
    expect(await seen(directory)).toEqual(await expected(mode));
  },
  120_000,
);

test.concurrent.each(['s3.part.uploaded', 's3.commit.begun'] as const)(
  'an attempt that sleeps at %s and wakes after its successor changes nothing',
  async (point) => {
    const directory = await begun('append');
    let pid = 0;
    const zombie = attempt(directory, 'append', 'second', 1, `${point}:1:pause`, (started) => {
      pid = started;
    });
    await stopped(pid);
    const successor = await attempt(directory, 'append', 'second', 2);
    expect(successor.signal, successor.output).toBeNull();
    process.kill(pid, 'SIGCONT');
    const woken = await zombie;
    // At the commit it finds its load applied; before, that it is fenced off.
    if (point === 's3.commit.begun') expect(JSON.parse(woken.output)).toEqual(JSON.parse(successor.output));
    expect(await seen(directory)).toEqual(await expected('append'));
  },
  120_000,
);

async function stopped(pid: number): Promise<void> {
  for (;;) {
    const state =
      process.platform === 'linux'
        ? readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]
        : execFileSync('ps', ['-o', 'state=', '-p', String(pid)]).toString()[0];
    if (state === 'T') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
