import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, numeric, type RowOf, table, text, timestamptz } from '@millrace/core';
import {
  batchOfRows,
  type Channel,
  type Context,
  type FilesRef,
  type LoadSpec,
  type Receipt,
  rowsOf,
  type Selection,
} from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FileConnection, filesOf, listManifests, openDataset, s3 } from './index.ts';
import type { FileTarget } from './target.ts';

const orders = table(
  'orders',
  { id: int4(), total: numeric(12, 2), note: text().orNull(), day: text(), at: timestamptz() },
  { key: ['id'] },
);
type Order = RowOf<typeof orders>;
const order = (id: number, more: Partial<Order> = {}): Order => ({
  id,
  total: `${id}.50`,
  note: null,
  day: `2024-02-${10 + (id % 3)}`,
  at: '2024-02-29T10:00:00.000000Z',
  ...more,
});

let home: string;
let now = new Date('2026-03-01T10:00:00Z');
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-s3-'));
  now = new Date('2026-03-01T10:00:00Z');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const context = (): Context => ({
  run: { id: 'run-1', pipeline: 'nightly', logicalTime: now.toISOString(), date: '2026-03-01', window: null, params: {} },
  signal: new AbortController().signal,
  secret: async ({ name }) => `secret ${name}`,
  now: () => now,
  log: { info() {}, warn: (message) => void console.error(message) },
  spool: mkdtempSync(join(home, 'spool-')),
  progress() {},
  memoryBudget: 256 * 1024 * 1024,
});

const lake = () => s3({ url: `file:${home}/lake` });
const spec = (id: string, more: Partial<LoadSpec> = {}): LoadSpec => ({
  id: id.padEnd(32, '0'),
  owner: { pipeline: 'nightly', step: 'files' },
  run: 'run-1',
  runAt: now.toISOString(),
  schema: orders,
  window: null,
  files: [],
  plan: null,
  parallel: false,
  ...more,
});

const channel = (rows: Order[]): Channel => ({
  format: 'batches',
  schema: orders,
  batches: (async function* () {
    yield batchOfRows(orders, rows);
  })(),
});

async function load(target: FileTarget, of: LoadSpec, rows: Order[], epoch = 1): Promise<Receipt> {
  await using sink = await target.open(context());
  await using session = await sink.begin(of, { key: `${of.run}/files`, epoch });
  if (session.applied) return session.applied;
  const half = Math.ceil(rows.length / 2);
  const parts = [];
  for (const [index, some] of [rows.slice(0, half), rows.slice(half)].entries()) {
    parts.push(await session.stage({ id: `s${index}`, estimate: { rows: null, bytes: null }, where: {} }, channel(some)));
  }
  return session.commit(parts, { window: of.window, loadId: of.id });
}

async function read(selection: Selection): Promise<Order[]> {
  await using source = await selection.open(context());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const rows: Order[] = [];
  for (const split of plan.splits) {
    const opened = await source.open(split, 'batches');
    if (opened.format !== 'batches') throw new Error('batches were asked for');
    for await (const batch of opened.batches) rows.push(...(rowsOf(batch) as unknown as Order[]));
  }
  return rows.sort((a, b) => a.id - b.id);
}

const rows = [1, 2, 3, 4, 5].map((id) => order(id));

test.each(['parquet', 'csv', 'jsonl'] as const)('what a load commits as %s is what the dataset holds', async (format) => {
  const target = (lake()[format] as FileConnection['jsonl'])({ prefix: 'orders' });
  const receipt = await load(target, spec('a'), rows);
  expect(receipt.rows).toBe(5);
  expect(await read(lake().dataset('orders', orders))).toEqual(rows);
  expect(await read(target.stored!(orders))).toEqual(rows);
  const { manifest, files } = await filesOf(receipt.files as FilesRef, {}, context());
  expect(manifest.entries).toEqual(
    files.map(({ url, bytes, rows: count }) => ({ url, mandatory: true, meta: { content_length: bytes, record_count: count } })),
  );
  for (const { key, bytes } of files) expect(statSync(join(home, 'lake/orders', key)).size).toBe(bytes);
});

test('partitions become directories and stay in the files', async () => {
  const receipt = await load(lake().parquet({ prefix: 'orders', partitionBy: ['day'] }), spec('a'), [
    ...rows,
    order(6, { day: 'a b/ü=%' }),
  ]);
  const { files } = await filesOf(receipt.files as FilesRef, {}, context());
  expect([...new Set(files.map(({ key }) => key.split('/')[1]))].sort()).toEqual([
    'day=2024-02-10',
    'day=2024-02-11',
    'day=2024-02-12',
    'day=a%20b%2F%C3%BC%3D%25',
  ]);
  expect(await read(lake().dataset('orders', orders))).toHaveLength(6);
});

