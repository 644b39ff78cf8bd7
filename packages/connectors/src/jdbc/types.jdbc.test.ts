import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract, int4, int8, load, numeric, pipeline, type Table, table, text, timestamp, varchar } from '@millrace/core';
import { type Columns, typeName } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { h2Server, hsqldbServer, type JdbcDatabase } from '../../../../test/jdbc.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { jdbc } from './index.ts';

/** Type as the database writes it, what it becomes, and literals with the values that are read. */
type Cases = readonly (readonly [ddl: string, becomes: string, values: readonly (readonly [literal: string, value: unknown])[]])[];

const letters = 'zażółć 🙂 "quoted", \'single\'\n\t\\N';
const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** `ZONED` is how the database begins the literal of a timestamp with time zone. */
const common: Cases = [
  [
    'BOOLEAN',
    'bool',
    [
      ['TRUE', true],
      ['FALSE', false],
    ],
  ],
  [
    'SMALLINT',
    'int2',
    [
      ['-32768', -32768],
      ['32767', 32767],
    ],
  ],
  [
    'INTEGER',
    'int4',
    [
      ['-2147483648', -2147483648],
      ['2147483647', 2147483647],
      ['0', 0],
    ],
  ],
  [
    'BIGINT',
    'int8',
    [
      ['-9223372036854775808', -9223372036854775808n],
      ['9223372036854775807', 9223372036854775807n],
      ['0', 0n],
    ],
  ],
  [
    'DOUBLE PRECISION',
    'float8',
    [
      ['1.7976931348623157E308', Number.MAX_VALUE],
      ['-0.1E0', -0.1],
      ['0E0', 0],
      ['5E-324', 5e-324],
    ],
  ],
  [
    'NUMERIC(38, 10)',
    'numeric(38,10)',
    [
      ['9999999999999999999999999999.9999999999', '9999999999999999999999999999.9999999999'],
      ['-0.5', '-0.5000000000'],
      ['0', '0.0000000000'],
    ],
  ],
  ['DECIMAL(12)', 'numeric(12,0)', [['-999999999999', '-999999999999']]],
  [
    'CHAR(3)',
    'char(3)',
    [
      ["'a'", 'a  '],
      ["'abc'", 'abc'],
    ],
  ],
  [
    'VARCHAR(40)',
    'varchar(40)',
    [
      ["''", ''],
      [quoted(letters), letters],
      ["' blanks '", ' blanks '],
    ],
  ],
  [
    'CLOB',
    'text',
    [
      [quoted(letters.repeat(50)), letters.repeat(50)],
      ["''", ''],
    ],
  ],
  [
    'VARBINARY(20)',
    'bytea',
    [
      ["X'00ff10'", new Uint8Array([0, 255, 16])],
      ["X''", new Uint8Array()],
    ],
  ],
  ['BLOB', 'bytea', [["X'0001fe'", new Uint8Array([0, 1, 254])]]],
  [
    'DATE',
    'date',
    [
      ["DATE '2024-02-29'", '2024-02-29'],
      ["DATE '0001-01-01'", '0001-01-01'],
      ["DATE '9999-12-31'", '9999-12-31'],
      ["DATE '1582-10-04'", '1582-10-04'],
    ],
  ],
  [
    'TIME(6)',
    'time',
    [
      ["TIME '23:59:59.999999'", '23:59:59.999999'],
      ["TIME '00:00:00'", '00:00:00.000000'],
    ],
  ],
  [
    'TIMESTAMP(6)',
    'timestamp',
    [
      ["TIMESTAMP '2024-02-29 23:59:59.123456'", '2024-02-29T23:59:59.123456'],
      ["TIMESTAMP '0001-01-01 12:00:00.000001'", '0001-01-01T12:00:00.000001'],
      // Hours that clocks of Europe and America leave out.
      ["TIMESTAMP '2024-03-31 02:30:00'", '2024-03-31T02:30:00.000000'],
      ["TIMESTAMP '2024-03-10 02:30:00.1'", '2024-03-10T02:30:00.100000'],
      ["TIMESTAMP '9999-12-31 23:59:59.999999'", '9999-12-31T23:59:59.999999'],
    ],
  ],
  ['TIMESTAMP(3)', 'timestamp(3)', [["TIMESTAMP '1970-01-01 00:00:00.001'", '1970-01-01T00:00:00.001000']]],
  [
    'TIMESTAMP(6) WITH TIME ZONE',
    'timestamp with time zone',
    [
      ["ZONED '2024-03-31 02:30:00.5+02:00'", '2024-03-31T00:30:00.500000Z'],
      ["ZONED '2023-12-31 23:59:59.999999-11:30'", '2024-01-01T11:29:59.999999Z'],
    ],
  ],
  ['UUID', 'uuid', [["CAST('123e4567-e89b-12d3-a456-426614174000' AS UUID)", '123e4567-e89b-12d3-a456-426614174000']]],
];

