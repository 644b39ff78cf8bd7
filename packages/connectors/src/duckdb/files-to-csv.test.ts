import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import {
  bool,
  date,
  enumeration,
  float8,
  int2,
  int4,
  int8,
  jsonb,
  numeric,
  secret,
  table,
  text,
  timestamp,
  timestamptz,
  uuid,
} from '@millrace/core';
import { decodeCsv, type RelationalOp, type RowSchema, rowsOf } from '@millrace/core/runtime';
import { afterAll, expect, test } from 'vitest';
import { csvToFiles, type FileFormat } from './csv-to-files.ts';
import { type FilesToCsv, filesToCsv, type InputFile, type ReadContext } from './files-to-csv.ts';
import { canonicalDialect } from './read-sql.ts';
import { absorbable } from './relational-sql.ts';

const spool = mkdtempSync(join(tmpdir(), 'millrace duckdb [*]-'));
afterAll(() => rmSync(spool, { recursive: true, force: true }));
const context: ReadContext = {
  signal: new AbortController().signal,
  spool,
  memoryBudget: 256 * 1024 * 1024,
  progress() {},
  secret: async ({ name }) => `salt of ${name}`,
};

let made = 0;
function file(content: string | Buffer, format: InputFile['format'], codec: InputFile['codec'] = 'none'): InputFile {
  const path = join(spool, `it's a "file" ${++made}.${format}`);
  writeFileSync(path, content);
  return { path, label: `lake/${made}.${format}`, format, codec };
}

async function read(request: Partial<FilesToCsv> & Pick<FilesToCsv, 'files' | 'schema'>): Promise<Record<string, unknown>[]> {
  const channel = await filesToCsv({ absorbed: [], ...request }, context);
  const rows: Record<string, unknown>[] = [];
  for await (const batch of decodeCsv(channel.schema, channel.stream)) rows.push(...rowsOf(batch));
  expect(await channel.done).toEqual({ rows: rows.length });
  return rows;
}

async function parquet(schema: RowSchema, body: string, rows: number): Promise<InputFile> {
  const format: FileFormat = { format: 'parquet', codec: 'snappy', partitionBy: [], rowGroupRows: 122_880, fileBytes: null };
  const [written] = await csvToFiles(
    { format: 'csv', schema, stream: Readable.from([Buffer.from(body)]), done: Promise.resolve({ rows }) },
    format,
    context,
  );
  return { path: written!.path, label: 'lake/it.parquet', format: 'parquet', codec: 'none' };
}

async function cutZstd(): Promise<InputFile> {
  const lines = Array.from({ length: 20_000 }, (_, n) => `${n},${createHash('md5').update(String(n)).digest('hex')}\n`).join('');
  const format: FileFormat = { format: 'csv', codec: 'zstd', partitionBy: [], rowGroupRows: 122_880, fileBytes: null };
  const [written] = await csvToFiles(
    { format: 'csv', schema: person, stream: Readable.from([Buffer.from(lines)]), done: Promise.resolve({ rows: 20_000 }) },
    format,
    context,
  );
  truncateSync(written!.path, 200_000);
  return { path: written!.path, label: 'lake/it.csv.zst', format: 'csv', codec: 'zstd' };
}

const person = table('person', { id: int4(), name: text().orNull() });

test.each<[string, string | Buffer, Partial<InputFile>]>([
  ['by the names of its header', 'name,id,more\nAnn,1,x\n"",2,y\n,3,z\n', {}],
  ['with Windows line ends and a byte order mark', '\ufeffid,name\r\n1,Ann\r\n2,""\r\n3,\r\n', {}],
  ['packed', gzipSync('id,name\n1,Ann\n2,""\n3,\n'), { codec: 'gzip' }],
  ['without a header', '1,Ann\n2,""\n3,\n', { csv: { ...canonicalDialect, header: false } }],
  [
    'in another dialect',
    "id;name\n1;Ann\n2;''\n3;NULL\n",
    { csv: { header: true, delimiter: ';', quote: "'", escape: "'", nullText: 'NULL' } },
  ],
])('CSV is read %s', async (_, content, how) => {
  expect(await read({ files: [{ ...file(content, 'csv'), ...how }], schema: person })).toEqual([
    { id: 1, name: 'Ann' },
    { id: 2, name: '' },
    { id: 3, name: null },
  ]);
});

