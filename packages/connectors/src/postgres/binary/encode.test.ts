import { type ColumnBatch, type ColumnSchema, type RowSchema, rowsOf, takeRows, valuesVector } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { binaryBatches } from './batches.ts';
import { binaryEncoder } from './encode.ts';

const columns: ColumnSchema[] = [
  { name: 'id', type: { kind: 'int8' }, nullable: false },
  { name: 'total', type: { kind: 'numeric', precision: 12, scale: 2 }, nullable: true },
  { name: 'note', type: { kind: 'text' }, nullable: true },
  { name: 'day', type: { kind: 'date' }, nullable: true },
];

const values = (count: number) => [
  Array.from({ length: count }, (_, at) => BigInt(at)),
  Array.from({ length: count }, (_, at) => (at % 3 === 0 ? null : `${at}.25`)),
  Array.from({ length: count }, (_, at) => (at % 5 === 0 ? null : 'é'.repeat(at % 200))),
  Array.from({ length: count }, (_, at) => `2024-01-${String((at % 28) + 1).padStart(2, '0')}`),
];

function batchOf(schema: RowSchema, lists: readonly (readonly unknown[])[]): ColumnBatch {
  return { schema, rowCount: lists[0]?.length ?? 0, vectors: schema.columns.map(({ type }, at) => valuesVector(type, lists[at] ?? [])) };
}

function encoded(batch: ColumnBatch, to: readonly ColumnSchema[] = columns, reject?: (row: number, error: Error) => void): Buffer {
  const encoder = binaryEncoder(to);
  return Buffer.concat([encoder.header, ...encoder.encode(batch, reject), encoder.trailer]);
}

async function decoded(bytes: Buffer, schema: RowSchema, rows: number): Promise<ColumnBatch> {
  async function* stream() {
    yield bytes;
  }
  for await (const batch of binaryBatches(stream(), schema, Promise.resolve({ rows }))) return batch;
  throw new Error('nothing came');
}

const schema: RowSchema = { columns };
const bytes = encoded(batchOf(schema, values(1000)));

test('slices and values make the same bytes, in any mixture and order of columns', async () => {
  const batch = await decoded(bytes, schema, 1000);
  expect(rowsOf(batch)).toEqual(rowsOf(batchOf(schema, values(1000))));
  for (const touched of [[], [0], [1, 3], [2], [0, 1, 2, 3]]) {
    const vectors = batch.vectors.map((vector, at) => (touched.includes(at) ? valuesVector(vector.type, values(1000)[at] ?? []) : vector));
    expect(encoded({ ...batch, vectors }).equals(bytes)).toBe(true);
    const turned = [3, 0, 1, 2].map((at) => columns[at] as ColumnSchema);
    const back = await decoded(encoded({ ...batch, vectors }, turned), { columns: turned }, 1000);
    expect(rowsOf(back)[999]).toEqual(rowsOf(batch)[999]);
  }
});

test('rows that were picked from a batch are written from where they stand', async () => {
  const batch = await decoded(bytes, schema, 1000);
  const picked = takeRows(batch, Int32Array.from([999, 0, 5, 5]));
  const back = await decoded(encoded(picked), schema, 4);
  expect(rowsOf(back)).toEqual([999, 0, 5, 5].map((row) => rowsOf(batch)[row]));
});

test('a wider column takes slices, a narrower one looks at every value', async () => {
  const batch = await decoded(bytes, schema, 1000);
  const wider = columns.map((column) => (column.name === 'total' ? { ...column, type: { kind: 'numeric' as const } } : column));
  expect(encoded(batch, wider).equals(bytes)).toBe(true);
  const narrower = columns.map((column) =>
    column.name === 'note' ? { ...column, type: { kind: 'varchar' as const, length: 100 } } : column,
  );
  expect(() => encoded(batch, narrower)).toThrow(
    expect.objectContaining({ code: 'TYPE_MISMATCH', facts: expect.objectContaining({ column: 'note', row: 101 }) }),
  );
});

test('rows that do not fit are set aside, and the others stand as if they had never been there', async () => {
  const batch = batchOf(schema, [
    [1n, 2n, 3n, 4n, null],
    ['1.00', '1.005', 'x', null, '5.00'],
    ['a', 'b', 'c', 'd\0', 'e'],
    ['2024-02-29', '2024-01-01', '2024-01-01', '2023-02-29', null],
  ]);
  const rejected: [number, string][] = [];
  const out = encoded(batch, columns, (row, error) => rejected.push([row, error.message]));
  expect(rejected.map(([row]) => row)).toEqual([1, 2, 3, 4]);
  expect(rejected[3]?.[1]).toMatch(/Row 4: Column "id": the value is NULL/);
  expect(rowsOf(await decoded(out, schema, 1))).toEqual([{ id: 1n, total: '1.00', note: 'a', day: '2024-02-29' }]);
  expect(() => encoded(batch)).toThrow(
    expect.objectContaining({ code: 'TYPE_MISMATCH', facts: expect.objectContaining({ column: 'total', row: 1 }) }),
  );
});

test('NULL in a column that must have values is found in slices, too', async () => {
  const batch = await decoded(bytes, schema, 1000);
  const strict = columns.map((column) => ({ ...column, nullable: false }));
  expect(() => encoded(batch, strict)).toThrow(/Row 0: Column "total": the value is NULL/);
});

test('a count that is not the server’s is an error, however well the stream ends', async () => {
  await expect(
    (async () => {
      async function* stream() {
        yield bytes;
      }
      for await (const _ of binaryBatches(stream(), schema, Promise.resolve({ rows: 1001 })));
    })(),
  ).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
});

test('other types travel as their text', async () => {
  const point: ColumnSchema[] = [{ name: 'at', type: { kind: 'other', name: 'point' }, nullable: true }];
  const out = encoded(batchOf({ columns: point }, [['(1,2)', null]]), point);
  expect(rowsOf(await decoded(out, { columns: point }, 2))).toEqual([{ at: '(1,2)' }, { at: null }]);
});
