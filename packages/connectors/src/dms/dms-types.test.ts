import { mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  array,
  bit,
  bool,
  bytea,
  type Column,
  char,
  cidr,
  date,
  enumeration,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  macaddr,
  macaddr8,
  numeric,
  other,
  range,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  timetz,
  uuid,
  varbit,
  varchar,
} from '@millrace/core';
import { decodeCsv, rowsOf } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import type { DuckDBInstance as Instance } from '../../node_modules/@duckdb/node-api/lib/index.js';
import { typeProblem } from './dms-types.ts';
import { completeOutput, readingOf, type S3Output } from './output.ts';
import type { LocalFile, TableReading } from './read-file.ts';
import { tableAt } from './table-at.ts';

const { DuckDBInstance } = createRequire(import.meta.url)('@duckdb/node-api') as { DuckDBInstance: typeof Instance };
const context = testContext();
const folder = mkdtempSync(join(context.spool, 'types-'));

type Columns = Readonly<Record<string, Column>>;
let files = 0;

/** The first row of a file of a full load, as text that Postgres prints. */
async function read(
  columns: Columns,
  written: { readonly csv: string } | { readonly parquet: string },
  more: { readonly output?: S3Output; readonly binary?: 'base64' } = {},
) {
  const isCsv = 'csv' in written;
  const format = isCsv ? 'csv' : 'parquet';
  const path = join(folder, `${++files}.${format}`);
  if (isCsv) writeFileSync(path, `Op,_dms_ts,${Object.keys(columns).join(',')}\nI,2026-01-01 00:00:00.000000,${written.csv}\n`);
  else {
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    await connection.run(
      `COPY (SELECT 'I' AS "Op", '2026-01-01 00:00:00.000000' AS _dms_ts, ${written.parquet}) TO '${path}' (FORMAT parquet)`,
    );
    connection.closeSync();
    instance.closeSync();
  }
  const schema = table('public.t', columns);
  const reading = readingOf(completeOutput({ DataFormat: format, ...more.output }));
  const reader: TableReading = {
    place: { schema: 'public', table: 't' },
    schema,
    reading,
    sequence: true,
    keyBefore: false,
    binary: more.binary ?? 'hex',
  };
  const local: LocalFile = { path, label: path, format, codec: 'none', kind: 'load' };
  const channel = await tableAt({ table: reader, load: [{ stamp: '', local }], changes: [], lobKilobytes: 64 }, context);
  const texts = { columns: schema.columns.map(({ name }) => ({ name, type: { kind: 'text' } as const, nullable: true })) };
  const rows: Record<string, unknown>[] = [];
  for await (const batch of decodeCsv(texts, channel.stream)) rows.push(...rowsOf(batch));
  await channel.done;
  return rows[0];
}

const all = {
  b1: bool().orNull(),
  b2: bool().orNull(),
  i2: int2().orNull(),
  i4: int4().orNull(),
  i8: int8().orNull(),
  u8: numeric(20, 0).orNull(),
  n: numeric(38, 10).orNull(),
  m: numeric(12, 2).orNull(),
  f4: float4().orNull(),
  f8: float8().orNull(),
  d: date().orNull(),
  t: time(0).orNull(),
  ts: timestamp().orNull(),
  tz: timestamptz().orNull(),
  u: uuid().orNull(),
  e: text().orNull(),
  x: text().orNull(),
  c: char(3).orNull(),
  v: varchar(4).orNull(),
  raw: bytea().orNull(),
  none: bytea().orNull(),
  j: json().orNull(),
} satisfies Columns;

const printed = {
  b1: 't',
  b2: 'f',
  i2: '-32768',
  i4: '2147483647',
  i8: '-9223372036854775808',
  u8: '18446744073709551615',
  n: '1234567890123456789012345678.0123456789',
  m: '12.50',
  f4: '1.1',
  f8: '0.1',
  d: '2024-02-29',
  t: '23:59:59',
  ts: '1969-12-31 23:59:59.000001',
  tz: '2026-02-03 04:05:06.789+00',
  u: '0e5a3b1e-0c1d-4a3e-9f57-000000000001',
  e: '',
  x: 'a, "b"\nü😀',
  c: 'a  ',
  v: 'ü€😀z',
  raw: '\\x00ff5c',
  none: '\\x',
  j: '{"a": 1.10}',
};

