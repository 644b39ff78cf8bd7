import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int8, table, text } from '@millrace/core';
import {
  type ChangeGroup,
  type ChangeSink,
  type ChangeTarget,
  type Context,
  changeKinds,
  isMillraceError,
  type SchemaPolicy,
  type SinkStream,
} from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, split, testContext } from '../../../test/load.ts';
import { readAll } from '../../../test/read.ts';
import { readLog } from '../../../test/read-log.ts';
import { changesOf, listManifests, openDataset, s3 } from '../index.ts';

const orders = table('public.orders', { id: int8(), note: text().orNull() }, { key: ['id'] });
const customers = table('public.customers', { id: int8(), name: text() }, { key: ['id'] });
const tables = { orders, customers };
const policy: SchemaPolicy = { add: 'apply', drop: 'pause', rename: 'apply', retype: 'widen' };
const stream: SinkStream = { owner: { pipeline: 'shop', step: 'log' }, pipelineRun: 'run-1', tables, policy };

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-log-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
let made = 0;
const place = () => `${home}/lake${++made}`;
const contextOf = (more: Partial<Context> = {}) =>
  testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024, ...more });
const fence = (epoch: number) => ({ key: 'shop/log', epoch });

async function following(target: ChangeTarget<never>, more: Partial<Context> = {}, of: SinkStream = stream): Promise<ChangeSink> {
  const sink = await target.open(contextOf(more));
  await sink.begin(of, fence(1));
  await sink.follow(streamOf(), positionAt(16));
  return sink;
}

const code = (work: Promise<unknown>) =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  );
const inserted = (id: bigint, note: string | null = null): Change => ({ op: 'insert', table: 'orders', row: { id, note } });
const manifests = async (url: string) => listManifests(await openDataset(url, {}, contextOf()));

test('a change log holds first copies and every change, and how far it has come', async () => {
  const url = place();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'changes/' });
  await using sink = await target.open(contextOf());
  expect(await sink.begin(stream, fence(1))).toEqual({ identity: null, position: null, copied: {}, deadLetters: 0 });
  await sink.follow(streamOf(), positionAt(16));
  await using copy = await sink.copy('orders', 'fresh', positionAt(16));
  const read = [
    { id: 1n, note: 'one' },
    { id: 2n, note: null },
  ];
  await copy.stage(split(0), batches(orders, read));
  await copy.finish(positionAt(16));
  const changes: Change[] = [
    { op: 'update', table: 'orders', row: { id: 4n }, old: { id: 3n }, unchanged: ['note'] },
    { op: 'delete', table: 'orders', old: { id: 1n } },
    { op: 'truncate', tables: ['customers'] },
  ];
  const first: Change[] = [inserted(3n, 'three'), { op: 'insert', table: 'customers', row: { id: 1n, name: 'Ann' } }];
  const group = groupOf(tables, [
    { at: 17, changes: first },
    { at: 20, changes },
  ]);
  expect(await sink.apply(group)).toBe(positionAt(16));
  expect(await sink.flush()).toBe(positionAt(21));
  const log = await readLog(`file:${url}/changes/`);
  expect(log['orders']).toMatchInlineSnapshot(`
    [
      {
        "_before": null,
        "_committed_at": null,
        "_op": "read",
        "_ordinal": -8999989999999999,
        "_position": "0000000000000010",
        "_unchanged": null,
        "_xid": null,
        "id": 1,
        "note": "one",
      },
      {
        "_before": null,
        "_committed_at": null,
        "_op": "read",
        "_ordinal": -8999989999999998,
        "_position": "0000000000000010",
        "_unchanged": null,
        "_xid": null,
        "id": 2,
        "note": null,
      },
      {
        "_before": null,
        "_committed_at": "2026-01-01 00:00:17.000123+00",
        "_op": "insert",
        "_ordinal": 0,
        "_position": "0000000000000011",
        "_unchanged": null,
        "_xid": "717",
        "id": 3,
        "note": "three",
      },
      {
        "_before": "{"id":3}",
        "_committed_at": "2026-01-01 00:00:20.000123+00",
        "_op": "update",
        "_ordinal": 0,
        "_position": "0000000000000014",
        "_unchanged": "["note"]",
        "_xid": "720",
        "id": 4,
        "note": null,
      },
      {
        "_before": "{"id":1}",
        "_committed_at": "2026-01-01 00:00:20.000123+00",
        "_op": "delete",
        "_ordinal": 1,
        "_position": "0000000000000014",
        "_unchanged": null,
        "_xid": "720",
        "id": 1,
        "note": null,
      },
    ]
  `);
  expect(log['customers']).toMatchInlineSnapshot(`
    [
      {
        "_before": null,
        "_committed_at": "2026-01-01 00:00:17.000123+00",
        "_op": "insert",
        "_ordinal": 1,
        "_position": "0000000000000011",
        "_unchanged": null,
        "_xid": "717",
        "id": 1,
        "name": "Ann",
      },
      {
        "_before": null,
        "_committed_at": "2026-01-01 00:00:20.000123+00",
        "_op": "truncate",
        "_ordinal": 2,
        "_position": "0000000000000014",
        "_unchanged": null,
        "_xid": "720",
        "id": null,
        "name": null,
      },
    ]
  `);
  expect(readdirSync(`${url}/changes/orders`).sort()).toEqual([
    '0000000000000010-0000000000000010-1-2.jsonl.gz',
    '0000000000000011-0000000000000014-1-3.jsonl.gz',
  ]);
  await using next = await target.open(contextOf());
  expect(await next.begin(stream, fence(2))).toEqual({
    identity: streamOf(),
    position: positionAt(21),
    copied: { orders: positionAt(16) },
    deadLetters: 0,
  });
});

