import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, continuous, int4, load, pipeline, table, text } from '@millrace/core';
import { type Context, compile } from '@millrace/core/runtime';
import { MemoryDatabase, type MemoryRow, memoryApply, memoryDatabase, memoryMirror, testContext } from '@millrace/core/testing';
import { mask, redact, rename } from '@millrace/transforms';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type StreamCheck, streamChecks } from './stream-check.ts';
import type { StreamClock } from './stream-clock.ts';
import { verifyStreamTable } from './verify-stream.ts';

const orders = table('orders', { id: int4(), total: int4(), email: text() }, { key: ['id'] });
const spool = mkdtempSync(join(tmpdir(), 'millrace-verify-stream-'));
const context: Context = { ...testContext(), spool };

/** A shop of so many orders and a mirror of it, behind a mask and a new name for the key. */
function mirrored(count: number) {
  const shop = new MemoryDatabase({ orders });
  const ids = Array.from({ length: count }, (_, id) => id);
  shop.commit(...ids.map((id) => ({ do: 'insert', table: 'orders', row: { id, total: id, email: `${id}@example.com` } }) as const));
  const mirror = memoryMirror();
  const changes = capture(memoryDatabase(shop), { tables: { orders } });
  const masked = mask(changes, { orders: { email: redact() } });
  const renamed = rename(masked, { orders: { id: 'order_id' } });
  const applied = load(renamed, memoryApply(mirror));
  const made = pipeline({ name: 'shop', runs: continuous, steps: { changes, masked, renamed, applied } });
  const [check] = streamChecks(made, compile(made), []) as [StreamCheck];
  /** The mirror has everything that the shop has, but for orders that it has lost. */
  const follow = (lost: ReadonlySet<number> = new Set()): void => {
    const rows = new Map<string, MemoryRow>();
    for (const { id, total } of shop.rows('orders') as { id: number; total: number }[])
      rows.set(String(id), { order_id: id, total: lost.has(id) ? -1 : total, email: '[redacted]' });
    mirror.durable.tables.set('orders', { schema: { columns: check.shape.columns }, rows });
  };
  const change = (id: number): void =>
    void shop.commit({ do: 'update', table: 'orders', key: { id }, set: { total: Math.floor(Math.random() * 1e9) } });
  return { check, follow, change };
}

const clockThat = (catchUp: () => void, followed = true): StreamClock => ({
  followed,
  catchUp: async () => catchUp(),
  async [Symbol.asyncDispose]() {},
});

test('a mirror that is behind when it is looked at is equal, since the looking waits for it', async () => {
  const { check, follow, change } = mirrored(50);
  follow();
  for (let id = 0; id < 20; id++) change(id);
  const result = await verifyStreamTable(check, clockThat(follow), context, 10);
  expect(result).toMatchObject({ equal: true, rows: { expected: 50, stored: 50 }, stream: { table: 'orders', moving: 0, followed: true } });
});

test('of a stream that nobody follows what the target lacks is a difference', async () => {
  const { check, follow, change } = mirrored(50);
  follow();
  change(7);
  const result = await verifyStreamTable(
    check,
    clockThat(() => {}, false),
    context,
    10,
  );
  expect(result).toMatchObject({ equal: false, comparison: { equal: 49, changed: 1 }, stream: { followed: false } });
  expect(result.differences).toMatchObject([{ kind: 'changed', key: { order_id: '7' }, columns: [{ column: 'total', target: '7' }] }]);
});

test('rows that change at every look are counted, and make nothing unequal', async () => {
  const { check, follow, change } = mirrored(50);
  const hot = [1, 2, 3];
  const clock = clockThat(() => {
    for (const id of hot) change(id);
    follow();
  });
  expect(await verifyStreamTable(check, clock, context, 10)).toMatchObject({ equal: true, stream: { moving: 3 }, differences: [] });
});

test('what the mirror has lost is found whatever moves about it, and nothing else is', async () => {
  const scenario = fc.record({
    lost: fc.uniqueArray(fc.nat(29), { maxLength: 3 }),
    before: fc.array(fc.array(fc.nat(29), { maxLength: 5 }), { minLength: 20, maxLength: 20 }),
    meanwhile: fc.array(fc.array(fc.nat(29), { maxLength: 5 }), { minLength: 20, maxLength: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ lost, before, meanwhile }) => {
      const { check, follow, change } = mirrored(30);
      let look = 0;
      const clock = clockThat(() => {
        // After a while the lost ones are left alone: what never stands still cannot be told.
        const busy = (ids: readonly number[] | undefined) => (ids ?? []).filter((id) => look < 4 || !lost.includes(id));
        for (const id of busy(meanwhile[look])) change(id);
        follow(new Set(lost));
        for (const id of busy(before[look])) change(id);
        look++;
      });
      const { equal, differences } = await verifyStreamTable(check, clock, context, 10);
      expect({ equal, lost: differences.map(({ key }) => Number(key['order_id'])).sort() }).toEqual({
        equal: lost.length === 0,
        lost: [...lost].sort(),
      });
    }),
    { numRuns: 40 },
  );
});

test('a change log is not compared, and says so', async () => {
  const { check, follow } = mirrored(1);
  follow();
  const log = { ...check, stored: null, target: { ...check.target, description: { ...check.target.description, mode: 'log' as const } } };
  const result = await verifyStreamTable(
    log,
    clockThat(() => {}),
    context,
    10,
  );
  expect(result).toMatchObject({ reason: 'not compared: change log', comparison: null });
});
