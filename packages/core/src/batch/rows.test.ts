import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import type { ColumnType, RowSchema } from '../schema/index.ts';
import type { ColumnBatch } from './column-batch.ts';
import { CsvDecoder } from './csv-decode.ts';
import { csvEncoder } from './csv-encode.ts';
import { batchOfRows, rowsOf } from './plain-rows.ts';
import { rowJson } from './row-json.ts';
import { type Row, RowReader } from './row-reader.ts';
import { RowWriter } from './row-writer.ts';

type Cells = Record<string, unknown>;
const schemaOf = (columns: Record<string, ColumnType['kind'] | ColumnType>, nullable = true): RowSchema => ({
  columns: Object.entries(columns).map(([name, type]) => ({
    name,
    type: (typeof type === 'string' ? { kind: type } : type) as ColumnType,
    nullable,
  })),
});

/** As a source would give them: bytes behind every value. */
function encoded(schema: RowSchema, rows: Cells[]): ColumnBatch {
  const decoder = new CsvDecoder(schema, { rows: rows.length, bytes: 1 << 20 });
  const bytes = Buffer.concat([...csvEncoder(schema)(batchOfRows(schema, rows))]);
  return [...decoder.push(bytes), ...decoder.end()][0]!;
}

function mapped(
  batch: ColumnBatch,
  to: RowSchema,
  work: (row: Row) => object | null,
  reader = new RowReader(batch.schema),
  writer = new RowWriter(to, batch.schema),
): ColumnBatch {
  const rows = reader.open(batch);
  writer.begin(rows);
  for (let index = 0; index < batch.rowCount; index++) {
    const result = work(rows.row(index));
    if (result !== null) writer.add(result, index);
  }
  return writer.finish();
}

const wide = schemaOf({ id: 'int8', a: 'text', b: 'text', c: 'int4', d: 'float8', e: 'date', f: 'numeric', g: 'bool' });
const wideRow = (n: number): Cells => ({
  id: BigInt(n),
  a: n % 3 ? `a${n}` : null,
  b: 'same',
  c: n,
  d: n / 4,
  e: '2024-02-29',
  f: `${n}.50`,
  g: n % 2 === 0,
});
const wideRows = (count: number) =>
  encoded(
    wide,
    Array.from({ length: count }, (_, n) => wideRow(n)),
  );

