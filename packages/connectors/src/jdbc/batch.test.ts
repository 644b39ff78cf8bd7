import { array, bool, bytea, float4, float8, int2, int4, int8, json, numeric, table, text, timestamptz } from '@millrace/core';
import { batchOfRows, int32Vector, rowsOf } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { batchReader, batchWriter } from './batch.ts';

const kinds = table('kinds', {
  flag: bool().orNull(),
  small: int2().orNull(),
  id: int4(),
  big: int8().orNull(),
  real: float4().orNull(),
  double: float8().orNull(),
  total: numeric().orNull(),
  note: text().orNull(),
  blob: bytea().orNull(),
  at: timestamptz().orNull(),
  doc: json().orNull(),
});

const orNull = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null, freq: 4 });
const unicode = fc.string({ unit: 'binary', maxLength: 20 }).filter((word) => !word.includes('\0') && !/\p{Surrogate}/u.test(word));
const row = fc.record({
  flag: orNull(fc.boolean()),
  small: orNull(fc.integer({ min: -32768, max: 32767 })),
  id: fc.integer(),
  big: orNull(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  real: orNull(fc.float({ noDefaultInfinity: true })),
  double: orNull(fc.double()),
  total: orNull(fc.tuple(fc.bigInt(), fc.nat(9)).map(([whole, decimal]) => `${whole}.${decimal}`)),
  note: orNull(unicode),
  blob: orNull(fc.uint8Array({ maxLength: 20 })),
  at: orNull(
    fc
      .date({ min: new Date('0001-01-01'), max: new Date('9999-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString().replace('Z', '000Z')),
  ),
  doc: orNull(fc.constantFrom('{"a": [1, null]}', '"x"')),
});

test('a frame has the rows that were put into it, whichever they are', () => {
  const write = batchWriter(kinds.columns);
  const read = batchReader(
    kinds,
    kinds.columns.map(({ type }) => type),
  );
  fc.assert(
    fc.property(fc.array(row, { maxLength: 70 }), (rows) => {
      const batch = batchOfRows(kinds, rows);
      expect(rowsOf(read(write(batch)))).toEqual(rowsOf(batch));
      // What came in a frame goes on in one.
      expect(rowsOf(read(write(read(write(batch)))))).toEqual(rowsOf(batch));
    }),
  );
});

test('narrower numbers stand in the frame as the column has them', () => {
  const wide = table('wide', { a: int8(), b: float8(), c: numeric() });
  const vectors = wide.columns.map(() => int32Vector({ kind: 'int4' }, new Int32Array([1, -2])));
  const frame = batchWriter(wide.columns)({ schema: wide, rowCount: 2, vectors });
  expect(
    rowsOf(
      batchReader(
        wide,
        wide.columns.map(({ type }) => type),
      )(frame),
    ),
  ).toEqual([
    { a: 1n, b: 1, c: '1' },
    { a: -2n, b: -2, c: '-2' },
  ]);
});

test('numbers that are declared as text are printed as Postgres prints them', () => {
  const source = table('source', { a: int8().orNull(), b: float4() });
  const frame = batchWriter(source.columns)(
    batchOfRows(source, [
      { a: 2n ** 62n, b: 0.1 },
      { a: null, b: 1e20 },
    ]),
  );
  const printed = table('printed', { a: text().orNull(), b: text() });
  expect(
    rowsOf(
      batchReader(
        printed,
        source.columns.map(({ type }) => type),
      )(frame),
    ),
  ).toEqual([
    { a: '4611686018427387904', b: '0.1' },
    { a: null, b: '1e+20' },
  ]);
});

test('types that JDBC does not know go as their text', () => {
  const lists = table('lists', { a: array(int4()) });
  const frame = batchWriter([{ name: 'a', type: { kind: 'text' }, nullable: false }])(batchOfRows(lists, [{ a: [1, null, 3] }]));
  expect(rowsOf(batchReader({ columns: [{ name: 'a', type: { kind: 'text' }, nullable: false }] }, [{ kind: 'text' }])(frame))).toEqual([
    { a: '{1,NULL,3}' },
  ]);
});
