import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  type BytesChannel,
  baseType,
  batchOfRows,
  type ColumnType,
  decodeCsv,
  encodeCsv,
  encodeText,
  type RowSchema,
  rowsOf,
  textCodec,
  typeName,
} from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import { csvToFiles, type FileFormat } from './csv-to-files.ts';
import { filesToCsv, type InputFile, type ReadContext } from './files-to-csv.ts';
import { decimalSize } from './types.ts';

const spool = mkdtempSync(join(tmpdir(), 'millrace-duckdb-'));
afterAll(() => rmSync(spool, { recursive: true, force: true }));

const context: ReadContext = {
  signal: new AbortController().signal,
  spool,
  memoryBudget: 256 * 1024 * 1024,
  progress() {},
  secret: async ({ name }) => `salt of ${name}`,
};

const schema: RowSchema = {
  columns: [
    { name: 'n', type: { kind: 'int4' }, nullable: false },
    ...sampleTypes.map((type, index) => ({ name: `${index} ${typeName(type)}`.slice(0, 60), type, nullable: true })),
  ],
};

/** What Parquet has no value for. Everything else must come back to the letter. */
function fitsParquet(declared: ColumnType, value: unknown): boolean {
  const type = baseType(declared);
  const text = String(value);
  switch (type.kind) {
    case 'numeric':
      return decimalSize(type) === null || !/[NI]/.test(text);
    case 'date':
      return !text.includes('infinity');
    case 'timestamp':
    case 'timestamptz':
      return !text.includes('infinity') && !text.startsWith('294276');
    default:
      return true;
  }
}

function rows(format: FileFormat['format'], count: number): Record<string, unknown>[] {
  const samples = schema.columns.map(({ name, type }) => {
    if (name === 'n') return [name, Array.from({ length: count }, (_, n) => n)] as const;
    const codec = textCodec(type);
    const values = fc
      .sample(fc.option(anyValue(type), { freq: 8 }), { numRuns: count * 2, seed: 11 })
      .map((value) => (value === null ? null : codec.conform(value)))
      .filter((value) => format !== 'parquet' || value === null || fitsParquet(type, value));
    return [name, values.slice(0, count)] as const;
  });
  return Array.from({ length: count }, (_, n) => Object.fromEntries(samples.map(([name, values]) => [name, values[n] ?? null])));
}

const plain: FileFormat = { format: 'parquet', codec: 'snappy', partitionBy: [], rowGroupRows: 122_880, fileBytes: null };

async function write(of: RowSchema, values: Record<string, unknown>[], format: FileFormat): Promise<InputFile[]> {
  const channel: BytesChannel = {
    format: 'csv',
    schema: of,
    stream: Readable.from(encodeCsv(of, [batchOfRows(of, values)] as unknown as AsyncIterable<never>)),
    done: Promise.resolve({ rows: values.length }),
  };
  const files = await csvToFiles(channel, format, context);
  return files.map(({ path }) => ({
    path,
    label: path,
    format: format.format,
    codec: format.codec === 'gzip' || format.codec === 'zstd' ? format.codec : 'none',
  }));
}

async function read(of: RowSchema, files: InputFile[]): Promise<Record<string, unknown>[]> {
  const channel = await filesToCsv({ files, schema: of, absorbed: [] }, context);
  const result: Record<string, unknown>[] = [];
  for await (const batch of decodeCsv(channel.schema, channel.stream)) result.push(...rowsOf(batch));
  expect((await channel.done).rows).toBe(result.length);
  return result.sort((a, b) => Number(a['n']) - Number(b['n']));
}

test.each<FileFormat>([
  plain,
  { ...plain, codec: 'zstd' },
  { ...plain, format: 'csv', codec: 'none' },
  { ...plain, format: 'csv', codec: 'gzip' },
  { ...plain, format: 'jsonl', codec: 'none' },
  { ...plain, format: 'jsonl', codec: 'zstd' },
])('every type comes back to the letter: $format $codec', async (format) => {
  const written = rows(format.format, 150);
  const back = await read(schema, await write(schema, written, format));
  for (const { name, type } of schema.columns) {
    const print = (row: Record<string, unknown>) => (row[name] === null ? null : encodeText(type)(row[name]));
    expect(back.map(print), name).toEqual(written.map(print));
  }
});
