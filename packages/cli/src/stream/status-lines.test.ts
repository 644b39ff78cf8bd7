import type { StreamProgress } from '@millrace/core/runtime';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { statusLines } from './status-lines.ts';
import type { StreamState, StreamStatus } from './stream-status.ts';

const now = new Date('2026-03-29T12:00:00Z');
const stream: StreamProgress = {
  source: 'secret(SHOP_URL)',
  slot: 'shop',
  tables: { orders: { at: 'ready' } },
  sinks: [{ name: 'mirrored', object: 'shop', position: '0A', deadLetters: 0 }],
  position: '0A',
  transactions: 1,
  changes: 2,
  changesPerSecond: 0,
  lagMs: 0,
  health: null,
  at: '2026-03-29T11:59:58Z',
};
const status = (state: StreamState, more: Partial<StreamStatus> = {}): StreamStatus => ({
  pipeline: 'shop-mirror',
  step: 'changes',
  state,
  run: 'r1',
  stream,
  heardAt: stream.at,
  health: null,
  sourceError: null,
  warnings: [],
  ...more,
});
const head = (state: StreamState, more: Partial<StreamStatus> = {}) => statusLines(status(state, more), now, pc.createColors(false))[0];
const error = { code: 'SLOT_BUSY', message: 'somebody reads it', remedy: 'wait', facts: {} } as const;
const since = '2026-03-29T11:00:00Z';

test.each([
  [{ at: 'running', since, phase: 'streaming' }, {}, 'streaming for 1 h 00 min'],
  [{ at: 'running', since, phase: 'streaming' }, { heardAt: '2026-03-29T11:59:00Z' }, 'streaming for 1 h 00 min, not heard of for 60.0 s'],
  [{ at: 'retrying', next: '2026-03-29T12:00:05Z', error }, {}, 'failed with SLOT_BUSY; tried again in 5.0 s'],
  [{ at: 'failed', since, error }, {}, 'not running since 2026-03-29 11:00:00 UTC (1 h 00 min): failed with SLOT_BUSY'],
  [
    { at: 'stopped', since, how: 'interrupted' },
    {},
    'not running since 2026-03-29 11:00:00 UTC (1 h 00 min): its process has ended. "millrace run shop-mirror" goes on',
  ],
] as [StreamState, Partial<StreamStatus>, string][])('%j is told', (state, more, text) => {
  expect(head(state, more)).toBe(`shop-mirror  changes from secret(SHOP_URL)  ${text}`);
});

test('a pipeline that has never run says how it starts', () => {
  expect(statusLines(status({ at: 'never-run' }, { stream: null, run: null, heardAt: null }), now, pc.createColors(false))).toEqual([
    'shop-mirror  changes  never run: "millrace run shop-mirror" starts it',
    'There is no stream at the source.',
  ]);
});

test('an error comes with its remedy, and what the source says of its slot with the warnings, each once', () => {
  const health = {
    slot: 'shop',
    state: 'extended',
    retainedBytes: 6e9,
    budgetBytes: 10e9,
    lagBytes: 5e9,
    growthPerSecond: 0,
    spooledBytes: 0,
    warnings: [],
  };
  const warnings = ['1 change could not be applied and went to the dead letters of "mirrored".'];
  const letters = { ...stream, sinks: stream.sinks.map((sink) => ({ ...sink, deadLetters: 1 })) };
  const lines = statusLines(status({ at: 'failed', since, error }, { health, warnings, stream: letters }), now, pc.createColors(false));
  expect(lines.slice(1, 4)).toEqual(['  error somebody reads it', '     do wait', '   code SLOT_BUSY · docs/errors.md#slot_busy']);
  expect(lines.slice(-2)).toEqual(['the source keeps 6.00 GB of 10.0 GB (60 %); slot shop (extended)', `warning ${warnings[0]}`]);
  expect(lines.filter((line) => line.includes('dead letters'))).toHaveLength(1);
});
