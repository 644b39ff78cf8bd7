import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isoInstant, postgresEpoch } from './clock.ts';
import { formatLsn, lsnKey, lsnOfKey, parseLsn } from './lsn.ts';

const lsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test('a position is read and written as Postgres does', () => {
  expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
  expect(parseLsn('0/0')).toBe(0n);
  expect(formatLsn(0x1_0000_00abn)).toBe('1/AB');
  fc.assert(fc.property(lsn, (value) => parseLsn(formatLsn(value)) === value && lsnOfKey(lsnKey(value)) === value));
});

test('keys sort as text as the positions do', () => {
  fc.assert(fc.property(lsn, lsn, (one, two) => lsnKey(one) < lsnKey(two) === one < two && lsnKey(one).length === 16));
});

test('what is no position is refused', () => {
  for (const text of ['', '1', '1/', '/1', '1/g', '123456789/0', '1/2/3', ' 1/2', '-1/2'])
    expect(() => parseLsn(text)).toThrow('no position');
  for (const text of ['', '1', '000000000000000g', '00000000000000000']) expect(() => lsnOfKey(text)).toThrow('no position');
  for (const value of [-1n, 2n ** 64n]) expect(() => lsnKey(value)).toThrow('no position');
});

test('instants keep their microseconds, before 1970 too', () => {
  expect(isoInstant(postgresEpoch)).toBe('2000-01-01T00:00:00.000000Z');
  expect(isoInstant(postgresEpoch + 1n)).toBe('2000-01-01T00:00:00.000001Z');
  expect(isoInstant(-1n)).toBe('1969-12-31T23:59:59.999999Z');
  expect(isoInstant(1_795_305_805_029_240n)).toBe('2026-11-22T00:03:25.029240Z');
});