describe('a row', () => {
  const sparse = (row: Row) => void row['c'];
  const greedy = (row: Row) => void { ...row };

  test.each([
    ['read for one column', sparse, false],
    ['spread', greedy, true],
  ])('of a function that has so far %s answers everything the same', (_, habit, eager) => {
    const batch = wideRows(600);
    const reader = new RowReader(wide);
    const rows = reader.open(batch);
    for (let index = 0; index < 600; index++) habit(rows.row(index));
    expect(reader.eager).toBe(eager);
    const row = rows.row(599);
    expect(row['a']).toBe('a599');
    expect({ ...row }).toEqual(wideRow(599));
    expect(Object.keys(row)).toEqual(Object.keys(wideRow(0)));
    expect(Object.entries(rows.row(5))).toEqual(Object.entries(wideRow(5)));
    expect('a' in rows.row(6) && !('z' in rows.row(6)) && 'toString' in rows.row(6)).toBe(true);
    expect(rows.row(6)['z']).toBeUndefined();
    expect(Object.hasOwn(rows.row(7), 'a')).toBe(true);
    expect(Object.getPrototypeOf(rows.row(7))).toBe(Object.prototype);
    expect(rows.row(8)).toStrictEqual(wideRow(8));
    expect(inspect(rows.row(9))).toBe(inspect(wideRow(9)));
    expect(String(rows.row(9))).toBe('[object Object]');
    const frozen = Object.freeze(rows.row(10));
    expect(Object.isFrozen(frozen)).toBe(true);
    expect(frozen).toStrictEqual(wideRow(10));
  });

  test('may be kept while later batches are read', () => {
    const reader = new RowReader(wide);
    const kept: Row[] = [];
    for (let n = 0; n < 5; n++) {
      const rows = reader.open(wideRows(300));
      for (let index = 0; index < 300; index++) kept.push(rows.row(index));
    }
    expect(kept.map((row) => row['id'])).toEqual(Array.from({ length: 1500 }, (_, n) => BigInt(n % 300)));
    expect(kept[700]).toEqual(wideRow(100));
  });

  test('may be changed without changing what anybody else sees', () => {
    for (const warm of [sparse, greedy]) {
      const batch = wideRows(300);
      const reader = new RowReader(wide);
      const rows = reader.open(batch);
      for (let index = 0; index < 300; index++) warm(rows.row(index));
      const row = rows.row(299) as Cells;
      row['a'] = 'changed';
      delete row['b'];
      expect(row['a']).toBe('changed');
      expect('b' in row).toBe(false);
      expect(rows.row(299)).toEqual(wideRow(299));
    }
  });

  test('has columns of any name', () => {
    const names = ['__proto__', 'constructor', 'toString', '"', "'", '\\', '\n', '`', '*/', '0', '', 'é', '\u2028', 'a b', '];throw 1;['];
    const schema = schemaOf(Object.fromEntries([...names.map((name) => [name, 'text'] as const)]));
    const columns = names.map((name) => ({ name, type: { kind: 'text' } as const, nullable: true }));
    const batch = encoded({ columns }, [Object.fromEntries(names.map((name) => [name, `value of ${name}`]))]);
    const reader = new RowReader(batch.schema);
    expect(schema.columns.length).toBe(names.length);
    const check = (row: Row) => {
      for (const name of names) expect(row[name]).toBe(`value of ${name}`);
      expect(Object.keys({ ...row }).sort()).toEqual([...names].sort());
      expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
    };
    check(reader.open(batch).row(0));
    check(
      reader.make(
        names.map((name) => [`value of ${name}`]),
        0,
      ),
    );
    expect(rowsOf(mapped(batch, batch.schema, (row) => ({ ...row })))).toEqual(rowsOf(batch));
  });

  test('whose value cannot be decoded fails alone, and only when that value is asked for', () => {
    const schema = schemaOf({ id: 'int4', list: { kind: 'array', of: { kind: 'int4' } }, x: 'text', y: 'text' });
    const rows = Array.from({ length: 600 }, (_, id) => ({ id, list: [id], x: 'x', y: 'y' }));
    const text = [...csvEncoder(schema)(batchOfRows(schema, rows))].map(String).join('').replace('550,{550}', '550,"[0:1]={1,2}"');
    const batch =
      [...new CsvDecoder(schema).push(Buffer.from(text))][0] ??
      (() => {
        const d = new CsvDecoder(schema);
        [...d.push(Buffer.from(text))];
        return [...d.end()][0]!;
      })();
    const reader = new RowReader(schema);
    const view = reader.open(batch);
    const failed: number[] = [];
    for (let index = 0; index < 600; index++) {
      try {
        void { ...view.row(index) };
      } catch (error) {
        expect(error).toMatchObject({ code: 'VALUE_UNREPRESENTABLE' });
        failed.push(index);
      }
    }
    expect(reader.eager).toBe(true);
    expect(failed).toEqual([550]);
    expect(view.row(550)['id']).toBe(550);
    expect(rowJson(batch, 550)).toContain('unreadable');
  });
});

