import { expect, it } from 'vitest';
import { boundText, parseBound } from './bound.ts';
import { partitionName } from './name.ts';

it.each([
  [
    "FOR VALUES FROM ('2026-03-29 00:00:00+00') TO ('2026-03-30 00:00:00.5+00')",
    Date.parse('2026-03-29'),
    Date.parse('2026-03-30T00:00:00.5Z'),
  ],
  ["FOR VALUES FROM ('2026-03-29') TO (MAXVALUE)", Date.parse('2026-03-29'), Number.POSITIVE_INFINITY],
  ["FOR VALUES FROM (MINVALUE) TO ('2026-03-29 12:30:00')", Number.NEGATIVE_INFINITY, Date.parse('2026-03-29T12:30:00Z')],
  ["FOR VALUES FROM ('0044-03-15 BC') TO ('0099-01-01')", Number.NEGATIVE_INFINITY, new Date('0099-01-01T00:00:00Z').getTime()],
])('%s is read', (text, from, to) => {
  expect(parseBound(text)).toEqual({ from, to });
});

it('the default partition has no bounds', () => {
  expect(parseBound('DEFAULT')).toBeNull();
});

it('a bound is written as it was read, to the microsecond', () => {
  const range = parseBound("FOR VALUES FROM ('2026-03-29 01:02:03.123456+00') TO (MAXVALUE)");
  expect(boundText(range?.from ?? 0, 'timestamp with time zone')).toBe("'2026-03-29 01:02:03.123456+00'");
  expect(boundText(Date.parse('2026-03-29'), 'date')).toBe("'2026-03-29'");
});

it('long names are cut within 63 bytes and stay apart', () => {
  const [one, other] = ['é'.repeat(31), `${'é'.repeat(30)}a`].map((table) => partitionName(table, 'd20260329'));
  for (const name of [one, other]) expect(Buffer.byteLength(name ?? '')).toBeLessThanOrEqual(63);
  expect(one).not.toBe(other);
  expect(partitionName('events', 'd20260329')).toBe('events_d20260329');
});
