import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int8, table, text } from '@millrace/core';
import type { ChangeSink, SinkStream } from '@millrace/core/runtime';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { type TestBucket, testBucket } from '../../../../../test/s3.ts';
import { type Change, groupOf, positionAt, streamOf } from '../../../test/hand-made.ts';
import { batches, split, testContext } from '../../../test/load.ts';
import { openDataset, s3 } from '../../s3/index.ts';
import { redshift } from '../index.ts';

const orders = table('orders', { id: int8(), note: text().orNull() }, { key: ['id'] });
const tables = { orders };
const policy = { add: 'apply', drop: 'apply', rename: 'apply', retype: 'apply' } as const;

let bucket: TestBucket;
let database: TestDatabase;
let home: string;
beforeAll(async () => {
  bucket = await testBucket();
  database = await testDatabase();
  home = mkdtempSync(join(tmpdir(), 'millrace-mirror-'));
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await bucket?.[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => bucket.proxy.heal());

async function begun(schema: string, epoch: number): Promise<ChangeSink> {
  const { url, endpoint, region, credentials } = bucket;
  const staging = s3({ url, endpoint, region, credentials });
  const context = testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')) });
  const sink = await redshift({ url: database.url }).apply({ schema, staging, prefix: schema }).open(context);
  const stream: SinkStream = { owner: { pipeline: 'shop', step: schema }, pipelineRun: 'run-1', tables, policy };
  const { identity } = await sink.begin(stream, { key: `shop/${schema}`, epoch });
  if (!identity) await sink.follow(streamOf(), positionAt(16));
  return sink;
}

const put = (id: number): Change => ({ op: 'insert', table: 'orders', row: { id: BigInt(id), note: `order ${id}` } });
const ids = async (schema: string) => (await database.sql(`select id from "${schema}".orders order by id`)).map(({ id }) => Number(id));

async function stagedIn(schema: string): Promise<string[]> {
  const { url, endpoint, region, credentials } = bucket;
  await using storage = await openDataset(`${url}/${schema}`, { endpoint, region, credentials }, testContext());
  const keys: string[] = [];
  for await (const { key } of storage.list('')) keys.push(key);
  return keys;
}

test('changes go to the tables by way of S3, and nothing is left there', async () => {
  const sink = await begun('there', 1);
  const copy = await sink.copy('orders', 'fresh');
  await copy.stage(split(0), batches(orders, [{ id: 1n, note: null }]));
  expect(await stagedIn('there')).toHaveLength(1);
  await copy.finish(positionAt(16));
  bucket.proxy.fail({ method: 'PUT', path: 'there', with: 503 });
  bucket.proxy.fail({ method: 'GET', path: 'there', with: 500 });
  await sink.apply(groupOf(tables, [{ at: 20, changes: [put(2), put(3)] }]));
  expect(await sink.flush()).toBe(positionAt(21));
  expect(await ids('there')).toEqual([1, 2, 3]);
  expect(await stagedIn('there')).toEqual([]);
  await sink[Symbol.asyncDispose]();
});

test('a roll that cannot be stored or read changes nothing, and the next attempt applies it and tidies up', async () => {
  for (const [name, fault] of Object.entries({
    stored: { method: 'PUT', with: 403 } as const,
    read: { method: 'GET', path: /csv/, with: 403 } as const,
    tidied: { method: 'POST', with: 403 } as const,
  })) {
    const sink = await begun(name, 1);
    await sink.apply(groupOf(tables, [{ at: 20, changes: [put(1)] }]));
    bucket.proxy.fail({ ...fault, times: Number.POSITIVE_INFINITY });
    const flushed = await sink.flush().catch((error: { code: string }) => error.code);
    expect(flushed).toBe(name === 'tidied' ? positionAt(21) : 'ACCESS_DENIED');
    expect(await ids(name)).toEqual(name === 'tidied' ? [1] : []);
    await sink[Symbol.asyncDispose]();
    bucket.proxy.heal();
    const next = await begun(name, 2);
    if (name !== 'tidied') await next.apply(groupOf(tables, [{ at: 20, changes: [put(1)] }]));
    expect(await next.flush()).toBe(positionAt(21));
    expect(await ids(name)).toEqual([1]);
    expect(await stagedIn(name)).toEqual([]);
    await next[Symbol.asyncDispose]();
  }
});