describe('every type comes as it is', () => {
  const csv = [
    'true',
    'F',
    '-32768',
    '2147483647',
    '-9223372036854775808',
    '18446744073709551615',
    '1234567890123456789012345678.0123456789',
    '12.500000',
    '1.1',
    '0.1',
    '2024-02-29',
    '23:59:59',
    '1969-12-31 23:59:59.000001000',
    '2026-02-03 04:05:06.789000',
    '0e5a3b1e-0c1d-4a3e-9f57-000000000001',
    '',
    '"a, ""b""\nü😀"',
    'a',
    'ü€😀z',
    '00FF5C',
    '',
    '"{""a"": 1.10}"',
  ];
  test('out of CSV', async () => expect(await read(all, { csv: csv.join(',') })).toEqual(printed));

  test('out of CSV with bytes in base64', async () => {
    const base64 = csv.map((field) => (field === '00FF5C' ? 'AP9c' : field));
    expect(await read(all, { csv: base64.join(',') }, { binary: 'base64' })).toEqual(printed);
  });

  test('out of Parquet, in the types that DMS has for them', async () => {
    const parquet = `true AS b1, 'false' AS b2, (-32768)::SMALLINT AS i2, 2147483647::INTEGER AS i4, (-9223372036854775808)::BIGINT AS i8,
      18446744073709551615::UBIGINT AS u8, 1234567890123456789012345678.0123456789::DECIMAL(38,10) AS n, 12.5::DECIMAL(28,6) AS m, 1.1::FLOAT AS f4, 0.1::DOUBLE AS f8,
      DATE '2024-02-29' AS d, TIME '23:59:59' AS t, TIMESTAMP '1969-12-31 23:59:59.000001' AS ts, TIMESTAMP '2026-02-03 04:05:06.789' AS tz,
      '0e5a3b1e-0c1d-4a3e-9f57-000000000001' AS u, '' AS e, 'a, "b"' || chr(10) || 'ü😀' AS x, 'a' AS c, 'ü€😀z' AS v, unhex('00FF5C') AS raw, ''::BLOB AS "none", '{"a": 1.10}' AS j`;
    expect(await read(all, { parquet })).toEqual(printed);
  });

  const nothing = Object.fromEntries(Object.keys(all).map((name) => [name, null]));
  test('NULL out of CSV is not an empty text', async () =>
    expect(await read(all, { csv: csv.map(() => '~NULL~').join(',') })).toEqual(nothing));
  test('NULL out of Parquet', async () =>
    expect(
      await read(all, {
        parquet: Object.keys(all)
          .map((name) => `NULL::VARCHAR AS "${name}"`)
          .join(', '),
      }),
    ).toEqual(nothing));
  test('a text in quotes that reads like NULL is a text', async () =>
    expect(await read({ x: text().orNull(), y: text().orNull() }, { csv: '"~NULL~",~NULL~' })).toEqual({ x: '~NULL~', y: null }));
});

