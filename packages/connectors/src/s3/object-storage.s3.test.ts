import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, table, text } from '@millrace/core';
import {
  batchOfRows,
  type Channel,
  type Context,
  type LoadSpec,
  type Receipt,
  rowsOf,
  type Selection,
  type StagedPart,
} from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestBucket, testBucket } from '../../../../test/s3.ts';
import { type FileConnection, s3 } from './index.ts';
import { openStorage, type StoreSettings } from './open-storage.ts';
import type { FileTarget } from './target.ts';

const things = table('things', { id: int4(), name: text().orNull() });
const rows = [1, 2, 3].map((id) => ({ id, name: id === 2 ? null : `thing ${id}` }));

let bucket: TestBucket;
let home: string;
let settings: StoreSettings;
beforeAll(async () => {
  bucket = await testBucket();
  home = mkdtempSync(join(tmpdir(), 'millrace-s3-'));
  settings = { endpoint: bucket.endpoint, region: bucket.region, credentials: bucket.credentials };
});
afterAll(async () => {
  await bucket[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => bucket.proxy.heal());

const context = (signal = new AbortController().signal): Context => ({
  run: { id: 'run-1', pipeline: 'nightly', logicalTime: '2026-03-01T00:00:00Z', date: '2026-03-01', window: null, params: {} },
  signal,
  secret: async () => 'secret',
  now: () => new Date(),
  log: { info() {}, warn() {} },
  spool: mkdtempSync(join(home, 'spool-')),
  progress() {},
  memoryBudget: 256 * 1024 * 1024,
});
const lake = (prefix: string) => s3({ url: `${bucket.url}/${prefix}`, ...settings });
const spec = (id: string, owner = 'files'): LoadSpec => ({
  id: id.padEnd(32, '0'),
  owner: { pipeline: 'nightly', step: owner },
  run: 'run-1',
  runAt: new Date().toISOString(),
  schema: things,
  window: null,
  files: [],
  plan: null,
  parallel: false,
});
const channel = (): Channel => ({
  format: 'batches',
  schema: things,
  batches: (async function* () {
    yield batchOfRows(things, rows);
  })(),
});
const split = { id: 's0', estimate: { rows: null, bytes: null }, where: {} };

async function load(target: FileTarget, of: LoadSpec, epoch = 1, before: (parts: StagedPart[]) => void = () => {}): Promise<Receipt> {
  await using sink = await target.open(context());
  await using session = await sink.begin(of, { key: `${of.owner.step}/${of.id}`, epoch });
  if (session.applied) return session.applied;
  const parts = [await session.stage(split, channel())];
  before(parts);
  return session.commit(parts, { window: null, loadId: of.id });
}

async function read(selection: Selection): Promise<unknown[]> {
  await using source = await selection.open(context());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const found: Record<string, unknown>[] = [];
  for (const one of plan.splits) {
    const opened = await source.open(one, 'batches');
    if (opened.format === 'batches') for await (const batch of opened.batches) found.push(...rowsOf(batch));
  }
  return found.sort((a, b) => Number(a['id']) - Number(b['id']));
}

test.each(['parquet', 'csv', 'jsonl'] as const)('%s goes to S3 and comes back', async (format) => {
  const place = lake('there')[format] as FileConnection['jsonl'];
  const receipt = await load(place({ prefix: format }), spec('a'));
  expect(receipt.files?.location).toBe(`${bucket.url}/there/${format}/`);
  expect(await read(lake('there').dataset(format, things))).toEqual(rows);
  const pattern = `${format}/data/*.${format === 'parquet' ? 'parquet' : `${format}.gz`}`;
  expect(await read(place(pattern, things))).toEqual(rows);
});

test('a store that stumbles is tried again', async () => {
  bucket.proxy.fail({ method: 'PUT', path: 'data', with: 503 });
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 409, times: 2 });
  bucket.proxy.fail({ method: 'GET', path: 'list-type', with: 500 });
  await load(lake('stumbles').parquet({ prefix: 'x' }), spec('a'));
  bucket.proxy.fail({ method: 'GET', path: 'data', with: 503 });
  expect(await read(lake('stumbles').dataset('x', things))).toEqual(rows);
});

test('a commit whose answer is lost has happened once', async () => {
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 'lost' });
  const receipt = await load(lake('lost').parquet({ prefix: 'x' }), spec('a'));
  expect(receipt.files?.manifest).toBe('_manifest/0000000001.json');
  expect(await load(lake('lost').parquet({ prefix: 'x' }), spec('a'), 2)).toEqual(receipt);
  expect(await read(lake('lost').dataset('x', things))).toEqual(rows);
});

