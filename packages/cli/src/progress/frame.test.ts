import type { StreamProgress, StreamTableState } from '@millrace/core/runtime';
import fc from 'fast-check';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { displayWidth } from '../text/width.ts';
import { frame } from './frame.ts';
import type { RunView, StageView } from './run-view.ts';
import { remaining } from './run-view.ts';
import { Speed } from './speed.ts';

const waiting: StageView = {
  id: 'copied',
  lane: 'server',
  at: 'waiting',
  phase: null,
  attempt: 0,
  rows: 0,
  bytes: 0,
  expectedRows: null,
  splits: null,
  startedAt: null,
  endedAt: null,
  stream: null,
  note: 'waits for files',
};
const running: StageView = {
  id: 'files',
  lane: 'rows',
  at: 'running',
  phase: 'moving',
  attempt: 2,
  rows: 250_000,
  bytes: 31_000_000,
  expectedRows: 500_000,
  splits: { done: 3, total: 8 },
  startedAt: 0,
  endedAt: null,
  stream: null,
  note: null,
};
const view = (...stages: StageView[]): RunView => ({ id: 'r1', pipeline: 'nightly', startedAt: 0, stages });
const plain = pc.createColors(false);

test('the table of stages is aligned and says what is left', () => {
  expect(frame(view(running, waiting), new Speed(), { now: 5000, width: 120, height: 40, tick: 0 }, plain)).toEqual([
    'stage   state          lane       rows    rows/s    bytes  splits   time   left',
    'files   ⠋ running (2)  rows    250,000  50.0 k/s  31.0 MB     3/8  5.0 s  5.0 s',
    'copied  · waiting      server',
    '  waits for files',
  ]);
});

test('the speed is that of the last seconds, and begins again with a new attempt', () => {
  const speed = new Speed();
  for (let second = 0; second <= 10; second++)
    speed.sample(view({ ...running, rows: second < 6 ? second * 10 : 50 + second * 1000 }), second * 1000);
  expect(speed.of('files').rows / speed.of('files').ms).toBeCloseTo(1, 5);
  speed.sample(view({ ...running, rows: 5 }), 11_000);
  expect(speed.of('files')).toEqual({ rows: 0, ms: 0 });
});

test('nothing is promised before something is known', () => {
  expect(remaining({ ...running, rows: 0, splits: null }, 1000)).toBeNull();
  expect(remaining({ ...running, expectedRows: null, splits: { done: 4, total: 8 } }, 1000)).toBe(1000);
  expect(remaining({ ...running, rows: 600_000 }, 1000)).toBeNull();
});

const anyStream: fc.Arbitrary<StreamProgress> = fc.record({
  source: fc.constant('secret(SHOP_URL)'),
  slot: fc.constantFrom(null, 'millrace_shop'),
  tables: fc.dictionary(
    fc.stringMatching(/^[a-z]{1,30}$/),
    fc.oneof(
      fc.record({ at: fc.constantFrom('waiting', 'catching-up', 'ready') }),
      fc.record({ at: fc.constant('copying'), splits: fc.record({ done: fc.nat(9), total: fc.nat(99) }) }),
    ) as fc.Arbitrary<StreamTableState>,
    { maxKeys: 50 },
  ),
  sinks: fc.array(
    fc.record({ name: fc.string(), object: fc.string({ unit: 'binary' }), position: fc.option(fc.string()), deadLetters: fc.nat(2) }),
    { maxLength: 4 },
  ),
  position: fc.constant(null),
  transactions: fc.nat(),
  changes: fc.nat(),
  changesPerSecond: fc.nat(),
  lagMs: fc.option(fc.nat()),
  health: fc.option(
    fc.record({
      slot: fc.string(),
      state: fc.constantFrom('reserved', 'lost'),
      retainedBytes: fc.nat(),
      budgetBytes: fc.option(fc.nat()),
      lagBytes: fc.nat(),
      growthPerSecond: fc.nat(),
      spooledBytes: fc.nat(),
      warnings: fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 }),
    }),
  ),
  at: fc.constant('2026-03-29T00:00:00.000Z'),
});

const anyStage: fc.Arbitrary<StageView> = fc.record({
  id: fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,62}$/),
  lane: fc.constantFrom('server', 'bytes', 'duckdb', 'columns', 'rows'),
  at: fc.constantFrom('waiting', 'running', 'retrying', 'succeeded', 'failed', 'cancelled', 'skipped'),
  phase: fc.constantFrom(null, 'planning', 'moving', 'committing'),
  attempt: fc.nat(9),
  rows: fc.maxSafeNat(),
  bytes: fc.maxSafeNat(),
  expectedRows: fc.option(fc.maxSafeNat()),
  splits: fc.option(fc.record({ done: fc.nat(), total: fc.nat() })),
  startedAt: fc.option(fc.nat(1000)),
  endedAt: fc.option(fc.integer({ min: 1000, max: 100_000_000 })),
  stream: fc.option(anyStream),
  note: fc.option(fc.string({ unit: 'binary' })),
});

test('no line is wider than the screen, and no frame is higher than it', () => {
  fc.assert(
    fc.property(
      fc.array(anyStage, { maxLength: 60 }),
      fc.integer({ min: 20, max: 200 }),
      fc.integer({ min: 8, max: 60 }),
      (stages, width, height) => {
        const lines = frame(view(...stages), new Speed(), { now: 5000, width, height, tick: 3 }, pc.createColors(true));
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
        expect(lines.length).toBeLessThan(height);
      },
    ),
    { numRuns: 200 },
  );
});
