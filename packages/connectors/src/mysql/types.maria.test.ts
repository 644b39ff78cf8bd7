import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bit,
  bool,
  bytea,
  type Column,
  char,
  date,
  enumeration,
  extract,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  load,
  numeric,
  pipeline,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  uuid,
  varchar,
} from '@millrace/core';
import { batchesOf, isMillraceError, type RowSchema, rowsOf, type Selection, typeName } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer, testedServer } from '../../../../test/mariadb-server.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { type MysqlOptions, mysql } from './index.ts';

const { flavour } = testedServer();
let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

type Declared = Column<never>;
const column = (made: unknown): Declared => made as Declared;
const bytes = (...list: number[]): Uint8Array => new Uint8Array(list);

/** A type of MySQL, the column that introspect declares for it, and values: as SQL writes them, as JavaScript has them. */
const exact: readonly (readonly [type: string, declared: unknown, values: readonly (readonly [sql: string, value: unknown])[]])[] = [
  [
    'tinyint',
    int2(),
    [
      ['-128', -128],
      ['127', 127],
    ],
  ],
  ['tinyint unsigned', int2(), [['255', 255]]],
  ['smallint', int2(), [['-32768', -32768]]],
  ['smallint unsigned', int4(), [['65535', 65535]]],
  ['mediumint', int4(), [['-8388608', -8388608]]],
  ['mediumint unsigned', int4(), [['16777215', 16777215]]],
  ['int', int4(), [['-2147483648', -2147483648]]],
  ['int unsigned', int8(), [['4294967295', 4294967295n]]],
  ['int(8) unsigned zerofill', int8(), [['42', 42n]]],
  ['bigint', int8(), [['-9223372036854775808', -9223372036854775808n]]],
  [
    'bigint unsigned',
    numeric(20),
    [
      ['18446744073709551615', '18446744073709551615'],
      ['0', '0'],
    ],
  ],
  [
    'decimal(65,30)',
    numeric(65, 30),
    [
      [`${'9'.repeat(35)}.${'9'.repeat(30)}`, `${'9'.repeat(35)}.${'9'.repeat(30)}`],
      [`-0.${'0'.repeat(29)}1`, `-0.${'0'.repeat(29)}1`],
      ['0', `0.${'0'.repeat(30)}`],
    ],
  ],
  ['decimal(6,2) unsigned zerofill', numeric(6, 2), [['1.5', '1.50']]],
  [
    'float',
    float4(),
    [
      ['0.1', Math.fround(0.1)],
      ['3.4028234663852886e38', 3.4028234663852886e38],
      ['1.17549435e-38', Math.fround(1.17549435e-38)],
      ['16777217', 16777216],
    ],
  ],
  [
    'double',
    float8(),
    [
      ['1.7976931348623157e308', 1.7976931348623157e308],
      ['5e-324', 5e-324],
      ['0.1', 0.1],
      ['-0.0001', -0.0001],
      ['123456789012345680', 123456789012345680],
    ],
  ],
  [
    'bit(1)',
    bit(1),
    [
      [`b'1'`, '1'],
      [`b'0'`, '0'],
    ],
  ],
  ['bit(10)', bit(10), [[`b'101'`, '0000000101']]],
  ['bit(64)', bit(64), [[`0xffffffffffffffff`, '1'.repeat(64)]]],
  [
    'year',
    int2(),
    [
      ['1901', 1901],
      ['2155', 2155],
      ['0', 0],
    ],
  ],
  [
    'date',
    date(),
    [
      [`'1000-01-01'`, '1000-01-01'],
      [`'9999-12-31'`, '9999-12-31'],
      [`'2024-02-29'`, '2024-02-29'],
    ],
  ],
  ['datetime', timestamp(0), [[`'2024-02-29 23:59:59'`, '2024-02-29T23:59:59.000000']]],
  ['datetime(3)', timestamp(3), [[`'2024-02-29 23:59:59.120'`, '2024-02-29T23:59:59.120000']]],
  [
    'datetime(6)',
    timestamp(),
    [
      [`'9999-12-31 23:59:59.999999'`, '9999-12-31T23:59:59.999999'],
      [`'2024-02-29 00:00:00.100000'`, '2024-02-29T00:00:00.100000'],
      [`'2024-02-29 10:00:00'`, '2024-02-29T10:00:00.000000'],
    ],
  ],
  ['timestamp', timestamptz(0), [[`'2024-02-29 03:00:00'`, '2024-02-29T00:00:00.000000Z']]],
  [
    'timestamp(6)',
    timestamptz(),
    [
      [`'2038-01-19 06:14:07.999999'`, '2038-01-19T03:14:07.999999Z'],
      [`'1970-01-01 03:00:01.5'`, '1970-01-01T00:00:01.500000Z'],
    ],
  ],
  [
    'time',
    interval(),
    [
      [`'838:59:59'`, 'PT838H59M59S'],
      [`'-838:59:59'`, 'PT-838H-59M-59S'],
      [`'00:00:00'`, 'PT0S'],
      [`'12:00:30'`, 'PT12H30S'],
    ],
  ],
  [
    'time(6)',
    interval(),
    [
      [`'-00:00:00.000001'`, 'PT-0.000001S'],
      [`'24:00:00.100000'`, 'PT24H0.1S'],
    ],
  ],
  [
    'char(5)',
    varchar(5),
    [
      [`'ab '`, 'ab'],
      [`''`, ''],
    ],
  ],
  [
    'varchar(20)',
    varchar(20),
    [
      [`'ab '`, 'ab '],
      [`'\t\n"\\\\,'`, '\t\n"\\,'],
      [`'🦉ü'`, '🦉ü'],
    ],
  ],
  ['varchar(20) character set latin1', varchar(20), [[`'Zürich'`, 'Zürich']]],
  ['varchar(20) character set utf8mb3', varchar(20), [[`'žluť'`, 'žluť']]],
  ['varchar(20) character set ucs2', varchar(20), [[`'日本'`, '日本']]],
  ['varchar(20) character set sjis', varchar(20), [[`'日本'`, '日本']]],
  ['varchar(20) character set koi8r', varchar(20), [[`'мир'`, 'мир']]],
  ['longtext', text(), [[`repeat('é', 70000)`, 'é'.repeat(70000)]]],
  ['tinytext', text(), [[`'x'`, 'x']]],
  ['json', json(), [[`'{"a": [1, null, "ü"]}'`, '{"a": [1, null, "ü"]}']]],
  [
    `enum('a','it''s','ü')`,
    varchar(4),
    [
      [`'it''s'`, `it's`],
      [`'ü'`, 'ü'],
    ],
  ],
  [
    `set('a','b','c')`,
    text(),
    [
      [`'a,c'`, 'a,c'],
      [`''`, ''],
    ],
  ],
  ['binary(3)', bytea(), [[`x'00ff'`, bytes(0, 255, 0)]]],
  [
    'varbinary(10)',
    bytea(),
    [
      [`x'005c0a27'`, bytes(0, 92, 10, 39)],
      [`''`, bytes()],
    ],
  ],
  ['longblob', bytea(), [[`repeat(x'e9', 70000)`, new Uint8Array(70000).fill(0xe9)]]],
  ['point', bytea(), [[`ST_GeomFromText('POINT(1 2)')`, new Uint8Array(Buffer.from('0101000000000000000000f03f0000000000000040', 'hex'))]]],
  ...(flavour === 'mariadb'
    ? ([
        ['uuid', uuid(), [[`'123e4567-e89b-12d3-a456-426614174000'`, '123e4567-e89b-12d3-a456-426614174000']]],
        [
          'inet6',
          inet(),
          [
            [`'::1'`, '::1'],
            [`'2001:db8::ff00:42:8329'`, '2001:db8::ff00:42:8329'],
          ],
        ],
        [
          'point',
          bytea(),
          [[`ST_GeomFromText('POINT(1 2)', 4326)`, new Uint8Array(Buffer.from('0101000000000000000000f03f0000000000000040', 'hex'))]],
        ],
      ] as const)
    : ([
        // The first coordinate of this system is the latitude, and the server keeps the longitude first.
        [
          'point srid 4326',
          bytea(),
          [[`ST_GeomFromText('POINT(2 1)', 4326)`, new Uint8Array(Buffer.from('0101000000000000000000f03f0000000000000040', 'hex'))]],
        ],
      ] as const)),
];