test('a commit whose every answer is lost has happened once when it is tried again', async () => {
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 'lost', times: Number.POSITIVE_INFINITY });
  const receipt = await load(lake('lost').parquet({ prefix: 'y' }), spec('a'));
  expect(receipt.files?.manifest).toBe('_manifest/0000000001.json');
});

test('an upload that is cut is sent again, and a read that is cut is not taken for the file', async () => {
  bucket.proxy.fail({ method: 'PUT', path: 'data', with: 'cut' });
  await load(lake('cut').parquet({ prefix: 'x' }), spec('a')).catch((error: unknown) =>
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' }),
  );
  await load(lake('cut').parquet({ prefix: 'x' }), spec('a'), 2);
  bucket.proxy.fail({ method: 'GET', path: 'data', with: 'cut' });
  await expect(read(lake('cut').dataset('x', things))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(await read(lake('cut').dataset('x', things))).toEqual(rows);
});

test('writers at once into one prefix are all there', async () => {
  const loads = ['a', 'b', 'c', 'd', 'e'].map((owner) => load(lake('many').parquet({ prefix: 'x' }), spec(owner, owner)));
  const receipts = await Promise.all(loads);
  expect(receipts.map(({ files }) => files?.manifest.slice(-6, -5)).sort()).toEqual(['1', '2', '3', '4', '5']);
  expect(await read(lake('many').dataset('x', things))).toHaveLength(15);
});

test('a file replaced between plan and read is found out', async () => {
  await load(lake('changed').csv({ prefix: 'x', codec: 'none' }), spec('a'));
  await using source = await lake('changed').csv('x/data/*.csv', things).open(context());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  await using storage = await openStorage(`${bucket.url}/changed`, settings, context());
  const [{ key }] = (plan.splits[0]!.where as { files: [{ key: string }] }).files;
  await storage.write(key, 'id,name\n9,other\n');
  await expect(source.open(plan.splits[0]!, 'csv')).rejects.toMatchObject({
    code: 'MANIFEST_MISMATCH',
    message: expect.stringContaining('has changed'),
  });
});

test('large files go up in parts and whole', async () => {
  const path = join(home, 'large');
  const content = Buffer.alloc(40 * 1024 * 1024, 'millrace ');
  writeFileSync(path, content);
  await using storage = await openStorage(`${bucket.url}/large`, settings, context());
  bucket.proxy.fail({ method: 'PUT', path: 'partNumber=2', with: 500 });
  const stored = await storage.upload('it', path);
  expect(stored.size).toBe(content.length);
  const copy = await storage.fetch(stored, join(home, 'copy'));
  expect((await import('node:fs')).readFileSync(copy).equals(content)).toBe(true);
});

test('refusals are errors with a code and without a secret', async () => {
  const failing = async (status: 403 | 503, path: string) => {
    bucket.proxy.heal();
    bucket.proxy.fail({ path, with: status, times: Number.POSITIVE_INFINITY });
    return load(lake('refused').parquet({ prefix: 'x' }), spec('a')).catch((error: unknown) => error as Error & { code: string });
  };
  expect(await failing(403, '_millrace')).toMatchObject({ code: 'ACCESS_DENIED' });
  expect(await failing(503, 'data')).toMatchObject({ code: 'REMOTE_THROTTLED' });
  bucket.proxy.heal();
  const nowhere = s3({ url: 's3://no-such-bucket-here/x', ...settings });
  await expect(load(nowhere.parquet({ prefix: 'x' }), spec('a'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('no such bucket'),
  });
  const unreachable = s3({ url: bucket.url, ...settings, endpoint: 'http://127.0.0.1:1' });
  await expect(load(unreachable.parquet({ prefix: 'x' }), spec('a'))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
});

test('a store is examined by writing to it', async () => {
  expect((await lake('seen').examine(context())).map(({ level }) => level)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
  bucket.proxy.fail({ method: 'PUT', with: 403, times: 9 });
  expect(await lake('seen').examine(context())).toMatchObject([{ level: 'problem', remedy: expect.stringContaining('s3:PutObject') }]);
});

test('what was cancelled stops, with the reason of the cancellation', async () => {
  const stop = new AbortController();
  const target = lake('stopped').parquet({ prefix: 'x' });
  await using sink = await target.open(context(stop.signal));
  const session = await sink.begin(spec('a'), { key: 'stop', epoch: 1 });
  bucket.proxy.fail({ method: 'PUT', path: 'data', with: 'stall' });
  const staged = session.stage(split, channel());
  setTimeout(() => stop.abort(new Error('enough')), 1_500);
  await expect(staged).rejects.toThrow('enough');
});