const ofH2: Cases = [
  ...common,
  [
    'TINYINT',
    'int2',
    [
      ['-128', -128],
      ['127', 127],
    ],
  ],
  [
    'REAL',
    'float4',
    [
      ['1.5', 1.5],
      ['CAST(0.1 AS REAL)', Math.fround(0.1)],
    ],
  ],
  ['JSON', 'json', [['JSON \'{"a":[1,null]}\'', '{"a":[1,null]}']]],
  [
    'DECFLOAT(30)',
    'numeric',
    [
      ['1.50', '1.5'], // the database itself drops the zero
      ['1E20', '100000000000000000000'],
    ],
  ],
  ['TIMESTAMP(9)', 'timestamp(9)', []],
  ["ENUM('open', 'closed')", 'text', [["'open'", 'open']]],
  ['INTEGER ARRAY', 'text', [['ARRAY[1, 2]', '[1, 2]']]],
];

const ofHsqldb: Cases = [
  ...common,
  [
    'TINYINT',
    'int2',
    [
      ['-128', -128],
      ['127', 127],
    ],
  ],
];

let h2: Awaited<ReturnType<typeof h2Server>>;
let hsqldb: Awaited<ReturnType<typeof hsqldbServer>>;
beforeAll(async () => {
  [h2, hsqldb] = await Promise.all([h2Server(), hsqldbServer(['types'])]);
});
afterAll(async () => {
  await Promise.all([h2[Symbol.asyncDispose](), hsqldb[Symbol.asyncDispose]()]);
});

describe.each([
  { name: 'H2', cases: ofH2, zoned: 'TIMESTAMP WITH TIME ZONE', open: () => h2.database('types') },
  { name: 'HSQLDB', cases: ofHsqldb, zoned: 'TIMESTAMP', open: () => hsqldb.database('types') },
])('$name', ({ cases, zoned, open }) => {
  let database: JdbcDatabase;
  /** All columns in a row for each case's first value, second value and so on, and a row of NULLs. */
  const read = cases.filter(([, , values]) => values.length > 0);
  const most = Math.max(...cases.map(([, , values]) => values.length));
  const at = (values: Cases[number][2], row: number) => values[row % values.length] as (typeof values)[number];
  beforeAll(async () => {
    database = await open();
    await database.sql(
      `CREATE TABLE kinds (id INTEGER NOT NULL PRIMARY KEY, ${cases.map(([ddl], column) => `c${column} ${ddl}`).join(', ')})`,
    );
    for (let row = 0; row < most; row++)
      await database.sql(
        `INSERT INTO kinds VALUES (${row}, ${cases.map(([, , values]) => (values.length > 0 ? at(values, row)[0].replace('ZONED', zoned) : 'NULL')).join(', ')})`,
      );
    await database.sql(`INSERT INTO kinds (id) VALUES (${most})`);
  });
  afterAll(() => database[Symbol.asyncDispose]());
  const connection = () => jdbc({ url: database.url, user: database.user, password: database.password, drivers: [database.jar] });
  const declaration = async (): Promise<Table<Columns>> => {
    const [found] = await connection().introspect(testContext(), { tables: ['KINDS'] });
    return found as Table<Columns>;
  };

  test('each type becomes what the table of types says', async () => {
    const { columns } = await declaration();
    expect(columns.slice(1).map(({ type }, column) => `${cases[column]?.[0]}: ${typeName(type)}`)).toEqual(
      cases.map(([ddl, becomes]) => `${ddl}: ${becomes}`),
    );
  });

  test('values are read to the letter, and go on to Postgres and to Parquet', async () => {
    const all = await declaration();
    const wanted = Object.fromEntries(
      Object.entries(all.declared).filter(([name]) => name === 'ID' || read.includes(cases[Number(name.slice(1))] as Cases[number])),
    );
    const kinds = table('kinds', { ...wanted, id: wanted['ID']! } as Columns);
    const { ID: _upper, ...columns } = kinds.declared;
    const source = table('kinds', { id: columns['id']!, ...columns });
    const expected = [
      ...Array.from({ length: most }, (_, row) => ({
        id: row,
        ...Object.fromEntries(cases.flatMap(([, , values], column) => (values.length > 0 ? [[`C${column}`, at(values, row)[1]]] : []))),
      })),
      { id: most, ...Object.fromEntries(cases.flatMap(([, , values], column) => (values.length > 0 ? [[`C${column}`, null]] : []))) },
    ];
    const { rows } = await readAll(connection().selection(source));
    expect(rows).toEqual(expected);

    await using target = await testDatabase();
    const lake = s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-lake-'))}` });
    const there = postgres({ url: target.url });
    const kindsThere = table('public.kinds', source.declared, { key: ['id'] });
    const kept = extract(connection(), source);
    const loaded = load(kept, there.table(kindsThere, { mode: 'merge', schema: 'create' }));
    const files = load(kept, lake.parquet({ prefix: 'kinds/' }));
    await runPipeline(pipeline({ name: 'types', steps: { kept, loaded, files } }));
    const sorted = (found: readonly Readonly<Record<string, unknown>>[]) => [...found].sort((a, b) => Number(a['id']) - Number(b['id']));
    expect(sorted((await readAll(there.selection(kindsThere))).rows)).toEqual(expected);
    const back = extract(lake.dataset('kinds/', kindsThere));
    const again = load(back, there.table(table('public.again', source.declared, { key: ['id'] }), { mode: 'append', schema: 'create' }));
    await runPipeline(pipeline({ name: 'back', steps: { back, again } }));
    expect(sorted((await readAll(there.selection(table('public.again', source.declared)))).rows)).toEqual(expected);

    const copy = table(
      'kinds_copy',
      Object.fromEntries(Object.entries(source.declared).filter(([name]) => !unwritten.includes(cases[Number(name.slice(1))]?.[0] ?? ''))),
      {
        key: ['id'],
      },
    );
    await loadRows(connection().table(copy, { mode: 'merge', schema: 'create' }), {
      splits: [rows.map((row) => pick(row, Object.keys(copy.declared)))],
    });
    expect(sorted((await readAll(connection().selection(copy))).rows)).toEqual(
      expected.map((row) => pick(row, Object.keys(copy.declared))),
    );
  });
});