test('a carriage return within a value is part of it, in quotes and without', async () => {
  expect(await read({ files: [file('id,name\r\n1,a\rb\r\n2,\rc\n3,"d\re"\r\n4,f\r\r\n', 'csv')], schema: person })).toEqual([
    { id: 1, name: 'a\rb' },
    { id: 2, name: '\rc' },
    { id: 3, name: 'd\re' },
    { id: 4, name: 'f\r' },
  ]);
});

test('an empty file has no rows, several files are read one after the other', async () => {
  const files = [file('', 'csv'), file('id,name\n', 'csv'), file('id,name\n1,a\n', 'csv'), file('name,id\nb,2\n', 'csv')];
  expect(await read({ files, schema: person })).toEqual([
    { id: 1, name: 'a' },
    { id: 2, name: 'b' },
  ]);
});

test('usual forms of values become the canonical one', async () => {
  const schema = table('t', {
    b: bool(),
    n: int8(),
    d: numeric(10, 2),
    f: float8(),
    at: timestamptz(),
    day: date(),
    u: uuid(),
    j: jsonb(),
  });
  const csv =
    'b,n,d,f,at,day,u,j\nTRUE, +5,1.5,1e3,2024-02-29T10:00:00+02:00,2024-02-29,A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11,"{""a"": 1}"\n';
  expect(await read({ files: [file(csv, 'csv')], schema })).toEqual([
    {
      b: true,
      n: 5n,
      d: '1.50',
      f: 1000,
      at: '2024-02-29T08:00:00.000000Z',
      day: '2024-02-29',
      u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      j: '{"a": 1}',
    },
  ]);
  const lines =
    '{"b":true,"n":5,"d":1.5,"f":1e3,"at":"2024-02-29T10:00:00+02:00","day":"2024-02-29","u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","j":{"a":[1,null]}}\n';
  expect(await read({ files: [file(lines, 'jsonl')], schema })).toMatchObject([
    { b: true, n: 5n, d: '1.50', f: 1000, j: '{"a":[1,null]}' },
  ]);
});

test.each<[string, () => Promise<InputFile>, RowSchema, object]>([
  [
    'a missing column',
    async () => file('id\n1\n', 'csv'),
    person,
    { code: 'SCHEMA_DRIFT', message: expect.stringMatching(/lake\/\d+\.csv has no column "name"; it has "id"/) },
  ],
  [
    'two columns of one name',
    async () => file('id,id\n1,2\n', 'csv'),
    person,
    { code: 'FILE_CORRUPT', message: expect.stringContaining('two columns are named "id"') },
  ],
  [
    'a value of another type',
    async () => file('id,name\n1,a\nx2,b\n', 'csv'),
    person,
    { code: 'TYPE_MISMATCH', message: expect.stringMatching(/lake\/\d+\.csv, row 2: Column "id": "x2" is not an int4/) },
  ],
  ['half an integer', async () => file('id,name\n1.5,a\n', 'csv'), person, { code: 'TYPE_MISMATCH', facts: { row: 1, column: 'id' } }],
  [
    'NULL where none may be',
    async () => file('id,name\n1,a\n,b\n', 'csv'),
    person,
    { code: 'TYPE_MISMATCH', message: expect.stringMatching(/row 2: Column "id" holds NULL/) },
  ],
  [
    'a line with too few fields',
    async () => file('id,name\n1,a\n2\n', 'csv'),
    person,
    { code: 'FILE_CORRUPT', message: expect.stringMatching(/lake\/\d+\.csv, row 2: 1 columns where 2/) },
  ],
  [
    'an open quote',
    async () => file('id,name\n1,"a\n2,b\n', 'csv'),
    person,
    { code: 'FILE_CORRUPT', message: expect.stringMatching(/csv, row 1: a quote is not closed/) },
  ],
  [
    'a packed file that is cut',
    async () => file(gzipSync(`id,name\n${'1,a\n'.repeat(50_000)}`).subarray(0, 150), 'csv', 'gzip'),
    person,
    { code: 'FILE_CORRUPT' },
  ],
  [
    'broken JSON',
    async () => file('{"id":1}\n{"id":\n', 'jsonl'),
    person,
    { code: 'FILE_CORRUPT', message: expect.stringMatching(/jsonl, row 2: it is not a JSON object/) },
  ],
  ['a cut zstd file', async () => ({ ...(await cutZstd()) }), person, { code: 'FILE_CORRUPT' }],
  [
    'a long decimal without quotes in JSON',
    async () => file('{"n":12345678901234567.89}\n', 'jsonl'),
    table('t', { n: numeric(20, 2) }),
    { code: 'TYPE_MISMATCH' },
  ],
  [
    'Parquet that is cut',
    async () => {
      const whole = await parquet(person, '1,a\n', 1);
      truncateSync(whole.path, readFileSync(whole.path).length - 5);
      return whole;
    },
    person,
    { code: 'FILE_CORRUPT', message: expect.stringContaining('lake/it.parquet') },
  ],
  ['Parquet that is none', async () => file('no parquet at all, only text', 'parquet'), person, { code: 'FILE_CORRUPT' }],
  [
    'a Parquet column of another type',
    () => parquet(table('t', { id: text(), name: text() }), '1,a\n', 1),
    person,
    { code: 'SCHEMA_DRIFT', message: 'lake/it.parquet: column "id" is VARCHAR, which does not fit int4.' },
  ],
  [
    'a Parquet value that is too large',
    () => parquet(table('t', { id: int4(), name: text() }), '70000,a\n', 1),
    table('t', { id: int2() }),
    { code: 'TYPE_MISMATCH', facts: { column: 'id', value: '70000' } },
  ],
])('%s is told with its file', async (_, make, schema, expected) => {
  await expect(read({ files: [await make()], schema })).rejects.toMatchObject(expected);
});