test('changes roll by time, also where nothing follows them, and a position alone rolls seldom', async () => {
  const url = place();
  let now = Date.parse('2026-03-01T00:00:00Z');
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log', roll: { every: '10s' } });
  await using sink = await following(target, { now: () => new Date(now) });
  const count = async () => (await manifests(`file:${url}/log`)).length;
  const before = await count();
  expect(await sink.apply(groupOf(tables, [{ at: 20, changes: [inserted(1n)] }]))).toBe(positionAt(16));
  now += 9_000;
  expect(await sink.apply(groupOf(tables, [{ at: 22, changes: [inserted(2n)] }]))).toBe(positionAt(16));
  expect(await count()).toBe(before);
  now += 1_000;
  await expect.poll(count).toBe(before + 1);
  expect(await sink.apply(groupOf(tables, [], 30))).toBe(positionAt(23));
  now += 30_000;
  expect(await sink.apply(groupOf(tables, [], 40))).toBe(positionAt(23));
  now += 30_000;
  expect(await sink.apply(groupOf(tables, [], 50))).toBe(positionAt(50));
  const last = (await manifests(`file:${url}/log`)).at(-1)!;
  expect(last.files).toEqual([]);
  expect(await sink.flush()).toBe(positionAt(50));
  expect(await count()).toBe(before + 2);
});

/** One transaction that is read as it is applied. */
function giant(rows: number, each: number): ChangeGroup {
  const row = { id: 0n, note: 'x'.repeat(200) };
  return {
    transactions: [{ commit: positionAt(100), committedAt: '2026-01-01T00:00:00.123456Z', xid: '5', firstOrdinal: 0 }],
    size: null,
    position: () => positionAt(101),
    parts: (async function* () {
      for (let at = 0; at < rows; at += each) {
        const batch = (await batchOf(Array.from({ length: each }, (_, index) => ({ ...row, id: BigInt(at + index) }))))!;
        yield {
          kind: 'changes',
          table: 'orders',
          kinds: new Uint8Array(each).fill(changeKinds.insert),
          ordinals: Float64Array.from({ length: each }, (_, index) => at + index),
          transactions: new Int32Array(each),
          rows: batch,
          old: null,
          before: new Uint8Array(each),
        } as const;
      }
    })(),
  };
}

async function batchOf(rows: { id: bigint; note: string }[]) {
  const channel = batches(orders, rows, rows.length);
  if (channel.format !== 'batches') return null;
  for await (const batch of channel.batches) return batch;
  return null;
}

