import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyText, anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import type { RowSchema } from '../schema/index.ts';
import type { ColumnBatch } from './column-batch.ts';
import { CsvDecoder, decodeCsv } from './csv-decode.ts';
import { csvEncoder } from './csv-encode.ts';
import { batchOfRows, rowsOf } from './plain-rows.ts';

const texts = (...names: string[]): RowSchema => ({ columns: names.map((name) => ({ name, type: { kind: 'text' }, nullable: true })) });
const encode = (batch: ColumnBatch): Buffer => Buffer.concat([...csvEncoder(batch.schema)(batch)]);

function decode(schema: RowSchema, bytes: Buffer, cuts: number[] = [], limits = { rows: 1000, bytes: 1 << 16 }): ColumnBatch[] {
  const decoder = new CsvDecoder(schema, limits);
  const bounds = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const batches = bounds.slice(1).flatMap((end, index) => [...decoder.push(bytes.subarray(bounds[index], end))]);
  return [...batches, ...decoder.end()];
}

describe('canonical CSV', () => {
  test.each([
    ['NULL is nothing, the empty string is two quotes', [null, ''], ',""\n'],
    ['commas, quotes and line ends go into quotes', ['a,b', 'say "hi"'], '"a,b","say ""hi"""\n'],
    ['line feed and carriage return', ['a\nb', 'a\r\nb'], '"a\nb","a\r\nb"\n'],
    ['blanks at the ends and the end-of-data mark', [' a', '\\.'], '" a","\\."\n'],
    ['plain text stays plain', ['héllo 😀', 'a b\\.c'], 'héllo 😀,a b\\.c\n'],
  ])('%s', (_, [a, b], bytes) => {
    const batch = batchOfRows(texts('a', 'b'), [{ a, b }]);
    expect(encode(batch).toString()).toBe(bytes);
    expect(rowsOf(decode(batch.schema, Buffer.from(bytes))[0]!)).toEqual([{ a, b }]);
  });

  test('a table of one column keeps its NULL rows', () => {
    const batch = batchOfRows(texts('a'), [{ a: null }, { a: '' }, { a: null }]);
    expect(encode(batch).toString()).toBe('\n""\n\n');
    expect(rowsOf(decode(batch.schema, encode(batch))[0]!)).toEqual([{ a: null }, { a: '' }, { a: null }]);
  });

  test('any text comes back, wherever the stream is cut and whatever a batch may hold', () => {
    const rows = fc.array(fc.record({ a: fc.option(anyText), b: fc.option(anyText), c: fc.option(anyText) }), { maxLength: 12 });
    const limits = fc.record({ rows: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 1, max: 200 }) });
    fc.assert(
      fc.property(rows, fc.array(fc.nat(4000), { maxLength: 20 }), limits, (given, cuts, limit) => {
        const bytes = encode(batchOfRows(texts('a', 'b', 'c'), given));
        const batches = decode(texts('a', 'b', 'c'), bytes, cuts, limit);
        expect(batches.every((batch) => batch.rowCount <= limit.rows)).toBe(true);
        expect(batches.flatMap(rowsOf)).toEqual(given);
        // Bytes that came in as bytes go out as the same bytes.
        expect(Buffer.concat(batches.map(encode)).equals(bytes)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('values of every type come back', () => {
    const columns = sampleTypes.map((type, index) => ({ name: `c${index}`, type, nullable: true }));
    const row = fc.record(Object.fromEntries(columns.map(({ name, type }) => [name, fc.option(anyValue(type))])));
    fc.assert(
      fc.property(fc.array(row, { maxLength: 5 }), (given) => {
        const batch = batchOfRows({ columns }, given);
        expect(decode({ columns }, encode(batch)).flatMap(rowsOf)).toEqual(rowsOf(batch));
      }),
      { numRuns: 40 },
    );
  });

  test('a value of five megabytes passes', () => {
    const long = 'x"é'.repeat(1_300_000);
    const batch = batchOfRows(texts('a', 'b'), [
      { a: 'before', b: null },
      { a: long, b: long },
      { a: 'after', b: '' },
    ]);
    const batches = decode(batch.schema, encode(batch), [], { rows: 1000, bytes: 4 << 20 });
    expect(batches.flatMap(rowsOf)).toEqual(rowsOf(batch));
  });
});

describe('damaged CSV is refused with its row', () => {
  test.each([
    ['too few fields', 'a,b\nc\n', 'Row 2', '1 fields'],
    ['too many fields', 'a,b\nc,d,e\n', 'Row 2', 'more than the 2 fields'],
    ['a comma at the end', 'a,b,\n', 'Row 1', 'more than the 2 fields'],
    ['a stream that ends inside quotes', 'a,b\nc,"d\ne,f\n', 'Row 2', 'quoted field'],
    ['a stream that ends before the line feed', 'a,b\nc,d', 'Row 2', 'middle'],
    ['a stream that ends after a comma', 'a,b\nc,', 'Row 2', 'middle'],
    ['text behind a closing quote', 'a,"b"c\n', 'Row 1', 'closing quote'],
    ['a quote inside a plain field', 'a,b"c"\n', 'Row 1', 'quote'],
    ['a bare carriage return', 'a,b\r\n', 'Row 1', 'carriage return'],
  ])('%s', (_, bytes, row, why) => {
    const caught = catching(() => decode(texts('a', 'b'), Buffer.from(bytes)));
    expect(caught).toMatchObject({ code: 'WIRE_CORRUPT' });
    expect(String(caught)).toContain(row);
    expect(String(caught)).toContain(why);
  });

  test('an async stream that breaks off is not a complete one', async () => {
    async function* broken() {
      yield Buffer.from('a,b\n');
      throw new Error('connection reset');
    }
    await expect(async () => {
      for await (const _ of decodeCsv(texts('a', 'b'), broken()));
    }).rejects.toThrow('connection reset');
  });
});

function catching(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
