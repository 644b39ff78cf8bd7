import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { batchOfRows, int4, jsonb, numeric, table, text } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compare, type Rule } from './compare.ts';
import { DigestSpool } from './digest-spool.ts';
import { canonicalJsonText } from './json-text.ts';
import { digestBytes, keyDigest, type RowShape, shapeOf, textReader, writeDigest } from './row-digest.ts';
import { TextHash } from './text-hash.ts';

const keyed = table('t', { id: int4(), value: text().orNull() }, { key: ['id'] });
const shape = shapeOf(keyed, keyed);

type Row = { id: number; value: string | null };
let spools = 0;
const folder = mkdtempSync(join(tmpdir(), 'millrace-compare-'));

function spoolOf(rows: readonly Row[], of: RowShape = shape): DigestSpool {
  const spool = new DigestSpool(join(folder, String(spools++)));
  const buffer = Buffer.alloc(digestBytes);
  const batch = batchOfRows(keyed, rows);
  const read = textReader(of)(batch);
  for (let row = 0; row < rows.length; row++) {
    writeDigest(of, read(row) as (string | null)[], buffer, 0);
    spool.add(buffer);
  }
  return spool;
}

function compared(expected: readonly Row[], stored: readonly Row[], later: readonly Row[] = [], rule: Rule = 'current') {
  using e = spoolOf(expected);
  using s = spoolOf(stored);
  using l = spoolOf(later);
  return compare({ expected: e, stored: s, later: l }, rule, 100);
}

const row = (id: number, value: string | null = 'a'): Row => ({ id, value });

test('equal sides are equal in any order, with equal checksums', () => {
  const result = compared([row(1), row(2), row(3)], [row(3), row(1), row(2)]);
  expect(result).toMatchObject({ equal: 3, changed: 0, onlyExpected: 0, onlyStored: 0, keys: [] });
  expect(result.checksums.expected).toBe(result.checksums.stored);
});

test('NULL and the empty text are two values', () => {
  expect(compared([row(1, null)], [row(1, '')])).toMatchObject({ changed: 1, equal: 0 });
});

test('a changed, a missing and a surplus row are told apart', () => {
  const result = compared([row(1, 'a'), row(2), row(3)], [row(1, 'b'), row(3), row(4)]);
  expect(result).toMatchObject({ equal: 1, changed: 1, onlyExpected: 1, onlyStored: 1 });
  expect(new Set(result.keys)).toEqual(new Set([row(1), row(2), row(4)].map((one) => keyDigest(shape, [String(one.id), one.value]))));
  expect(result.checksums.expected).not.toBe(result.checksums.stored);
});

test('a row that is there twice is one too many', () => {
  expect(compared([row(1)], [row(1), row(1)])).toMatchObject({ equal: 1, onlyStored: 1 });
});

test('a row that has changed after the checkpoint is left aside', () => {
  expect(compared([row(1)], [row(1), row(2, 'old')], [row(2, 'new')])).toMatchObject({ equal: 1, onlyStored: 0, setAside: 1 });
});

test('an appending target keeps earlier versions, and must have the last one', () => {
  expect(compared([row(1, 'new')], [row(1, 'old'), row(1, 'new')], [], 'versions')).toMatchObject({ equal: 1, setAside: 1, onlyStored: 0 });
  expect(compared([row(1, 'new')], [row(1, 'old')], [], 'versions')).toMatchObject({ equal: 0, onlyExpected: 1 });
  expect(compared([row(1)], [row(1), row(2)], [], 'versions')).toMatchObject({ onlyStored: 1 });
});

test('what the comparison counts is what a comparison of the lists counts', () => {
  const rows = fc.array(fc.record({ id: fc.nat(20), value: fc.constantFrom('a', 'b', null) }), { maxLength: 40 });
  fc.assert(
    fc.property(rows, rows, (expected, stored) => {
      const left = stored.map((one) => JSON.stringify(one));
      let equal = 0;
      for (const one of expected) {
        const at = left.indexOf(JSON.stringify(one));
        if (at < 0) continue;
        left.splice(at, 1);
        equal++;
      }
      const result = compared(expected, stored);
      expect(result.equal).toBe(equal);
      expect(result.changed + result.onlyStored).toBe(stored.length - equal);
      expect(result.changed + result.onlyExpected).toBe(expected.length - equal);
      expect(result.checksums.expected === result.checksums.stored).toBe(equal === expected.length && equal === stored.length);
    }),
    { numRuns: 50 },
  );
});

test('a million rows go to disk, and nothing of them stays there', () => {
  using spool = new DigestSpool(join(folder, 'large'));
  const digest = Buffer.alloc(digestBytes);
  for (let at = 0; at < 1_200_000; at++) {
    digest.writeUInt32BE(Math.imul(at, 2_654_435_761) >>> 0, 0);
    digest.writeUInt32BE(at, 12);
    spool.add(digest);
  }
  let rows = 0;
  for (let part = 0; part < 256; part++) rows += spool.part(part).length / 4;
  expect(rows).toBe(1_200_000);
});

test('rows that are nearly the same have other hashes', () => {
  const hash = new TextHash();
  const seen = new Set<string>();
  const see = (...texts: (string | null)[]) => {
    hash.begin();
    for (const text of texts) hash.add(text);
    hash.end();
    seen.add(`${hash.high} ${hash.low}`);
  };
  let rows = 0;
  for (let id = 0; id < 60_000; id++, rows += 5) {
    see(String(id), '12.50', null);
    see(String(id), '12.50', '');
    see(String(id), '12.05', null);
    see(String(id), null, '12.50');
    see(`${id}1`, '2.50', null);
  }
  expect(seen.size).toBe(rows);
  // Every bit of the hash is set in about half of the rows, so that parts are about equally large.
  const bits = new Array<number>(64).fill(0);
  for (const text of seen)
    for (const [word, value] of text.split(' ').map(Number).entries())
      for (let bit = 0; bit < 32; bit++) bits[word * 32 + bit]! += (value >>> bit) & 1;
  for (const count of bits) expect(Math.abs(count / rows - 0.5)).toBeLessThan(0.01);
});

test('values are compared as the target has them', () => {
  const target = table('t', { id: int4(), total: numeric(12, 2), data: jsonb() }, { key: ['id'] });
  const source = table('t', { id: int4(), total: numeric(), data: jsonb() });
  const read = textReader(shapeOf(target, source));
  const texts = read(
    batchOfRows(source, [
      { id: 1, total: '1.5', data: '{"b": 1.0, "a":[1e2 ,null]}' },
      { id: 2, total: '1.005', data: '1' },
    ]),
  );
  expect(texts(0)).toEqual(['1', '1.50', '{"a":[100,null],"b":1}']);
  expect(texts(1)).toBeUndefined();
});

test.each([
  ['{"b":2,"a":1,"b":3}', '{"a":1,"b":3}'],
  [' [ 1.50 , -0.0, 12345678901234567890.10, 1E-2 ] ', '[1.5,0,12345678901234567890.1,0.01]'],
  [String.raw`"a\u00e9\n"`, '"aé\\n"'],
  ['{"x":{"}":"{"}}', '{"x":{"}":"{"}}'],
  ['true', 'true'],
])('%s is the JSON value %s', (given, canonical) => {
  expect(canonicalJsonText(given)).toBe(canonical);
});