test('a transaction larger than a file becomes several files of one manifest, and little of it is on this machine at a time', async () => {
  const url = place();
  const context = contextOf();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log', roll: { every: '1h', size: '2MB' } });
  await using sink = await target.open(context);
  await sink.begin(stream, fence(1));
  await sink.follow(streamOf(), positionAt(16));
  let most = 0;
  const { parts, ...group } = giant(40_000, 1_000);
  const watched = (async function* () {
    for await (const part of parts) {
      most = Math.max(most, bytesUnder(context.spool));
      yield part;
    }
  })();
  const seen = (await manifests(`file:${url}/log`)).length;
  expect(await sink.apply({ ...group, parts: watched })).toBe(positionAt(101));
  const [manifest, ...more] = (await manifests(`file:${url}/log`)).slice(seen);
  expect(more).toEqual([]);
  expect(manifest!.files.length).toBeGreaterThan(3);
  expect(manifest!.rows).toBe(40_000);
  expect(most).toBeGreaterThan(1024 * 1024);
  expect(most).toBeLessThan(4 * 1024 * 1024);
  expect(readdirSync(join(context.spool, 'log'))).toEqual([]);
  const { rows } = await readAll(s3({ url: `file:${url}` }).dataset('log', changesOf(orders), { table: 'orders' }), {}, context);
  expect(rows.map(({ _ordinal }) => Number(_ordinal))).toEqual(Array.from({ length: 40_000 }, (_, index) => index));
});

const bytesUnder = (directory: string): number =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);

test('an update that a filter has made a delete takes the row away that was there before', async () => {
  const url = place();
  await using sink = await following(s3({ url: `file:${url}` }).changelog({ prefix: 'log' }));
  const moved: Change = { op: 'update', table: 'orders', row: { id: 2n }, old: { id: 1n }, unchanged: ['note'] };
  const { parts, ...group } = groupOf(tables, [{ at: 20, changes: [inserted(1n, 'one'), moved] }]);
  const filtered = (async function* () {
    for await (const part of parts)
      yield part.kind === 'changes' ? { ...part, kinds: Uint8Array.of(changeKinds.insert, changeKinds.delete) } : part;
  })();
  await sink.apply({ ...group, parts: filtered });
  await sink.flush();
  const { orders: lines } = await readLog(`file:${url}/log`);
  expect(lines?.map(({ _op, id, note, _unchanged }) => [_op, id, note, _unchanged])).toEqual([
    ['insert', 1, 'one', null],
    ['delete', 1, null, null],
  ]);
});

test('two logs of one stream go their own pace', async () => {
  const url = place();
  const lake = s3({ url: `file:${url}` });
  await using fast = await following(lake.changelog({ prefix: 'fast', roll: { every: '1h', size: 1024 } }));
  await using slow = await following(lake.changelog({ prefix: 'slow', format: 'csv' }));
  const group = () => groupOf(tables, [{ at: 20, changes: [inserted(1n, 'x'.repeat(2_000))] }]);
  expect(await fast.apply(group())).toBe(positionAt(21));
  expect(await slow.apply(group())).toBe(positionAt(16));
});

test('following another stream begins the log anew', async () => {
  const url = place();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log' });
  await using sink = await following(target);
  await sink.apply(groupOf(tables, [{ at: 20, changes: [inserted(1n, 'old')] }]));
  await sink.follow(streamOf('slot', 8), positionAt(8));
  await using copy = await sink.copy('orders', 'fresh', positionAt(8));
  await copy.stage(split(0), batches(orders, [{ id: 1n, note: 'new' }]));
  await copy.finish(positionAt(8));
  const log = await readLog(`file:${url}/log`);
  expect(log['orders']?.map(({ _op, note }) => [_op, note])).toEqual([['read', 'new']]);
});

test('an older attempt that wakes up can neither roll nor copy', async () => {
  const url = place();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log' });
  await using older = await following(target);
  const copy = await older.copy('orders', 'fresh', positionAt(16));
  await copy.stage(split(0), batches(orders, [{ id: 7n, note: 'late' }]));
  await older.apply(groupOf(tables, [{ at: 20, changes: [inserted(1n)] }]));
  await using newer = await target.open(contextOf());
  expect(await newer.begin(stream, fence(2))).toMatchObject({ position: positionAt(16) });
  await newer.apply(groupOf(tables, [{ at: 20, changes: [inserted(1n)] }]));
  expect(await code(older.flush())).toBe('ATTEMPT_FENCED');
  expect(await code(copy.finish(positionAt(16)))).toBe('ATTEMPT_FENCED');
  expect(await newer.flush()).toBe(positionAt(21));
  expect(Object.values(await readLog(`file:${url}/log`)).flat()).toHaveLength(1);
  await using oldest = await target.open(contextOf());
  expect(await code(oldest.begin(stream, fence(1)))).toBe('ATTEMPT_FENCED');
});

