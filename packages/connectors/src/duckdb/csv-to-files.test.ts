import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Column, date, int2, int4, numeric, table, text, timestamp, timestamptz } from '@millrace/core';
import { type BytesChannel, decodeCsv, type RowSchema, rowsOf } from '@millrace/core/runtime';
import { afterAll, afterEach, expect, test } from 'vitest';
import { csvToFiles, type FileFormat, type WrittenFile } from './csv-to-files.ts';
import { filesToCsv, type ReadContext } from './files-to-csv.ts';

const home = mkdtempSync(join(tmpdir(), 'millrace-duckdb-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));
let spool = mkdtempSync(join(home, 'spool-'));
afterEach(() => {
  spool = mkdtempSync(join(home, 'spool-'));
});
const context = (signal = new AbortController().signal): ReadContext => ({
  signal,
  spool,
  memoryBudget: 256 * 1024 * 1024,
  progress() {},
  secret: async () => '',
});

const parquet: FileFormat = { format: 'parquet', codec: 'snappy', partitionBy: [], rowGroupRows: 122_880, fileBytes: null };
const pair = table('pair', { id: int4(), body: text().orNull() });

function csv(schema: RowSchema, body: string | Iterable<string> | AsyncIterable<string>, rows: number | Error): BytesChannel {
  const chunks = typeof body === 'string' ? [body] : body;
  const stream = Readable.from(
    (async function* () {
      for await (const chunk of chunks) yield Buffer.from(chunk);
    })(),
    { objectMode: false },
  );
  const done = rows instanceof Error ? Promise.reject(rows) : Promise.resolve({ rows });
  done.catch(() => {});
  return { format: 'csv', schema, stream, done };
}

async function read(schema: RowSchema, files: WrittenFile[], format: FileFormat['format'] = 'parquet') {
  const channel = await filesToCsv(
    { files: files.map(({ path }) => ({ path, label: path, format, codec: 'none' })), schema, absorbed: [] },
    context(),
  );
  const rows: Record<string, unknown>[] = [];
  for await (const batch of decodeCsv(schema, channel.stream)) rows.push(...rowsOf(batch));
  await channel.done;
  return rows.sort((a, b) => Number(a['id']) - Number(b['id']));
}

test.each<[string, Column, string]>([
  ['NaN in a decimal', numeric(12, 2), 'NaN'],
  ['more decimals than the scale', numeric(12, 2), '1.239'],
  ['more digits than the precision', numeric(5, 2), '1234.5'],
  ['an exponent in a decimal', numeric(12, 2), '1e-9'],
  ['an infinite date', date(), 'infinity'],
  ['a time cut from a date', date(), '2024-02-29 10:00:00'],
  ['an infinite timestamp', timestamp(), '-infinity'],
  ['a year that DuckDB does not reach', timestamptz(), '294276-12-31 23:59:59+00'],
  ['an integer too large', int2(), '40000'],
])('%s is refused by name', async (_, column, value) => {
  const schema = table('t', { id: int4(), 'odd "one"': column });
  await expect(csvToFiles(csv(schema, `1,${value}\n`, 1), parquet, context())).rejects.toMatchObject({
    code: 'VALUE_UNREPRESENTABLE',
    facts: { column: 'odd "one"', value },
  });
});

test.each<[Column, string, string]>([
  [numeric(12, 2), '1.500', '1.50'],
  [date(), '0044-03-15 BC', '0044-03-15 BC'],
  [timestamptz(), '4714-11-24 00:00:00+00 BC', '4714-11-24 00:00:00+00 BC'],
  [timestamptz(), '2024-02-29T10:00:00.5+02:00', '2024-02-29T08:00:00.500000Z'],
])('what only looks odd is kept: %s', async (column, value, back) => {
  const schema = table('t', { id: int4(), value: column });
  expect(await read(schema, await csvToFiles(csv(schema, `1,${value}\n`, 1), parquet, context()))).toEqual([{ id: 1, value: back }]);
});

test('a source that dies at the end of a line leaves no file that counts', async () => {
  const gone = new Error('the connection was cut');
  await expect(csvToFiles(csv(pair, '1,a\n2,b\n', gone), parquet, context())).rejects.toBe(gone);
  expect(readdirSync(spool).filter((name) => name.includes('out'))).toEqual([]);
});

test('a source that breaks off in the middle, or sends other rows than it says, leaves no file either', async () => {
  async function* broken() {
    for (let n = 0; n < 50_000; n++) yield `${n},some text\n`;
    throw new Error('reset by peer');
  }
  await expect(csvToFiles(csv(pair, broken(), 1), parquet, context())).rejects.toThrow('reset by peer');
  await expect(csvToFiles(csv(pair, '1,a\n2,b\n', 3), parquet, context())).rejects.toMatchObject({
    code: 'WIRE_CORRUPT',
    facts: { sent: 3, written: 2 },
  });
  await expect(csvToFiles(csv(pair, '1,a\n2,b,c\n', 2), parquet, context())).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  await expect(csvToFiles(csv(pair, '1,a\n2,"b', 2), parquet, context())).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  expect(readdirSync(spool).filter((name) => name.includes('out'))).toEqual([]);
});

test('values that look like rows, across the borders at which DuckDB splits its input, are values', async () => {
  const document = (n: number) => Array.from({ length: 20_000 }, (_, line) => `${line},a${n}`).join('\n');
  const rows = 150;
  function* lines() {
    for (let n = 0; n < rows; n++) yield n % 2 ? `${n},"${document(n)}"\n` : `${n},"x\r\n,""\u001az"\n`;
  }
  const back = await read(pair, await csvToFiles(csv(pair, lines(), rows), parquet, context()));
  expect(back).toHaveLength(rows);
  expect(back.every(({ body }, n) => body === (n % 2 ? document(n) : 'x\r\n,"\u001az'))).toBe(true);
});

test('values of five megabytes fit, and a row that is too long says what to do', async () => {
  const long = 'é'.repeat(2_600_000);
  const back = await read(pair, await csvToFiles(csv(pair, [`1,${long}\n`, '2,""\n', '3,\n'], 3), parquet, context()));
  expect(back.map(({ body }) => body === long || body)).toEqual([true, '', null]);
  const tooLong = csvToFiles(csv(pair, `1,${long}\n`, 1), { ...parquet, maxRowBytes: 1024 * 1024 }, context());
  await expect(tooLong).rejects.toMatchObject({ code: 'UNSUPPORTED', remedy: expect.stringContaining('maxRowBytes') });
});

test('rows for which the memory is not enough say so, and where they may be longer there is more of it', async () => {
  const wide = (megabytes: number) =>
    [1, 2, 3, 4].flatMap((id) => [`${id},"`, ...Array.from({ length: megabytes }, () => 'x'.repeat(1024 * 1024)), '"\n']);
  await expect(csvToFiles(csv(pair, wide(30), 4), { ...parquet, format: 'jsonl', codec: 'none' }, context())).rejects.toMatchObject({
    code: 'MEMORY_EXHAUSTED',
    remedy: expect.stringContaining('maxRowBytes'),
  });
  const files = await csvToFiles(csv(pair, wide(60), 4), { ...parquet, maxRowBytes: 96 * 1024 * 1024 }, context());
  expect(files.reduce((rows, file) => rows + file.rows, 0)).toBe(4);
});

test.each<FileFormat['format']>(['parquet', 'csv', 'jsonl'])('rows of %s are counted in every file of a partition', async (format) => {
  const lines = Array.from({ length: 300 }, (_, n) => `${n},"part ${n % 3}\n"\n`).join('');
  const files = await csvToFiles(csv(pair, lines, 300), { ...parquet, format, codec: 'none', partitionBy: ['body'] }, context());
  expect(files.map(({ partition, rows }) => [partition, rows]).sort()).toEqual([0, 1, 2].map((n) => [`body=part%20${n}%0A`, 100]));
  expect(await read(pair, files, format)).toHaveLength(300);
});

test('a value that is too long for the name of a folder cannot be a partition', async () => {
  const named = table('pair', { id: int4(), 'a b': text() });
  for (const value of ['z'.repeat(300), 'é'.repeat(100)]) {
    const refused = csvToFiles(csv(named, `1,${value}\n`, 1), { ...parquet, partitionBy: ['a b'] }, context());
    await expect(refused).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE', facts: { column: 'a b' } });
    await expect(refused).rejects.toThrow(`Column "a b": "${value.slice(0, 60)}…" is too long`);
  }
});

test('files end at about the size that was asked for', async () => {
  const lines = Array.from({ length: 200_000 }, (_, n) => `${n},value ${n}\n`).join('');
  const files = await csvToFiles(csv(pair, lines, 200_000), { ...parquet, format: 'csv', codec: 'gzip', fileBytes: 1_000_000 }, context());
  expect(files.length).toBeGreaterThan(2);
  expect(files.reduce((sum, { rows }) => sum + rows, 0)).toBe(200_000);
  expect(files.every(({ path }) => path.endsWith('.csv.gz') && existsSync(path))).toBe(true);
});

test('nulls and bounds are told of numbers and times, never of text', async () => {
  const schema = table('t', { id: int4(), at: date().orNull(), body: text().orNull() });
  const [file] = await csvToFiles(csv(schema, '1,2024-02-29,private\n5,,\n', 2), parquet, context());
  expect(file?.columns).toEqual({
    id: { nulls: 0, min: '1', max: '5' },
    at: { nulls: 1, min: '2024-02-29', max: '2024-02-29' },
    body: { nulls: 1 },
  });
});

test('no rows are no file', async () => {
  expect(await csvToFiles(csv(pair, '', 0), parquet, context())).toEqual([]);
});

test('a cancelled conversion stops while its source is silent', async () => {
  const stop = new AbortController();
  async function* silent() {
    yield '1,a\n';
    await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
  }
  const converting = csvToFiles(csv(pair, silent(), 1), parquet, context(stop.signal));
  setTimeout(() => stop.abort(new Error('cancelled')), 700);
  await expect(converting).rejects.toThrow('cancelled');
  expect(await csvToFiles(csv(pair, '1,a\n', 1), parquet, context())).toHaveLength(1);
});