/** Types that may be declared in place of those of `introspect`. */
const other: typeof exact = [
  [
    'tinyint(1)',
    bool(),
    [
      ['1', true],
      ['0', false],
    ],
  ],
  [
    'bit(1)',
    bool(),
    [
      [`b'1'`, true],
      [`b'0'`, false],
    ],
  ],
  [
    'time(3)',
    time(),
    [
      [`'23:59:59.120'`, '23:59:59.120000'],
      [`'24:00:00'`, '24:00:00.000000'],
    ],
  ],
  ['char(5)', char(5), [[`'ab'`, 'ab   ']]],
  ['json', jsonb(), [[`'{"a": 1}'`, '{"a": 1}']]],
  [`enum('a','b')`, enumeration('letter', ['b', 'a', 'c']), [[`'a'`, 'a']]],
  ['binary(16)', uuid(), [[`x'123e4567e89b12d3a456426614174000'`, '123e4567-e89b-12d3-a456-426614174000']]],
  ['char(36)', uuid(), [[`'123E4567-e89b-12d3-a456-426614174000'`, '123e4567-e89b-12d3-a456-426614174000']]],
  ['int', numeric(12, 2), [['5', '5.00']]],
  ['bigint unsigned', numeric(), [['18446744073709551615', '18446744073709551615']]],
  ['float', float8(), [['0.1', 0.10000000149011612]]],
  ['double', text(), [['1e300', '1e+300']]],
  ['time', text(), [[`'100:00:00'`, 'PT100H']]],
  ['timestamp(3)', text(), [[`'2024-02-29 03:00:00.5'`, '2024-02-29 00:00:00.5+00']]],
  ['varbinary(3)', text(), [[`x'00ff'`, '\\x00ff']]],
];