/** Types that `create` makes as another one, which their values are not read back from as they were. */
const unwritten = ['DECFLOAT(30)', 'REAL', 'JSON'];
const pick = (row: Readonly<Record<string, unknown>>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, row[name]]));

describe('what does not fit is refused by name', () => {
  let database: JdbcDatabase;
  beforeAll(async () => {
    database = await h2.database('refused');
    await database.sql(`CREATE TABLE narrow (id BIGINT PRIMARY KEY, at TIMESTAMP(9) NOT NULL, note VARCHAR(40), d DECFLOAT(10));
      INSERT INTO narrow VALUES (1, TIMESTAMP '2024-02-29 12:00:00.123456789', 'x', 'NaN')`);
  });
  afterAll(() => database[Symbol.asyncDispose]());
  const connection = () => jdbc({ url: database.url, user: database.user, password: database.password, drivers: [database.jar] });

  test('a column that is missing, narrower or without NULL in the declaration: all in one message', async () => {
    const wrong = table('narrow', { id: int4(), at: timestamp(), note: varchar(3), gone: text() });
    await using source = await connection().selection(wrong).open(testContext());
    await expect(source.describe()).rejects.toMatchObject({ code: 'SCHEMA_DRIFT', facts: { columns: ['id', 'at', 'note', 'gone'] } });
  });

  test('nanoseconds come as text, or by a query that casts them', async () => {
    const printed = await readAll(connection().selection(table('narrow', { id: int8(), at: text() })));
    expect(printed.rows).toEqual([{ id: 1n, at: '2024-02-29 12:00:00.123456789' }]);
    const cast = connection().query('SELECT id, CAST(at AS TIMESTAMP(6)) AS at FROM narrow;', {
      as: table('cast', { id: int8(), at: timestamp() }),
    });
    expect((await readAll(cast)).rows).toEqual([{ id: 1n, at: '2024-02-29T12:00:00.123457' }]);
  });

  test('a value that its type cannot hold names its column and row', async () => {
    await expect(readAll(connection().selection(table('narrow', { d: numeric().orNull() })))).rejects.toMatchObject({
      facts: { column: 'd' },
    });
  });

  test('values that a target cannot hold are set aside, the others are loaded', async () => {
    await database.sql('CREATE TABLE strict_rows (id BIGINT PRIMARY KEY, size NUMERIC(5, 2))');
    const loose = table('strict_rows', { id: int8(), size: numeric(5, 2).orNull() }, { key: ['id'] });
    const rejected: string[] = [];
    const rows = Array.from({ length: 3_000 }, (_, id) => ({ id: BigInt(id), size: '1.25' }));
    const wide = {
      columns: [
        { name: 'id', type: { kind: 'int8' }, nullable: false },
        { name: 'size', type: { kind: 'numeric' }, nullable: true },
      ],
    } as const;
    const receipt = await loadRows(connection().table(loose, { mode: 'append' }), {
      schema: wide,
      splits: [rows.map((row) => (row.id === 7n ? { ...row, size: '1000.00' } : row.id === 2_999n ? { ...row, size: 'NaN' } : row))],
      each: 700,
      reject: ({ row, ordinal }) => void rejected.push(`${ordinal} ${JSON.parse(row).size}`),
    });
    expect(rejected).toEqual(['7 1000.00', '2999 NaN']);
    expect(receipt.rows).toBe(2_998);
    expect(await database.sql('SELECT COUNT(*) FROM strict_rows')).toEqual([['2998']]);
  });
});
