import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { int8, table, text } from '@millrace/core';
import {
  type ChangeSink,
  type ChangeTarget,
  type Context,
  isMillraceError,
  type SchemaPolicy,
  type SinkStream,
} from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { groupOf, positionAt, streamOf } from '../../../test/changes.ts';
import { batches, split, testContext } from '../../../test/load.ts';
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
const context = (more: Partial<Context> = {}) =>
  testContext(undefined, { spool: mkdtempSync(join(home, 'spool-')), memoryBudget: 256 * 1024 * 1024, ...more });
const open = async (target: ChangeTarget<never>, more: Partial<Context> = {}): Promise<ChangeSink> => target.open(context(more));
const fence = (epoch: number) => ({ key: 'shop/log', epoch });

function linesOf(directory: string): Record<string, unknown>[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) =>
      gunzipSync(readFileSync(join(directory, name)))
        .toString()
        .trim()
        .split('\n'),
    )
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a change log holds first copies and every change, and how far it has come', async () => {
  const url = place();
  const lake = s3({ url: `file:${url}` });
  await using sink = await open(lake.changelog({ prefix: 'changes/' }));
  expect(await sink.begin(stream, fence(1))).toEqual({ identity: null, position: null, copied: {}, deadLetters: 0 });
  await sink.follow(streamOf(), positionAt(16));
  await using copy = await sink.copy('orders', 'fresh', positionAt(16));
  await copy.stage(
    split(0),
    batches(orders, [
      { id: 1n, note: 'one' },
      { id: 2n, note: null },
    ]),
  );
  await copy.finish(positionAt(16));
  const before = { id: 3n, note: 'three' };
  const durable = await sink.apply(
    groupOf(tables, [
      {
        at: 17,
        changes: [
          { op: 'insert', table: 'orders', row: before },
          { op: 'insert', table: 'customers', row: { id: 1n, name: 'Ann' } },
        ],
      },
      {
        at: 20,
        changes: [
          { op: 'update', table: 'orders', row: { id: 4n }, old: { id: 3n }, unchanged: ['note'] },
          { op: 'delete', table: 'orders', old: { id: 1n } },
          { op: 'truncate', tables: ['customers'] },
        ],
      },
    ]),
  );
  expect(durable).toBe(positionAt(16));
  expect(await sink.flush()).toBe(positionAt(21));
  const lines = linesOf(`${url}/changes/orders`);
  expect(lines).toMatchInlineSnapshot(`
    [
      {
        "_before": null,
        "_committed_at": null,
        "_op": "read",
        "_ordinal": 1000010000000001,
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
        "_ordinal": 1000010000000002,
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
  expect(linesOf(`${url}/changes/customers`)).toHaveLength(2);
  await using next = await open(lake.changelog({ prefix: 'changes/' }));
  expect(await next.begin(stream, fence(2))).toEqual({
    identity: streamOf(),
    position: positionAt(21),
    copied: { orders: positionAt(16) },
    deadLetters: 0,
  });
});
