import { describe, expect, test } from 'vitest';
import type { RowSchema } from '../schema/index.ts';
import { CsvDecoder } from './csv-decode.ts';
import { batchOfRows, rowsOf } from './plain-rows.ts';
import { sliceRows, take, takeRows } from './take.ts';
import { bigint64Vector, encodedVector, float64Vector, int32Vector, typedValues, valuesVector } from './vectors.ts';

const schema: RowSchema = {
  columns: [
    { name: 'id', type: { kind: 'int4' }, nullable: false },
    { name: 'name', type: { kind: 'text' }, nullable: true },
  ],
};
const batch = () => [...new CsvDecoder(schema, { rows: 4, bytes: 1024 }).push(Buffer.from('1,a\n2,\n3,""\n4,"d,"\n'))][0]!;

describe('vectors', () => {
  test('taking rows moves no bytes, and vectors go on sharing their places', () => {
    const all = batch();
    const some = takeRows(all, Int32Array.of(3, 1, 1));
    expect(rowsOf(some)).toEqual([
      { id: 4, name: 'd,' },
      { id: 2, name: null },
      { id: 2, name: null },
    ]);
    const [id, name] = some.vectors.map((vector) => vector.encoded!);
    expect(id!.data).toBe(all.vectors[0]!.encoded!.data);
    expect(id!.starts).toBe(name!.starts);
    expect(rowsOf(takeRows(some, Int32Array.of(0)))).toEqual([{ id: 4, name: 'd,' }]);
    expect(rowsOf(sliceRows(all, 1, 3))).toEqual([
      { id: 2, name: null },
      { id: 3, name: '' },
    ]);
    expect(take(valuesVector({ kind: 'text' }, ['x', null]), Int32Array.of(1, 0)).isNull(0)).toBe(true);
  });

  test('typed arrays stand with the validity bitmap of Arrow', () => {
    const validity = Uint8Array.of(0b101);
    const ints = int32Vector({ kind: 'int4' }, Int32Array.of(7, 0, 9), validity);
    expect([0, 1, 2].map((row) => ints.get(row))).toEqual([7, null, 9]);
    expect(float64Vector({ kind: 'float8' }, Float64Array.of(1.5)).get(0)).toBe(1.5);
    expect(bigint64Vector({ kind: 'int8' }, BigInt64Array.of(-(2n ** 63n))).get(0)).toBe(-(2n ** 63n));
    expect(() => int32Vector({ kind: 'text' }, Int32Array.of(1))).toThrow('cannot hold text');
    expect(typedValues(ints)?.values).toEqual(Int32Array.of(7, 0, 9));
    expect(typedValues(valuesVector({ kind: 'int8' }, [1n, null]))).toEqual({
      values: BigInt64Array.of(1n, 0n),
      validity: Uint8Array.of(0b11111101),
    });
    expect(typedValues(valuesVector({ kind: 'text' }, ['a']))).toBeNull();
  });

  test('an encoding of a connector needs its decoder', () => {
    const encoded = {
      encoding: 'pg-binary',
      data: Buffer.from([0, 0, 0, 5]),
      starts: Int32Array.of(0),
      lengths: Int32Array.of(4),
      stride: 1,
      offset: 0,
    } as const;
    expect(encodedVector({ kind: 'int4' }, encoded, 1, (bytes, start) => bytes.readInt32BE(start)).get(0)).toBe(5);
    expect(() => encodedVector({ kind: 'int4' }, encoded, 1)).toThrow('without a decoder');
  });

  test('plain rows become a batch, or the error names row and column', () => {
    expect(rowsOf(batchOfRows(schema, [{ id: 1n, name: null }]))).toEqual([{ id: 1, name: null }]);
    expect(() =>
      batchOfRows(schema, [
        { id: 1, name: 'a' },
        { id: null, name: 'b' },
      ]),
    ).toThrow('Row 1: Column "id": null does not fit int4');
    expect(() => batchOfRows(schema, [{ id: 1 }])).toThrow('Row 0: Column "name": the value is missing');
  });
});