const read = (options: Partial<MysqlOptions>, url: string, declared: ReturnType<typeof table>) =>
  rowsIn(mysql({ url, ...options }).selection(declared));

const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (isMillraceError(error) ? `${error.code}: ${error.message}` : String(error)),
  );

/** All the types in one table: a column each, and as many rows as the longest list of values, NULL where it is shorter. */
async function tableOf(types: typeof exact) {
  const database = await server.database();
  const names = types.map((_, at) => `c${at}`);
  const columns = types.map(([type], at) => `c${at} ${type}${/^timestamp/.test(type) ? ' null' : ''}`);
  const rows = Math.max(...types.map(([, , values]) => values.length)) + 1;
  const inserts = Array.from(
    { length: rows },
    (_, row) => `(${[row, ...types.map(([, , values]) => values[row]?.[0] ?? 'null')].join(', ')})`,
  );
  await database.sql(
    `create table t (id int primary key, ${columns.join(', ')}) row_format=dynamic`,
    `insert into t values ${inserts.join(', ')}`,
  );
  const declared = table(
    't',
    { id: int4(), ...Object.fromEntries(names.map((name, at) => [name, column(types[at]![1]).orNull()])) },
    { key: ['id'] },
  );
  const expected = Array.from({ length: rows }, (_, row) => ({
    id: row,
    ...Object.fromEntries(names.map((name, at) => [name, types[at]![2][row]?.[1] ?? null])),
  }));
  return { database, declared, expected };
}

describe('each type of MySQL', () => {
  test('is introspected as the type that holds all its values', async () => {
    const { database, declared } = await tableOf(exact);
    const [found] = await mysql({ url: database.url }).introspect(testContext(), { tables: ['t'] });
    const shown = ({ columns }: RowSchema) =>
      columns.map(({ name, type }, at) => `${name} ${exact[at - 1]?.[0] ?? 'int'} ${typeName(type)}`);
    expect(shown(found as RowSchema)).toEqual(shown(declared));
    expect(found).toMatchObject({ name: 't', key: ['id'] });
  });

  test.each([
    ['as it is introspected', exact],
    ['as it may be declared', other],
  ] as const)('is read to the last bit, %s', async (_, types) => {
    const { database, declared, expected } = await tableOf(types);
    const rows = await read({}, database.url, declared);
    for (const [at, [type]] of types.entries())
      expect([type, rows.map((row) => row[`c${at}`])]).toEqual([type, expected.map((row) => (row as Record<string, unknown>)[`c${at}`])]);
    expect(rows).toEqual(expected);
  });

  test.each([
    ['as it is introspected', exact],
    ['as it may be declared', other],
  ] as const)('comes to Postgres as it was, %s', async (_, types) => {
    await using pg = await testDatabase();
    const { database, declared, expected } = await tableOf(types);
    const rows = extract(mysql({ url: database.url }), declared);
    const there = postgres({ url: pg.url });
    await runPipeline(
      pipeline({ name: 'types', steps: { rows, loaded: load(rows, there.table(declared, { mode: 'append', schema: 'create' })) } }),
    );
    expect(await rowsIn(there.selection(declared))).toEqual(expected);
  });

  test.each([
    ['as it is introspected', exact],
    ['as it may be declared', other],
  ] as const)('comes to Parquet files as it was, %s', async (_, types) => {
    const { database, declared, expected } = await tableOf(types);
    const directory = mkdtempSync(join(tmpdir(), 'millrace-mysql-'));
    const lake = s3({ url: `file:${directory}` });
    const rows = extract(mysql({ url: database.url }), declared);
    await runPipeline(pipeline({ name: 'types', steps: { rows, files: load(rows, lake.parquet({ prefix: 't/' })) } }));
    expect(await rowsIn(lake.dataset('t/', declared))).toEqual(expected);
    rmSync(directory, { recursive: true });
  });
});