test('append adds, replace takes the place of all that was there', async () => {
  await load(lake().parquet({ prefix: 'orders' }), spec('a'), rows.slice(0, 2));
  await load(lake().csv({ prefix: 'orders', codec: 'zstd' }), spec('b'), rows.slice(2));
  expect(await read(lake().dataset('orders', orders))).toEqual(rows);
  await load(lake().jsonl({ prefix: 'orders', mode: 'replace' }), spec('c'), rows.slice(4));
  expect(await read(lake().dataset('orders', orders))).toEqual(rows.slice(4));
  await using dataset = await openDataset(`file://${home}/lake/orders/`, {}, context());
  expect((await listManifests(dataset)).map(({ sequence }) => sequence)).toEqual([3]);
  expect((await listManifests(dataset, '_manifest/0000000001.json')).map(({ sequence, mode }) => [sequence, mode])).toEqual([
    [3, 'replace'],
  ]);
  expect(await listManifests(dataset, '_manifest/0000000003.json')).toEqual([]);
});

test('a load is applied once, also by an attempt that had not seen the commit', async () => {
  const target = lake().parquet({ prefix: 'orders' });
  await using sink = await target.open(context());
  const slow = await sink.begin(spec('a'), { key: 'run-1/files', epoch: 1 });
  const part = await slow.stage({ id: 's0', estimate: { rows: null, bytes: null }, where: {} }, channel(rows));
  const first = await load(target, spec('a'), rows, 1);
  await load(target, spec('b', { owner: { pipeline: 'other', step: 'x' } }), rows);
  expect(await slow.commit([part], { window: null, loadId: spec('a').id })).toEqual(first);
  expect(await load(target, spec('a'), rows, 2)).toEqual(first);
  expect(await read(lake().dataset('orders', orders))).toHaveLength(10);
});

test('an attempt is refused once a newer one has begun', async () => {
  const target = lake().parquet({ prefix: 'orders' });
  await using sink = await target.open(context());
  const zombie = await sink.begin(spec('a'), { key: 'run-1/files', epoch: 1 });
  await sink.begin(spec('a'), { key: 'run-1/files', epoch: 2 });
  await expect(zombie.commit([], { window: null, loadId: 'a' })).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  await expect(sink.begin(spec('a'), { key: 'run-1/files', epoch: 1 })).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
});

test('a window must begin where the last one ended', async () => {
  const target = lake().parquet({ prefix: 'orders' });
  const window = (low: string | null, high: string) => ({ window: { column: 'at', low, high } });
  await load(target, spec('a', window(null, '10')), rows.slice(0, 2));
  await expect(load(target, spec('b', window('11', '20')), rows)).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
  await expect(load(target, spec('c', window(null, '20')), rows)).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
  await load(target, spec('d', window('10', '20')), rows.slice(2));
  await using sink = await target.open(context());
  expect((await sink.checkpoint({ pipeline: 'nightly', step: 'files' }))?.window?.high).toBe('20');
  expect(await sink.checkpoint({ pipeline: 'nightly', step: 'other' })).toBeNull();
  await load(target, spec('e', { ...window(null, '30'), fullRefresh: true }), rows);
  expect(await read(lake().dataset('orders', orders))).toEqual(rows);
});

test('an older run does not replace what a newer one has loaded', async () => {
  const target = lake().parquet({ prefix: 'orders', mode: 'replace' });
  await load(target, spec('new', { runAt: '2026-03-01T09:59:00.000Z' }), rows);
  await expect(load(target, spec('old', { runAt: '2026-03-01T09:00:00.000Z' }), rows.slice(0, 1))).rejects.toMatchObject({
    code: 'CHECKPOINT_MOVED',
  });
});

test('two loads at once into one prefix are both there', async () => {
  const target = lake().parquet({ prefix: 'orders' });
  const writers = ['a', 'b', 'c', 'd'].map((id, index) =>
    load(target, spec(id, { owner: { pipeline: id, step: 'x' }, run: id }), [order(index)]),
  );
  const receipts = await Promise.all(writers);
  expect(new Set(receipts.map(({ files }) => files?.manifest)).size).toBe(4);
  expect((await read(lake().dataset('orders', orders))).map(({ id }) => id)).toEqual([0, 1, 2, 3]);
});

