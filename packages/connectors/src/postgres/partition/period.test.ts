import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decidePartitions, gaps, type Range } from './decide.ts';
import { instantOf, plus, startOf, suffixOf, wallAt } from './period.ts';

const zones = [
  'UTC',
  'Europe/Paris',
  'America/New_York',
  'America/Havana',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Pacific/Apia',
];
const zone = fc.constantFrom(...zones);
const period = fc.constantFrom('day' as const, 'week' as const, 'month' as const);
const instant = fc.integer({ min: Date.UTC(2005, 0, 1), max: Date.UTC(2035, 0, 1) });
const plan = (by: 'hour' | 'day' | 'week' | 'month', timeZone: string, now: number, ahead = 3, existing: readonly Range[] = []) =>
  decidePartitions({ by, ahead, timeZone, expired: null }, { now, run: { from: now, to: now }, instants: true, existing }).make;

it('an instant lies in the partition of the day that its clock shows, also where clocks change', () => {
  fc.assert(
    fc.property(zone, instant, (timeZone, now) => {
      const [first] = plan('day', timeZone, now, 0);
      expect(first).toBeDefined();
      const { from, to, suffix } = first as { from: number; to: number; suffix: string };
      expect(from <= now && now < to).toBe(true);
      for (const at of [from, to - 1, now])
        expect(`d${new Date(wallAt(timeZone, at)).toISOString().slice(0, 10).replaceAll('-', '')}`).toBe(suffix);
    }),
  );
});

it('partitions have neither gaps nor overlaps, and every name is another', () => {
  fc.assert(
    fc.property(period, zone, instant, fc.integer({ min: 0, max: 40 }), (by, timeZone, now, ahead) => {
      const made = plan(by, timeZone, now, ahead);
      for (const [at, one] of made.entries()) {
        expect(one.from).toBeLessThan(one.to);
        if (at > 0) expect(one.from).toBe(made[at - 1]?.to);
      }
      expect(new Set(made.map(({ suffix }) => suffix)).size).toBe(made.length);
    }),
  );
});

it('what is there stays, and what it does not cover is made', () => {
  const range = fc.tuple(instant, fc.integer({ min: 1, max: 90 * 86_400_000 })).map(([from, long]) => ({ from, to: from + long }));
  fc.assert(
    fc.property(period, zone, instant, fc.array(range, { maxLength: 5 }), (by, timeZone, now, ranges) => {
      const existing: Range[] = [];
      for (const one of ranges) existing.push(...gaps(one, existing));
      const [all, made] = [plan(by, timeZone, now), plan(by, timeZone, now, 3, existing)];
      const together = [...existing, ...made];
      for (const one of all) expect(gaps(one, together)).toEqual([]);
      for (const { from, to } of made) expect(gaps({ from, to }, existing)).toEqual([{ from, to }]);
    }),
  );
});

it('made once, there is nothing left to make', () => {
  fc.assert(
    fc.property(period, zone, instant, (by, timeZone, now) => {
      expect(plan(by, timeZone, now, 3, plan(by, timeZone, now))).toEqual([]);
    }),
  );
});

it.each([
  ['Europe/Paris', '2026-03-29', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z'], // 23 hours
  ['Europe/Paris', '2026-10-25', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z'], // 25 hours
  ['Asia/Beirut', '2026-03-29', '2026-03-28T22:00:00.000Z', '2026-03-29T21:00:00.000Z'], // without a midnight
  ['America/Havana', '2026-11-01', '2026-11-01T04:00:00.000Z', '2026-11-02T05:00:00.000Z'], // with two
  ['Australia/Lord_Howe', '2026-10-04', '2026-10-03T13:30:00.000Z', '2026-10-04T13:00:00.000Z'],
])('in %s the day %s is from %s to %s', (timeZone, day, from, to) => {
  const start = Date.parse(day);
  expect(new Date(instantOf(timeZone, start)).toISOString()).toBe(from);
  expect(new Date(instantOf(timeZone, plus('day', start, 1))).toISOString()).toBe(to);
});

it('a day that a country has left out gets no partition', () => {
  expect(plan('day', 'Pacific/Apia', Date.parse('2011-12-29T12:00:00Z'), 2).map(({ suffix }) => suffix)).toEqual([
    'd20111229',
    'd20111231',
  ]);
});

it.each([
  ['hour', '2026-12-31T23:59:59.999Z', 'h2026123123', '2027-01-01T00:00:00.000Z'],
  ['day', '2028-02-29T00:00:00.000Z', 'd20280229', '2028-03-01T00:00:00.000Z'],
  ['week', '2027-01-01T00:00:00.000Z', 'w20261228', '2027-01-04T00:00:00.000Z'],
  ['week', '1969-12-29T00:00:00.000Z', 'w19691229', '1970-01-05T00:00:00.000Z'],
  ['month', '2027-01-31T12:00:00.000Z', 'm202701', '2027-02-01T00:00:00.000Z'],
] as const)('the %s of %s is called %s and ends at %s', (by, at, suffix, end) => {
  const start = startOf(by, Date.parse(at));
  expect(suffixOf(by, start)).toBe(suffix);
  expect(new Date(plus(by, start, 1)).toISOString()).toBe(end);
});

it('a backfill gets the partitions of its window, and they are not expired at once', () => {
  const existing = [
    { from: Date.parse('2020-01-01'), to: Date.parse('2020-01-02') },
    { from: Date.parse('2020-02-01'), to: Date.parse('2020-02-02') },
  ];
  const { make, expired } = decidePartitions(
    { by: 'day', ahead: 0, timeZone: 'UTC', expired: { afterMs: 90 * 86_400_000, action: 'drop' } },
    {
      now: Date.parse('2026-03-29T10:00:00Z'),
      run: { from: Date.parse('2020-01-01'), to: Date.parse('2020-01-03') },
      instants: true,
      existing,
    },
  );
  expect(make.map(({ suffix }) => suffix)).toEqual(['d20200102', 'd20260329']);
  expect(expired).toEqual([existing[1]]);
});