describe('rows that come back', () => {
  test('keep the bytes of the columns that a function has left alone, also under another name', () => {
    const to = schemaOf({ key: 'int8', a: 'text', c: 'int4', d: 'float8', total: 'numeric' });
    const reader = new RowReader(wide);
    const writer = new RowWriter(to, wide);
    for (let n = 0; n < 3; n++) {
      const batch = wideRows(700);
      const out = mapped(
        batch,
        to,
        (row) => ({ key: row['id'], a: row['a'], c: (row['c'] as number) + 1, d: row['d'], total: row['f'] }),
        reader,
        writer,
      );
      expect(rowsOf(out)).toEqual(
        Array.from({ length: 700 }, (_, i) => ({ key: BigInt(i), a: i % 3 ? `a${i}` : null, c: i + 1, d: i / 4, total: `${i}.50` })),
      );
      expect(out.vectors.map((vector) => vector.encoded?.data === batch.vectors[0]!.encoded!.data)).toEqual([
        true,
        true,
        false,
        true,
        true,
      ]);
    }
  });

  test('that are left out and multiplied keep the bytes of the others in order', () => {
    const batch = wideRows(50);
    const writer = new RowWriter(wide, wide);
    const rows = new RowReader(wide).open(batch);
    writer.begin(rows);
    const expected: Cells[] = [];
    for (let index = 0; index < 50; index++) {
      const copies = Array.from({ length: index % 3 }, () => ({ ...rows.row(index) }));
      rows.row(index);
      writer.add(copies, index);
      expected.push(...copies);
    }
    const out = writer.finish();
    expect(rowsOf(out)).toEqual(expected);
    expect(out.vectors.every((vector) => vector.encoded)).toBe(true);
  });

  test('changed in some rows, in place or by a copy, say what the function said', () => {
    const change = fc.record({
      at: fc.nat(599),
      column: fc.constantFrom('a', 'b', 'd', 'f'),
      how: fc.constantFrom('copy', 'in place', 'not at all', 'left out', 'one key'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.boolean(), (changes, spread) => {
        const batch = wideRows(600);
        const by = new Map(changes.map((item) => [item.at, item]));
        const apply = (row: Cells, index: number): Cells | null => {
          const item = by.get(index);
          const value = item?.column === 'd' ? -0 : item?.column === 'f' ? '7' : 'changed';
          if (item?.how === 'left out') return null;
          if (item?.how === 'copy') return { ...row, [item.column]: value };
          if (item?.how === 'in place') {
            row[item.column] = value;
            return row;
          }
          return spread || item?.how === 'one key' ? { ...row } : row;
        };
        let index = 0;
        const out = mapped(batch, wide, (row) => apply(row as Cells, index++));
        const expected = rowsOf(batch).flatMap((row, at) => apply(row, at) ?? []);
        expect(rowsOf(out)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test('values of every type come through a function that passes rows on', () => {
    const schema = { columns: sampleTypes.map((type, index) => ({ name: `c${index}`, type, nullable: true })) };
    const row = fc.record(Object.fromEntries(schema.columns.map(({ name, type }) => [name, fc.option(anyValue(type))])));
    const [given] = fc.sample(fc.array(row, { minLength: 300, maxLength: 300 }), { numRuns: 1, seed: 11 });
    const decoder = new CsvDecoder(schema);
    const bytes = Buffer.concat([...csvEncoder(schema)(batchOfRows(schema, given!))]);
    const batches = [...decoder.push(bytes), ...decoder.end()];
    const reader = new RowReader(schema);
    const writer = new RowWriter(schema, schema);
    const out = batches.map((batch) => mapped(batch, schema, (one) => ({ ...one }), reader, writer));
    expect(Buffer.concat(out.flatMap((batch) => [...csvEncoder(schema)(batch)])).equals(bytes)).toBe(true);
  });

  test.each([
    ['lacks a property', { id: 1n }, 'Column "a": the row has no such property'],
    ['has undefined in it', { id: 1n, a: undefined }, 'Column "a": the row has no such property'],
    ['has a property too many', { id: 1n, a: 'x', z: 1 }, 'has "z", which the target has no column for'],
    ['has NULL where it may not stand', { id: null, a: 'x' }, 'Column "id": null does not fit int8: the column is not nullable'],
    ['has a value that does not fit', { id: 2n ** 63n, a: 'x' }, 'Column "id": 9223372036854775808n does not fit int8'],
    ['is no row inside an array', [{ id: 1n, a: 'x' }, 7], 'returned 7, which is no row'],
  ])('a row that %s is refused whole, and the others stay', (_, bad, message) => {
    const to = schemaOf({ id: 'int8', a: 'text' }, false);
    const batch = encoded(wide, [wideRow(1), wideRow(2), wideRow(4)]);
    const writer = new RowWriter(to, wide);
    const rows = new RowReader(wide).open(batch);
    writer.begin(rows);
    for (const index of [0, 1, 2]) {
      const { id, a } = rows.row(index);
      if (index === 1) expect(() => writer.add(bad as object, index)).toThrow(message);
      else writer.add({ id, a }, index);
    }
    expect(rowsOf(writer.finish())).toEqual([
      { id: 1n, a: 'a1' },
      { id: 4n, a: 'a4' },
    ]);
  });

  test('a nullable source column cannot bring NULL into a column that refuses it', () => {
    const strict = schemaOf({ id: 'int8', a: 'text' }, false);
    const loose = schemaOf({ id: 'int8', a: 'text' });
    for (const pass of [(row: Row) => row, (row: Row) => ({ ...row })]) {
      const batch = encoded(loose, [
        { id: 1n, a: 'x' },
        { id: 2n, a: null },
      ]);
      expect(() => mapped(batch, strict, pass)).toThrow('Column "a": null does not fit text: the column is not nullable');
    }
  });
});