test('files of attempts that died are deleted after a day; those of a copy that takes longer are not', async () => {
  const url = place();
  let now = Date.now();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log' });
  const dead = await following(target);
  const lost = await dead.copy('orders', 'fresh', positionAt(16));
  await lost.stage(split(0), batches(orders, [{ id: 1n, note: 'lost' }]));
  await using sink = await target.open(contextOf({ now: () => new Date(now) }));
  await sink.begin(stream, fence(2));
  await using copy = await sink.copy('orders', 'fresh', positionAt(16));
  await copy.stage(split(0), batches(orders, [{ id: 1n, note: 'kept' }]));
  const notes = `${url}/log/_millrace/staged`;
  for (const name of readdirSync(notes)) utimesSync(join(notes, name), new Date(now - 1), new Date(now - 1));
  now += 48 * 3_600_000;
  await sink.apply(groupOf(tables, [{ at: 20, changes: [{ op: 'insert', table: 'customers', row: { id: 1n, name: 'Ann' } }] }]));
  await sink.flush();
  expect(readdirSync(`${url}/log/orders`)).toEqual(['0000000000000010-0000000000000010-2-2.jsonl.gz']);
  await copy.finish(positionAt(16));
  expect((await readLog(`file:${url}/log`))['orders']?.map(({ note }) => note)).toEqual(['kept']);
  expect(existsSync(notes)).toBe(false);
});

test('a new column waits for a person or stays out of the log where the policy says so, also after a restart', async () => {
  const url = place();
  const target = s3({ url: `file:${url}` }).changelog({ prefix: 'log' });
  const ssn = { name: 'ssn', type: { kind: 'text' }, nullable: true } as const;
  const schema = { columns: [...orders.columns, ssn], key: ['id'] };
  const added: Change = { op: 'schema', table: 'orders', schema, changes: [{ change: 'add', column: ssn, fill: null }] };
  const group = (at: number) =>
    groupOf({ orders: schema }, [{ at, changes: [added, { op: 'insert', table: 'orders', row: { id: 1n, note: null, ssn: '1' } }] }]);
  const sink = await following(target, {}, { ...stream, policy: { ...policy, add: 'pause' } });
  expect(await code(sink.apply(group(20)))).toBe('SCHEMA_CHANGED');
  const ignoring = { ...stream, policy: { ...policy, add: 'ignore' } as const };
  await using second = await target.open(contextOf());
  await second.begin(ignoring, fence(2));
  await second.apply(group(20));
  await second.flush();
  await using third = await target.open(contextOf());
  await third.begin(ignoring, fence(3));
  const row = { id: 2n, note: null, ssn: '2' };
  await third.apply(groupOf({ orders: schema }, [{ at: 22, changes: [{ op: 'insert', table: 'orders', row }] }]));
  await third.flush();
  expect(JSON.stringify(await readLog(`file:${url}/log`))).not.toContain('ssn');
});

test('what cannot be a change log is told before anything is written', async () => {
  const url = place();
  const lake = s3({ url: `file:${url}` });
  expect(() => lake.changelog({ prefix: 'x', format: 'parquet', compression: 'gzip' })).toThrow('format "parquet" with compression "gzip"');
  expect(() => lake.changelog({ prefix: 'x', roll: { every: '1ms' } })).toThrow('a file of every change');
  const odd = table('odd', { id: int8(), _OP: text(), a: text(), A: text() });
  expect(
    lake
      .changelog({ prefix: 'x' })
      .problems({ odd })
      .map(({ message }) => message),
  ).toEqual([
    'The column "_OP" of "odd" cannot be told from "_op", which the log writes itself.',
    'The column "A" of "odd" cannot be told from "a".',
  ]);
  await using _sink = await following(lake.changelog({ prefix: 'log' }));
  const other = await lake.changelog({ prefix: 'log' }).open(contextOf());
  expect(await code(other.begin({ ...stream, owner: { pipeline: 'other', step: 'log' } }, { key: 'other', epoch: 9 }))).toBe(
    'CONFIG_INVALID',
  );
  await other[Symbol.asyncDispose]();
});