test('a Parquet file may have wider columns, more of them and another order', async () => {
  const wide = table('t', { extra: text(), name: text().orNull(), id: int8() });
  expect(await read({ files: [await parquet(wide, 'x,a,1\n', 1)], schema: person })).toEqual([{ id: 1, name: 'a' }]);
});

const mood = enumeration('mood', ['sad', 'happy']);
const item = table('item', { id: int4(), price: numeric(8, 2), name: text().orNull(), mood, at: timestamp(), rate: float8() });
const items = [
  '1,10.00,Ann,sad,2024-01-01 00:00:00,1.5',
  '2,20.00,,happy,2024-01-02 00:00:00,NaN',
  '3,30.00,"Zoë, 😀😀",sad,2024-01-03 00:00:00.5,-1',
  '1,11.00,Bob,happy,2024-01-09 00:00:00,2',
];
const sha256 = (value: string) => createHash('sha256').update(value).digest('hex');

const operations: [string, RelationalOp[], (rows: Record<string, unknown>[]) => unknown][] = [
  [
    'select and rename',
    [
      { op: 'select', columns: ['name', 'id'] },
      { op: 'rename', columns: { id: 'number' } },
    ],
    (rows) => rows.map(({ name, id }) => ({ name, number: id })),
  ],
  [
    'filter by number',
    [
      {
        op: 'filter',
        where: [
          { column: 'price', is: '>=', value: '11.00' },
          { column: 'id', is: 'in', value: [1, 2] },
        ],
      },
    ],
    (rows) => [rows[1], rows[3]],
  ],
  [
    'filter by text, NULL fulfils nothing',
    [{ op: 'filter', where: [{ column: 'name', is: '<>', value: 'Ann' }] }],
    (rows) => [rows[2], rows[3]],
  ],
  ['not in nothing', [{ op: 'filter', where: [{ column: 'name', is: 'not in', value: [] }] }], (rows) => [rows[0], rows[2], rows[3]]],
  ['null', [{ op: 'filter', where: [{ column: 'name', is: 'null' }] }], (rows) => [rows[1]]],
  [
    'NaN is greater than every number',
    [{ op: 'filter', where: [{ column: 'rate', is: '>', value: 1 }] }],
    (rows) => rows.filter(({ rate }) => Number.isNaN(rate) || (rate as number) > 1),
  ],
  [
    'filter by time',
    [{ op: 'filter', where: [{ column: 'at', is: '>', value: '2024-01-02T00:00:00.000000' }] }],
    (rows) => [rows[2], rows[3]],
  ],
  ['filter by a hostile value', [{ op: 'filter', where: [{ column: 'name', is: '=', value: "x'; DROP TABLE t; --" }] }], () => []],
  ['filter by label', [{ op: 'filter', where: [{ column: 'mood', is: '=', value: 'happy' }] }], (rows) => [rows[1], rows[3]]],
  [
    'cast',
    [
      { op: 'select', columns: ['id', 'price', 'at'] },
      {
        op: 'cast',
        columns: {
          id: { type: { kind: 'int8' }, onError: 'fail' },
          price: { type: { kind: 'text' }, onError: 'fail' },
          at: { type: { kind: 'text' }, onError: 'null' },
        },
      },
    ],
    (rows) =>
      rows.map(({ id, price, at }) => ({
        id: BigInt(id as number),
        price,
        at: (at as string)
          .replace('T', ' ')
          .replace(/\.?0+$/, '')
          .replace(/:00:0?$/, ':00:00')
          .replace(/ 00:00$/, ' 00:00:00'),
      })),
  ],
  [
    'mask',
    [
      { op: 'select', columns: ['id', 'price', 'name', 'mood'] },
      {
        op: 'mask',
        columns: {
          id: { mask: 'hash', salt: secret('A') },
          price: { mask: 'tokenize', salt: secret('A'), prefix: "p'", keepLast: 3 },
          name: { mask: 'truncate', length: 6 },
          mood: { mask: 'redact', with: '*' },
        },
      },
    ],
    (rows) =>
      rows.map(({ id, price, name }) => ({
        id: sha256(`salt of A${id}`),
        price: `p'${sha256(`salt of A${price}`).slice(0, 32)}${(price as string).slice(-3)}`,
        name: name === null ? null : [...(name as string)].slice(0, 6).join(''),
        mood: '*',
      })),
  ],
  [
    'redact to NULL',
    [
      { op: 'select', columns: ['name'] },
      { op: 'mask', columns: { name: { mask: 'redact', with: null } } },
    ],
    (rows) => rows.map(() => ({ name: null })),
  ],
  ['dedupe', [{ op: 'dedupe', key: ['id'], by: 'at', keep: 'greatest' }], (rows) => [rows[1], rows[2], rows[3]]],
  ['dedupe to the least', [{ op: 'dedupe', key: ['mood'], by: 'price', keep: 'least' }], (rows) => [rows[0], rows[3]]],
];