describe('a value that the declared type does not hold is refused, and never made to fit', () => {
  const csv: readonly (readonly [what: string, column: Column, field: string])[] = [
    ['an unsigned number beyond int8', int8(), '9223372036854775808'],
    ['a number beyond int2', int2(), '40000'],
    ['a fraction as a whole number', int4(), '1.5'],
    ['digits behind the scale', numeric(12, 2), '1.005'],
    ['digits before the point', numeric(4, 2), '123.00'],
    ['an exponent', numeric(12, 2), '1E+2'],
    ['nanoseconds', timestamp(), '2026-01-01 00:00:00.123456789'],
    ['a day that is none', date(), '2026-02-30'],
    ['a time for a day', date(), '2026-02-03 04:05:06'],
    ['neither true nor false', bool(), '2'],
    ['no hexadecimal digits', bytea(), '0AG1'],
    ['half a byte', bytea(), '0AF'],
    ['a text that is too long', varchar(3), 'long'],
    ['no JSON', json(), '{'],
    ['NULL where none may be', text(), '~NULL~'],
    ['an empty number', int4().orNull(), ''],
    ['no label', enumeration('mood', ['sad', 'ok']), 'happy'],
    ['no UUID', uuid(), '0e5a3b1e'],
  ];
  for (const [what, column, field] of csv)
    test(`${what}, in CSV`, async () => {
      await expect(read({ a: int4(), c: column }, { csv: `1,${field}` })).rejects.toMatchObject({
        code: 'TYPE_MISMATCH',
        facts: { column: 'c' },
      });
    });
  test('no base64', async () => {
    await expect(read({ a: int4(), c: bytea() }, { csv: '1,A*' }, { binary: 'base64' })).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
  });
  const parquet: readonly (readonly [what: string, column: Column, sql: string])[] = [
    ['an unsigned number beyond int8', int8(), '9223372036854775808::UBIGINT'],
    ['digits behind the scale', numeric(12, 2), '1.005::DECIMAL(28,6)'],
    ['NULL where none may be', text(), 'NULL::VARCHAR'],
  ];
  for (const [what, column, sql] of parquet)
    test(`${what}, in Parquet`, async () => {
      await expect(read({ a: int4(), c: column }, { parquet: `1 AS a, ${sql} AS c` })).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
    });
  test('a carriage return without quotes is not lost', async () => {
    expect(await read({ a: int4(), c: text() }, { csv: '1,x\ry' })).toEqual({ a: '1', c: 'x\ry' });
  });
  test('a text that was cut: as many bytes, or half as many characters', async () => {
    const x = { x: text() };
    expect(await read(x, { csv: 'a'.repeat(32 * 1024 - 2) })).toEqual({ x: 'a'.repeat(32 * 1024 - 2) });
    for (const cut of ['a'.repeat(32 * 1024), 'ü'.repeat(32 * 1024), '€'.repeat(22 * 1024), '😀'.repeat(16 * 1024)])
      await expect(read(x, { csv: cut })).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE' });
    await expect(read({ x: bytea() }, { csv: 'AB'.repeat(64 * 1024) })).rejects.toMatchObject({ code: 'VALUE_UNREPRESENTABLE' });
  });
});

describe('what DMS cannot carry is refused where it is declared', () => {
  const reading = readingOf(completeOutput());
  const bare = readingOf(completeOutput({ DataFormat: 'csv', Rfc4180: false }));
  const problem = (column: Column, as = reading): string | null => typeProblem({ name: 'c', type: column.type, nullable: true }, as);
  const refused: readonly (readonly [said: string, column: Column])[] = [
    ['NUMERIC(28,6)', numeric()],
    ['38 digits', numeric(39, 2)],
    ['scale', numeric(4, 6)],
    ['tstzrange', range('tstzrange')],
    ['geometry', other('geometry')],
    ['words of its own', interval()],
    ['without their zone', timetz()],
    ['whole seconds', time()],
    ['whole seconds', time(3)],
    ['macaddr8', macaddr8()],
    ['so many bits', varbit()],
  ];
  for (const [said, column] of refused) test(`${said} (${column.type.kind})`, () => expect(problem(column)).toContain(said));
  const kept = [
    bool(),
    int2(),
    numeric(12, 2),
    float8(),
    time(0),
    timestamptz(),
    uuid(),
    text(),
    jsonb(),
    array(int4()),
    inet(),
    cidr(),
    macaddr(),
    bit(3),
    varbit(3),
    bytea(),
  ];
  test('and everything else is not', () => expect(kept.map((column) => problem(column))).toEqual(kept.map(() => null)));
  test('without quotes, only what cannot hold a delimiter', () => {
    expect(problem(text(), bare)).toContain('Rfc4180');
    expect(problem(varchar(3), bare)).toContain('Rfc4180');
    expect([int4(), numeric(12, 2), date(), bytea(), uuid()].map((column) => problem(column, bare))).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});
