import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MariaPosition } from './maria-gtid.ts';
import { GtidSet } from './mysql-gtid.ts';

const a = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const b = '4f22ab58-82db-22f2-af44-d91bba53a673';
const server = a.replaceAll('-', '');

test.each([
  ['', 0],
  [`${a}:1`, 1],
  [`${a}:1-5:8:11-18`, 14],
  [`${a}:1-5,${b}:3-9`, 12],
  [`${a}:1-5:tag_a:1:tag_b:2-3`, 8],
])('%s is read, counted and written', (text, size) => {
  const set = GtidSet.parse(text);
  expect(set.toString()).toBe(text);
  expect(set.size).toBe(size);
});

test('a set reads what servers print: line breaks, capitals, intervals that touch', () => {
  expect(GtidSet.parse(`${b.toUpperCase()}:1-3:4-5,\n${a}:7`).toString()).toBe(`${a}:7,${b}:1-5`);
  expect(() => GtidSet.parse('no set')).toThrow('a GTID set that reads');
});

test('numbers in any order make the set that they are, which grows by one with each new one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 40 }), (numbers) => {
      const set = GtidSet.parse('');
      const known = new Set<number>();
      for (const number of numbers) {
        expect(set.has({ server, tag: '', number })).toBe(known.has(number));
        set.add({ server, tag: '', number });
        known.add(number);
        expect(set.size).toBe(known.size);
      }
      for (let number = 1; number <= 31; number++) expect(set.has({ server, tag: '', number })).toBe(known.has(number));
      expect(GtidSet.parse(set.toString()).toString()).toBe(set.toString());
      const copy = set.copy();
      copy.add({ server, tag: '', number: 99 });
      expect([copy.contains(set), set.contains(copy)]).toEqual([true, false]);
    }),
  );
});

test('a set is sent as a server takes it', () => {
  expect(GtidSet.parse(`${a}:1-5:8`).encode().toString('hex')).toBe(
    ['0100000000000000', server, '0200000000000000', '0100000000000000', '0600000000000000', '0800000000000000', '0900000000000000'].join(
      '',
    ),
  );
  expect(GtidSet.parse(`${a}:t:1`).encode().toString('hex')).toBe(
    ['0101000000000001', server, '0274', '0100000000000000', '0100000000000000', '0200000000000000'].join(''),
  );
});

test('a position of MariaDB has the last transaction of each domain, and the sum of their numbers', () => {
  const position = MariaPosition.parse('5-2-17, 0-1-1234');
  expect(position.toString()).toBe('0-1-1234,5-2-17');
  expect(position.sum).toBe(1251n);
  expect(position.has({ domain: 0, server: 9, sequence: 1234 })).toBe(true);
  expect(position.has({ domain: 1, server: 1, sequence: 1 })).toBe(false);
  const later = position.copy();
  later.add({ domain: 0, server: 3, sequence: 1240 });
  expect([later.contains(position), position.contains(later)]).toEqual([true, false]);
  expect(later.toString()).toBe('0-3-1240,5-2-17');
  expect(MariaPosition.parse('').toString()).toBe('');
  expect(() => MariaPosition.parse('0-1')).toThrow('a GTID that reads');
});
