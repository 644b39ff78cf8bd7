import { int8, table } from '@millrace/core';
import type { CaptureSource } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import type { DmsControl, DmsTable } from './control.ts';
import { completeOutput, readingOf } from './output.ts';
import { sourceCheck } from './reconcile.ts';

const orders = table('public.orders', { id: int8() }, { key: ['id'] });
const counted: DmsTable = {
  schema: 'public',
  table: 'orders',
  state: 'Table completed',
  loadedRows: 100,
  errorRows: 0,
  startedAt: null,
  inserts: 0,
  deletes: 0,
};

/** A source that has so many rows each time it is asked, the last number for ever; and what DMS has seen since. */
function check(counts: readonly number[], seen: Partial<DmsTable> = {}, dialect = 'postgres') {
  const asked: string[] = [];
  const query = async (text: string) => {
    asked.push(text);
    return [{ rows: String(counts[Math.min(asked.length, counts.length) - 1]) }];
  };
  const connection = { kind: 'connection', connector: 'postgres', label: 'shop', examine: async () => [], dialect, sql: () => ({ query }) };
  const control = { tables: async () => [{ ...counted, ...seen }] } as Partial<DmsControl> as DmsControl;
  const reading = {
    place: { schema: 'public', table: 'orders' },
    schema: orders,
    reading: readingOf(completeOutput()),
    sequence: true,
    keyBefore: false,
    binary: 'hex',
  } as const;
  const run = sourceCheck({
    control,
    native: { connection } as unknown as CaptureSource,
    readings: new Map([['orders', reading]]),
    context: testContext(),
    lookMs: 1,
  });
  return { run: () => run('orders', 100), asked };
}

test('as many rows as were loaded are well, and the source is asked once', async () => {
  const { run, asked } = check([100]);
  await run();
  expect(asked).toEqual(['SELECT count(*) AS rows FROM "public"."orders"']);
});

test('rows that have come and gone since explain a difference', async () => {
  await check([103], { inserts: 5, deletes: 2 }).run();
});

test('what DMS has yet to see is waited for', async () => {
  const { run, asked } = check([102, 101, 100]);
  await run();
  expect(asked).toHaveLength(3);
});

test('rows that DMS has left out without a word are an error', async () => {
  await expect(check([158], { inserts: 3 }).run()).rejects.toMatchObject({
    code: 'MANIFEST_MISMATCH',
    facts: { table: 'orders', there: 158, loaded: 100, moved: 3 },
  });
});

test('a source that cannot be asked is not', async () => {
  const { run, asked } = check([0], {}, 'mysql');
  await run();
  expect(asked).toEqual([]);
});
