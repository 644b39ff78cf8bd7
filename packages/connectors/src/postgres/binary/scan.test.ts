import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Scanned, scanner, signature } from './scan.ts';

type Field = Buffer | null;

const header = Buffer.concat([signature, Buffer.alloc(8)]);
const trailer = Buffer.from([0xff, 0xff]);

function row(fields: readonly Field[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  return Buffer.concat([
    count,
    ...fields.flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(field ? field.length : -1);
      return field ? [length, field] : [length];
    }),
  ]);
}

/** As text, which compares faster than bytes. */
const shown = (rows: readonly (readonly Field[])[]) => rows.map((fields) => fields.map((field) => field?.toString('latin1')));

function fieldsOf(batches: readonly Scanned[], columns: number): Field[][] {
  return batches.flatMap(({ data, starts, lengths, rows }) =>
    Array.from({ length: rows }, (_, at) =>
      Array.from({ length: columns }, (_, column) => {
        const place = at * columns + column;
        const length = lengths[place] ?? 0;
        return length < 0 ? null : Buffer.from(data.subarray(starts[place], (starts[place] ?? 0) + length));
      }),
    ),
  );
}

function scanAll(bytes: Buffer, sizes: readonly number[], columns: number, limits: { rows: number; bytes: number }): Scanned[] {
  const fields = scanner(columns, limits);
  const batches: Scanned[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    batches.push(...fields.add(chunk));
    chunk.fill(0); // a chunk may be used again once it was added
    at += size;
  }
  const last = fields.end();
  return last ? [...batches, last] : batches;
}

test('rows come out as they went in, wherever chunks and batches are cut', () => {
  const field = fc.oneof(
    fc.constant(null),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.integer({ min: 0, max: 3000 }).map((size) => Buffer.alloc(size, 7)),
  );
  const cases = fc.integer({ min: 1, max: 5 }).chain((columns) =>
    fc.record({
      columns: fc.constant(columns),
      rows: fc.array(fc.array(field, { minLength: columns, maxLength: columns }), { maxLength: 40 }),
      sizes: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }),
      limits: fc.record({ rows: fc.integer({ min: 1, max: 10 }), bytes: fc.integer({ min: 64, max: 2000 }) }),
    }),
  );
  fc.assert(
    fc.property(cases, ({ columns, rows, sizes, limits }) => {
      const batches = scanAll(Buffer.concat([header, ...rows.map(row), trailer]), sizes, columns, limits);
      expect(shown(fieldsOf(batches, columns))).toEqual(shown(rows));
      for (const batch of batches) expect(batch.rows).toBeLessThanOrEqual(limits.rows);
    }),
    { numRuns: 150 },
  );
});

test('a row larger than any buffer makes a batch of its own, and the ones after it are small again', () => {
  const rows = [[Buffer.from('a')], [Buffer.alloc(3_000_000, 98)], [Buffer.from('c')]];
  const batches = scanAll(Buffer.concat([header, ...rows.map(row), trailer]), [65_536], 1, { rows: 100, bytes: 4096 });
  expect(shown(fieldsOf(batches, 1))).toEqual(shown(rows));
  expect(batches.map(({ rows: count }) => count)).toEqual([1, 1, 1]);
});

const rows = Buffer.concat([row([Buffer.from('a')]), row([null])]);
test.for([
  ['it ends at a row', Buffer.concat([header, rows])],
  ['it ends within a row', Buffer.concat([header, rows, Buffer.from([0, 1, 0])])],
  ['there is nothing at all', Buffer.alloc(0)],
  ['it is no binary COPY', Buffer.from('id,note\n1,2\nmore and more')],
  ['a row has another number of fields', Buffer.concat([header, rows, row([null, null]), trailer])],
  ['a length makes no sense', Buffer.concat([header, Buffer.from([0, 1, 0x80, 0, 0, 0]), trailer])],
  ['bytes follow the trailer', Buffer.concat([header, rows, trailer, rows])],
] as const)('a stream is refused when %s', ([, bytes]) => {
  for (const size of [1, 7, 100_000]) {
    expect(() => scanAll(bytes, [size], 1, { rows: 100, bytes: 4096 })).toThrow(expect.objectContaining({ code: 'WIRE_CORRUPT' }));
  }
});