/** All rows of a selection, by their ids. */
async function rowsIn(selection: Selection): Promise<Record<string, unknown>[]> {
  await using source = await selection.open(testContext());
  await source.describe();
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const [format = 'batches'] = source.offers(plan).filter((offered) => offered !== 'pgcopy-binary');
  const rows: Record<string, unknown>[] = [];
  for (const split of plan.splits) for await (const batch of batchesOf(await source.open(split, format))) rows.push(...rowsOf(batch));
  return rows.sort((a, b) => Number(a['id']) - Number(b['id']));
}

describe('what does not fit is refused by name', () => {
  test.each([
    ['tinyint', bool(), '2', /^VALUE_UNREPRESENTABLE: Column "v": 2 is neither 0 nor 1/],
    ['time', time(), `'24:00:01'`, /^VALUE_UNREPRESENTABLE: Column "v": 24:00:01 is no time of day/],
    ['time', time(), `'-01:00:00'`, /^VALUE_UNREPRESENTABLE: Column "v": -01:00:00 is no time of day/],
    ['varchar(36)', uuid(), `'no uuid'`, /^VALUE_UNREPRESENTABLE: Column "v": "no uuid" is no UUID/],
    ['time', time(), `'838:00:00'`, /^VALUE_UNREPRESENTABLE: Column "v": 838:00:00 is no time of day/],
    [
      'bigint unsigned',
      int8(),
      '1',
      /^SCHEMA_DRIFT: .*"v" is bigint(\(20\))? unsigned, which is read as numeric\(20,0\), and declared as int8/s,
    ],
    ['datetime', timestamptz(), `'2024-01-01'`, /^SCHEMA_DRIFT: .*declared as timestamp with time zone/s],
    ['varchar(10)', varchar(9), `'a'`, /^SCHEMA_DRIFT: .*declared as varchar\(9\)/s],
    [`enum('a','b')`, enumeration('e', ['a']), `'a'`, /^SCHEMA_DRIFT: /],
  ])('%s as %o: %s', async (type, declared, value, message) => {
    const database = await server.database();
    await database.sql(`create table t (v ${type})`, `insert into t values (${value})`);
    expect(await code(read({}, database.url, table('t', { v: column(declared).orNull() })))).toMatch(message);
  });

  test('a column that may be NULL and is declared otherwise, and one that is not there', async () => {
    const database = await server.database();
    await database.sql('create table t (v int)');
    expect(await code(read({}, database.url, table('t', { v: int4(), gone: int4() })))).toMatch(
      /"v" may be NULL[\s\S]*"gone" \(int4\) is not there/,
    );
  });

  test('text that Postgres cannot hold fails the load, and says which table and line', async () => {
    await using pg = await testDatabase();
    const database = await server.database();
    await database.sql('create table t (id int primary key, v text)', `insert into t values (1, 'a\\0b')`);
    const declared = table('t', { id: int4(), v: text().orNull() }, { key: ['id'] });
    const rows = extract(mysql({ url: database.url }), declared);
    const loaded = load(rows, postgres({ url: pg.url }).table(declared, { mode: 'append', schema: 'create' }));
    expect(await code(runPipeline(pipeline({ name: 'nul', steps: { rows, loaded } })))).toMatch(
      /^TYPE_MISMATCH: .*invalid byte sequence.*COPY t, line 1/,
    );
  });

  const zeros = [
    ['date', date(), `'0000-00-00'`],
    ['date', date(), `'2024-00-10'`],
    ['date', date(), `'2024-02-00'`],
    ['date', date(), `'2023-02-29'`],
    ['datetime(6)', timestamp(), `'0000-00-00'`],
    ['datetime(6)', timestamp(), `'1900-02-29 10:00:00.5'`],
    ['datetime', timestamp(0), `'2024-06-31'`],
    ['timestamp', timestamptz(0), `'0000-00-00'`],
  ] as const;
  test.each(zeros)('a zero date fails by default, and is NULL where that is wanted: %s %o %s', async (type, declared, value) => {
    const database = await server.database();
    await database.sql(`set sql_mode = ''`, `create table t (v ${type} null)`);
    const connection = await server.connect(database.name);
    await connection.query(`set sql_mode = 'ALLOW_INVALID_DATES'`);
    await connection.query(`insert into t values (${value})`);
    const nullable = table('t', { v: column(declared).orNull() });
    expect(await code(read({}, database.url, nullable))).toMatch(/^VALUE_UNREPRESENTABLE: Column "v": [\d: .+-]+ is no (day|moment)/);
    expect(await read({ zeroDates: 'null' }, database.url, nullable)).toEqual([{ v: null }]);
  });
});