const byText = (rows: unknown) =>
  (rows as object[]).map((row) => JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))).sort();

test.each(operations)('%s gives the same out of every format', async (_, absorbed, expected) => {
  const input = absorbed.reduce<readonly unknown[]>((columns) => columns, item.columns);
  expect(absorbable(absorbed[0]!, input as typeof item.columns)).toBe(true);
  const header = item.columns.map(({ name }) => name).join(',');
  const files = [await parquet(item, items.map((line) => `${line}\n`).join(''), 4), file(`${header}\n${items.join('\n')}\n`, 'csv')];
  for (const one of files) {
    const all = (await read({ files: [one], schema: item })).sort((a, b) => String(a['at']).localeCompare(String(b['at'])));
    expect(byText(await read({ files: [one], schema: item, absorbed })), one.format).toEqual(byText(expected(all)));
  }
});

test('what DuckDB would do otherwise than a function is not taken', () => {
  const no = (op: RelationalOp) =>
    expect(absorbable(op, table('t', { f: float8(), n: numeric(), c: text(), m: mood, j: jsonb() }).columns)).toBe(false);
  no({ op: 'mask', columns: { f: { mask: 'hash', salt: secret('A') } } });
  no({ op: 'filter', where: [{ column: 'n', is: '>', value: '1' }] });
  no({ op: 'filter', where: [{ column: 'm', is: '<', value: 'happy' }] });
  no({ op: 'filter', where: [{ column: 'j', is: '=', value: '{}' }] });
  no({ op: 'cast', columns: { c: { type: { kind: 'int4' }, onError: 'fail' } } });
  no({ op: 'dedupe', key: ['j'], by: 'f', keep: 'greatest' });
});

test('a reader that goes away early leaves the place to the next', async () => {
  const lines = file(`id,name\n${'1,some text\n'.repeat(200_000)}`, 'csv');
  for (let turn = 0; turn < 2; turn++) {
    const channel = await filesToCsv({ files: [lines], schema: person, absorbed: [] }, context);
    channel.stream.destroy();
    await expect(channel.done).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  }
  expect(await read({ files: [file('id,name\n1,a\n', 'csv')], schema: person })).toHaveLength(1);
});
