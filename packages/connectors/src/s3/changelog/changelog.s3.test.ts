import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int8, table, text } from '@millrace/core';
import type { ChangeSink, Context, SinkStream } from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestBucket, testBucket } from '../../../../../test/s3.ts';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, split, testContext } from '../../../test/load.ts';
import { readAll } from '../../../test/read.ts';
import { readLog } from '../../../test/read-log.ts';
import { changesOf, s3 } from '../index.ts';
import type { StoreSettings } from '../open-storage.ts';

const orders = table('orders', { id: int8(), note: text().orNull() }, { key: ['id'] });
const tables = { orders };
const stream: SinkStream = {
  owner: { pipeline: 'shop', step: 'log' },
  pipelineRun: 'run-1',
  tables,
  policy: { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' },
};

let bucket: TestBucket;
let home: string;
let settings: StoreSettings;
beforeAll(async () => {
  bucket = await testBucket();
  home = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  settings = { endpoint: bucket.endpoint, region: bucket.region, credentials: bucket.credentials };
});
afterAll(async () => {
  await bucket[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => bucket.proxy.heal());

const lake = (name: string) => s3({ url: `${bucket.url}/${name}`, ...settings });
const contextOf = (more: Partial<Context> = {}) =>
  testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024, ...more });
const inserted = (id: number): Change => ({ op: 'insert', table: 'orders', row: { id: BigInt(id), note: `order ${id}` } });
const group = (at: number) => groupOf(tables, [{ at, changes: [inserted(at), inserted(at + 1)] }]);
const logged = async (name: string) => (await readLog(`${bucket.url}/${name}/log`, settings, home))['orders'] ?? [];

async function begun(name: string, epoch: number, context = contextOf()): Promise<ChangeSink> {
  const sink = await lake(name).changelog({ prefix: 'log' }).open(context);
  const { identity } = await sink.begin(stream, { key: 'shop/log', epoch });
  if (!identity) await sink.follow(streamOf(), positionAt(16));
  return sink;
}

test('a log goes to S3 and comes back, and a store that stumbles is tried again', async () => {
  await using sink = await begun('there', 1);
  await using copy = await sink.copy('orders', 'fresh', positionAt(16));
  await copy.stage(split(0), batches(orders, [{ id: 1n, note: 'one' }]));
  await copy.finish(positionAt(16));
  bucket.proxy.fail({ method: 'PUT', path: 'orders', with: 503 });
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 409, times: 2 });
  await sink.apply(group(20));
  expect(await sink.flush()).toBe(positionAt(21));
  const { rows } = await readAll(lake('there').dataset('log', changesOf(orders), { table: 'orders' }), {}, contextOf());
  expect(rows.map(({ _op, id }) => [_op, id])).toEqual([
    ['read', 1n],
    ['insert', 20n],
    ['insert', 21n],
  ]);
});

test('a commit whose answer is lost has happened once, in whatever attempt that is seen', async () => {
  const sink = await begun('lost', 1);
  await sink.apply(group(20));
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 'lost' });
  expect(await sink.flush()).toBe(positionAt(21));
  await sink.apply(group(30));
  // Neither the answer nor what stands there afterwards can be seen.
  bucket.proxy.fail({ method: 'PUT', path: '_manifest', with: 'lost', times: Number.POSITIVE_INFINITY });
  bucket.proxy.fail({ method: 'GET', path: '_manifest', with: 503, times: Number.POSITIVE_INFINITY });
  await expect(sink.flush()).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION_FAILED|REMOTE_/) });
  await expect(sink.apply(group(40))).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION_FAILED|REMOTE_/) });
  bucket.proxy.heal();
  await using next = await lake('lost').changelog({ prefix: 'log' }).open(contextOf());
  expect(await next.begin(stream, { key: 'shop/log', epoch: 2 })).toMatchObject({ position: positionAt(31) });
  expect((await logged('lost')).map(({ id }) => id)).toEqual([20, 21, 30, 31]);
  await sink[Symbol.asyncDispose]();
}, 60_000);

test('of two attempts at once only the newer one writes on, whichever is faster', async () => {
  for (const [round, slow] of [1, 2].entries()) {
    const name = `twins-${round}`;
    const older = await begun(name, 1);
    await older.apply(group(20));
    const path = `${name}/log/_manifest`;
    // Both want the same number: the one that is taking over, and the one that rolls.
    bucket.proxy.fail({ method: 'PUT', path, with: 'slow', ms: 400, after: slow === 1 ? 0 : 1 });
    const newer = lake(name).changelog({ prefix: 'log' }).open(contextOf());
    const rolled = older.flush().then(
      () => 'rolled',
      (error: { code: string }) => error.code,
    );
    const state = await (await newer).begin(stream, { key: 'shop/log', epoch: 2 });
    const how = await rolled;
    expect([`rolled ${positionAt(21)}`, `ATTEMPT_FENCED ${positionAt(16)}`]).toContain(`${how} ${state.position}`);
    if (how !== 'rolled') await (await newer).apply(group(20));
    await (await newer).apply(group(30));
    await (await newer).flush();
    expect((await logged(name)).map(({ id }) => id)).toEqual([20, 21, 30, 31]);
    expect(await older.flush().catch((error: { code: string }) => error.code)).toMatch(/ATTEMPT_FENCED|^0/);
    await older[Symbol.asyncDispose]();
    await (await newer)[Symbol.asyncDispose]();
  }
});

test('what was cancelled stops, with the reason of the cancellation', async () => {
  const stop = new AbortController();
  const sink = await begun('stopped', 1, contextOf({ signal: stop.signal }));
  await sink.apply(group(20));
  bucket.proxy.fail({ method: 'PUT', path: 'orders', with: 'stall' });
  const rolled = sink.flush();
  setTimeout(() => stop.abort(new Error('enough')), 1_500);
  await expect(rolled).rejects.toThrow('enough');
  await sink[Symbol.asyncDispose]();
});
