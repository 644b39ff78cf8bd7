import type { StreamHealth, StreamProgress } from '@millrace/core/runtime';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { streamLines, streamSummary } from './stream-lines.ts';

const plain = pc.createColors(false);
const health: StreamHealth = {
  slot: 'millrace_shop_mirror_changes',
  state: 'reserved',
  retainedBytes: 34_500_000,
  budgetBytes: 1_000_000_000,
  lagBytes: 1_200,
  growthPerSecond: 100_000,
  spooledBytes: 0,
  warnings: [],
};
const stream: StreamProgress = {
  source: 'secret(SHOP_URL)',
  slot: health.slot,
  tables: { customers: { at: 'ready' }, orders: { at: 'copying', splits: { done: 3, total: 8 } } },
  sinks: [
    { name: 'mirrored', object: 'shop', position: '00000001.000000000A0B0C0D', deadLetters: 0 },
    { name: 'archived', object: 'cdc/shop/', position: null, deadLetters: 0 },
  ],
  position: null,
  transactions: 100,
  changes: 1_234_567,
  changesPerSecond: 1_234.4,
  lagMs: 12,
  health,
  at: '2026-03-29T00:00:00.000Z',
};

test('a stream says where its tables and sinks are, how far behind it is and what its slot keeps', () => {
  expect(streamLines(stream, plain)).toEqual([
    'table      state',
    'customers  ready',
    'orders     copying, 3 of 8 splits',
    'sink      target     position',
    'mirrored  shop       00000001.000000000A0B0C0D',
    'archived  cdc/shop/  none yet',
    '1,234,567 changes since it began, 1,234 a second, 12 ms and 1.20 kB behind',
    'the source keeps 34.5 MB of 1.00 GB (3 %), log grows 100 kB/s, full in 2 h 41 min if nothing is released; slot millrace_shop_mirror_changes (reserved)',
  ]);
  expect(streamSummary(stream)).toBe(
    '1 ready, 1 copying (3 of 8 splits), 1,234,567 changes since it began, 1,234 a second, 12 ms and 1.20 kB behind, the source keeps 34.5 MB of 1.00 GB (3 %), log grows 100 kB/s, full in 2 h 41 min if nothing is released',
  );
});

test('of many tables those on the move are shown, and the others are counted', () => {
  const ready = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`table_${n}`, { at: 'ready' } as const]));
  const lines = streamLines({ ...stream, tables: { ...ready, ...stream.tables } }, plain, { tables: 4 });
  expect(lines.slice(0, 5)).toEqual([
    'table    state',
    'orders   copying, 3 of 8 splits',
    'table_0  ready',
    'table_1  ready',
    'and 39 more tables; of all, 41 ready, 1 copying (3 of 8 splits)',
  ]);
});

test('what the source says of its slot is a warning', () => {
  const warned = streamLines({ ...stream, health: { ...health, warnings: ['The slot holds 60 % of the log\nit may hold.'] } }, plain);
  expect(warned.at(-1)).toBe('warning The slot holds 60 % of the log\\nit may hold.');
});

test('dead letters are a warning', () => {
  const sinks = stream.sinks.map((sink) => ({ ...sink, deadLetters: sink.name === 'mirrored' ? 3 : 0 }));
  expect(streamLines({ ...stream, sinks }, plain).at(-1)).toBe(
    'warning 3 changes could not be applied and went to the dead letters of "mirrored".',
  );
});