test('parts of an earlier attempt are used while they are whole', async () => {
  const target = lake().parquet({ prefix: 'orders' });
  await using sink = await target.open(context());
  const first = await sink.begin(spec('a'), { key: 'run-1/files', epoch: 1 });
  const split = (id: string) => ({ id, estimate: { rows: null, bytes: null }, where: {} });
  const parts = [await first.stage(split('s0'), channel(rows.slice(0, 2))), await first.stage(split('s1'), channel(rows.slice(2)))];
  const second = await sink.begin(spec('a'), { key: 'run-1/files', epoch: 2 });
  const stored = JSON.parse(JSON.stringify(parts)) as typeof parts;
  const [{ key }] = (stored[1]!.detail as { files: [{ key: string }] }).files;
  utimesSync(join(home, 'lake/orders', key), new Date(), new Date(0));
  const kept = await second.recover!(stored);
  expect(kept.map((part) => part.split)).toEqual(['s0']);
  await second.commit([...kept, await second.stage(split('s1'), channel(rows.slice(2)))], { window: null, loadId: spec('a').id });
  expect(await read(lake().dataset('orders', orders))).toEqual(rows);
});

test('what no load has committed is deleted when it is old enough, and nothing else', async () => {
  const target = lake().parquet({ prefix: 'orders', orphanHours: 24 });
  await using sink = await target.open(context());
  const lost = await sink.begin(spec('lost'), { key: 'run-0/files', epoch: 1 });
  await lost.stage({ id: 's0', estimate: { rows: null, bytes: null }, where: {} }, channel(rows));
  await load(target, spec('a'), rows);
  const parts = () => readdirSync(join(home, 'lake/orders/data'));
  expect(parts()).toHaveLength(3);
  for (const name of readdirSync(join(home, 'lake/orders/_millrace/staged')))
    utimesSync(join(home, 'lake/orders/_millrace/staged', name), new Date(), new Date(now.getTime() - 25 * 3_600_000));
  await load(target, spec('b'), rows.slice(0, 1));
  expect(parts()).toHaveLength(3);
  expect(parts().some((name) => name.includes('lost'))).toBe(false);
  expect(await read(lake().dataset('orders', orders))).toHaveLength(6);
});

test('parts that might be taken for orphans are not committed', async () => {
  const target = lake().parquet({ prefix: 'orders', orphanHours: 24 });
  await using sink = await target.open(context());
  const session = await sink.begin(spec('a'), { key: 'run-1/files', epoch: 1 });
  const part = await session.stage({ id: 's0', estimate: { rows: null, bytes: null }, where: {} }, channel(rows));
  now = new Date(now.getTime() + 23.5 * 3_600_000);
  await expect(session.commit([part], { window: null, loadId: 'a' })).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  expect(await session.recover!([part])).toEqual([]);
});

test('a file that somebody changes after the commit is found out', async () => {
  const receipt = await load(lake().parquet({ prefix: 'orders' }), spec('a'), rows);
  const { files } = await filesOf(receipt.files as FilesRef, {}, context());
  writeFileSync(join(home, 'lake/orders', files[0]!.key), 'else');
  await expect(read(lake().dataset('orders', orders))).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
});

test('a load without rows moves the checkpoint and leaves no file', async () => {
  const receipt = await load(lake().parquet({ prefix: 'orders' }), spec('a', { window: { column: 'at', low: null, high: '5' } }), []);
  expect(receipt).toMatchObject({ rows: 0, bytes: 0 });
  expect(await read(lake().dataset('orders', orders))).toEqual([]);
});

test('problems are told before anything runs', () => {
  const odd = table('odd', { a: int4(), A: int4() });
  expect(
    lake()
      .parquet({ prefix: 'x', partitionBy: ['b'], fileBytes: '1MB' })
      .problems(odd)
      .map(({ message }) => message),
  ).toEqual([
    'partitionBy names "b", which is not a column.',
    'fileBytes and partitionBy cannot be used together.',
    'The columns "a" and "A" differ in case only, and files do not tell them apart.',
  ]);
  expect(() => lake().parquet({ prefix: 'x', mode: 'merge' as 'append' })).toThrow(/merge/);
  expect(() => lake().parquet({ prefix: 'x', fileBytes: '5 apples' as '5MB' })).toThrow(/not a size/);
});

test('a place is examined by writing to it', async () => {
  expect((await lake().examine(context())).map(({ level }) => level)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  writeFileSync(join(home, 'file'), '');
  const nowhere = s3({ url: `file:${home}/file/lake` });
  expect((await nowhere.examine(context())).map(({ level }) => level)).toEqual(['problem']);
  await expect(s3({ url: 'ftp://x:secret@y/z' }).parquet({ prefix: '' }).open(context())).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: '"ftp://y/z" is not a place for files.',
  });
});
