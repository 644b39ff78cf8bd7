import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract, load, pipeline, type Table, table } from '@millrace/core';
import { type Columns, typeName } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMariaDb } from '../../../../scripts/mariadb.mjs';
import type { JdbcDatabase } from '../../../../test/jdbc.ts';
import { jdbcEngines, missingEngine } from '../../../../test/jdbc-engines.ts';
import { testDatabase } from '../../../../test/postgres.ts';
import { runPipeline } from '../../../../test/run-pipeline.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { postgres } from '../postgres/index.ts';
import { s3 } from '../s3/index.ts';
import { jdbc } from './index.ts';

if (missingEngine !== null) test.skip(missingEngine);

/** Type as the database writes it, a literal, what the type becomes, and the value that is read. */
type Case = readonly [ddl: string, literal: string, becomes: string, value: unknown];
/** A literal of which a target cannot hold the value, or that cannot be read: then the message names the column. */
type Refused = readonly [ddl: string, literal: string];

interface Matrix {
  readonly kept: readonly Case[];
  /** Read and taken by Postgres, and refused by Parquet. */
  readonly notInParquet: readonly Refused[];
  readonly unreadable: readonly Refused[];
}

const letters = 'zażółć 🙂 "quoted" \n\t ';
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

const ofPostgres: Matrix = {
  kept: [
    ['boolean', 'true', 'bool', true],
    ['smallint', '-32768', 'int2', -32768],
    ['integer', '2147483647', 'int4', 2147483647],
    ['bigint', '-9223372036854775808', 'int8', -9223372036854775808n],
    ['oid', '4294967295', 'numeric(20,0)', '4294967295'],
    ['real', "'3.4028235e38'", 'float4', 3.4028234663852886e38],
    ['real', "'1e-45'", 'float4', 1.401298464324817e-45],
    ['real', "'NaN'", 'float4', Number.NaN],
    ['double precision', "'5e-324'", 'float8', 5e-324],
    ['double precision', "'-0'", 'float8', -0],
    ['double precision', "'-Infinity'", 'float8', Number.NEGATIVE_INFINITY],
    ['numeric(38,10)', '-9999999999999999999999999999.9999999999', 'numeric(38,10)', '-9999999999999999999999999999.9999999999'],
    ['numeric', "'123456789012345678901234567890.000'", 'numeric', '123456789012345678901234567890.000'],
    ['numeric', "'1e400'", 'numeric', `1${'0'.repeat(400)}`],
    ['numeric(3,-2)', '99900', 'numeric', '99900'],
    ['numeric(3,5)', '0.00999', 'numeric(5,5)', '0.00999'],
    ['numeric(2,2)', '-0.05', 'numeric(2,2)', '-0.05'],
    ['money', "'-92233720368547758.08'", 'text', '-$92,233,720,368,547,758.08'],
    ['char(3)', "'a'", 'char(3)', 'a  '],
    ['varchar(40)', `'${letters}'`, 'varchar(40)', letters],
    ['text', "repeat('é', 100000)", 'text', 'é'.repeat(100_000)],
    ['bytea', "'\\x00ff10'", 'bytea', bytes(0, 255, 16)],
    ['date', "'0044-03-15 BC'", 'date', '0044-03-15 BC'],
    ['date', "'5874897-12-31'", 'date', '5874897-12-31'],
    ['date', "'1582-10-10'", 'date', '1582-10-10'],
    ['time', "'23:59:59.999999'", 'time', '23:59:59.999999'],
    ['time', "'24:00:00'", 'time', '24:00:00.000000'],
    ['timetz', "'23:59:59.999999-15:59'", 'time with time zone', '23:59:59.999999-15:59'],
    ['timetz', "'24:00:00+02'", 'time with time zone', '24:00:00.000000+02:00'],
    ['timestamp', "'4713-01-01 00:00:00 BC'", 'timestamp', '4713-01-01 00:00:00 BC'],
    ['timestamp', "'1582-10-10 00:00:00'", 'timestamp', '1582-10-10T00:00:00.000000'],
    ['timestamp(3)', "'2024-03-31 02:30:00.123'", 'timestamp(3)', '2024-03-31T02:30:00.123000'],
    ['timestamptz', "'4713-01-01 00:00:00+00 BC'", 'timestamp with time zone', '4713-01-01 00:00:00+00 BC'],
    ['timestamptz', "'0001-01-01 00:00:00+00'", 'timestamp with time zone', '0001-01-01T00:00:00.000000Z'],
    ['uuid', "'123e4567-e89b-12d3-a456-426614174000'", 'uuid', '123e4567-e89b-12d3-a456-426614174000'],
    ['json', `'{"a" : 1e400, "a":2}'`, 'json', '{"a" : 1e400, "a":2}'],
    ['jsonb', `'{"a" : 1e4}'`, 'jsonb', '{"a": 10000}'],
    ['bit(9)', "B'000000001'", 'bit(9)', '000000001'],
    ['varbit', "B'101'", 'text', '101'],
    ['interval', "'-1 mon 3 days -04:05:06.789'", 'text', '-1 mons +3 days -04:05:06.789'],
    ['integer[]', "'{1,NULL,3}'", 'text', '{1,NULL,3}'],
    ['inet', "'::1/64'", 'text', '::1/64'],
    ['xml', "'<a/>'", 'text', '<a/>'],
  ],
  notInParquet: [
    ['date', "'infinity'"],
    ['date', "'-infinity'"],
    ['timestamp', "'infinity'"],
    ['timestamp', "'294276-12-31 23:59:59.999999'"],
    ['timestamptz', "'-infinity'"],
    ['timestamptz', "'294276-12-31 23:59:59.999999+00'"],
  ],
  unreadable: [
    ['numeric', "'NaN'"],
    ['numeric', "'Infinity'"],
  ],
};

const ofMariaDb: Matrix = {
  kept: [
    ['boolean', '7', 'int2', 7],
    ['tinyint', '-128', 'int2', -128],
    ['tinyint unsigned', '255', 'int2', 255],
    ['smallint unsigned', '65535', 'int4', 65535],
    ['mediumint unsigned', '16777215', 'int4', 16777215],
    ['mediumint', '-8388608', 'int4', -8388608],
    ['int', '-2147483648', 'int4', -2147483648],
    ['int unsigned', '4294967295', 'int8', 4294967295n],
    ['int(5) zerofill', '42', 'int8', 42n],
    ['bigint', '-9223372036854775808', 'int8', -9223372036854775808n],
    ['bigint unsigned', '18446744073709551615', 'numeric(20,0)', '18446744073709551615'],
    ['float', '3.4028234e38', 'float4', 3.4028234663852886e38],
    ['float', '16777215', 'float4', 16777215],
    ['double', '1.7976931348623157e308', 'float8', Number.MAX_VALUE],
    ['double', '5e-324', 'float8', 5e-324],
    ['decimal(65,30)', `-${'9'.repeat(35)}.${'9'.repeat(30)}`, 'numeric(65,30)', `-${'9'.repeat(35)}.${'9'.repeat(30)}`],
    ['decimal(65,0)', '9'.repeat(65), 'numeric(65,0)', '9'.repeat(65)],
    ['char(3)', "'a'", 'varchar(3)', 'a'],
    ['varchar(40)', `'${letters}'`, 'varchar(40)', letters],
    ['varchar(20) character set latin1', "'été'", 'varchar(20)', 'été'],
    ['longtext', "repeat('é', 100000)", 'text', 'é'.repeat(100_000)],
    ['binary(4)', "x'00ff'", 'bytea', bytes(0, 255, 0, 0)],
    ['varbinary(40)', "x'00ff'", 'bytea', bytes(0, 255)],
    ['longblob', "x''", 'bytea', bytes()],
    ['date', "'0001-01-01'", 'date', '0001-01-01'],
    ['date', "'9999-12-31'", 'date', '9999-12-31'],
    ['time(6)', "'23:59:59.999999'", 'time', '23:59:59.999999'],
    ['datetime(6)', "'9999-12-31 23:59:59.999999'", 'timestamp', '9999-12-31T23:59:59.999999'],
    ['datetime', "'0001-01-01 00:00:00'", 'timestamp(0)', '0001-01-01T00:00:00.000000'],
    ['datetime(3)', "'2024-03-31 02:30:00.123'", 'timestamp(3)', '2024-03-31T02:30:00.123000'],
    ['timestamp(6) null', "'2038-01-19 03:14:07.999999'", 'timestamp with time zone', '2038-01-19T03:14:07.999999Z'],
    ['year', '2155', 'int2', 2155],
    ['year', "'0000'", 'int2', 0],
    ['bit(1)', "b'1'", 'bool', true],
    ['bit(9)', "b'100000001'", 'bytea', bytes(1, 1)],
    ["enum('open', 'closed')", "'open'", 'varchar(6)', 'open'],
    ["set('a', 'b')", "'a'", 'varchar(3)', 'a'],
    ['json', `'{"a": 1}'`, 'json', '{"a": 1}'],
    ['uuid', "'123e4567-e89b-12d3-a456-426614174000'", 'uuid', '123e4567-e89b-12d3-a456-426614174000'],
    ['inet6', "'::1'", 'varchar(39)', '::1'],
    ['point', 'point(1, 2)', 'bytea', Uint8Array.from(Buffer.from('000000000101000000000000000000f03f0000000000000040', 'hex'))],
  ],
  notInParquet: [],
  unreadable: [
    ['date', "'0000-00-00'"],
    ['date', "'2024-00-00'"],
    ['time', "'838:59:59'"],
    ['time', "'-00:00:01'"],
    ['datetime', "'0000-00-00 00:00:00'"],
    ['timestamp null', "'0000-00-00 00:00:00'"],
  ],
};

/** Which a table takes from another type only, or may change without a word. */
const unwritten: Readonly<Record<string, true>> = {
  'char(3)': true,
  "enum('open', 'closed')": true,
  "set('a', 'b')": true,
  inet6: true,
  point: true,
  year: true,
  'bit(9)': true,
};
const copyOf = (of: Table<Columns>, names: readonly string[]) =>
  table(of.name, Object.fromEntries(names.map((column) => [column, of.declared[column]!])) as Columns);

const server = findMariaDb();
/** MySQL, where one is named, has neither. */
const isThere = ([ddl]: Case) => !('flavour' in server && server.flavour === 'mysql' && (ddl === 'uuid' || ddl === 'inet6'));

const matrices: Readonly<Record<string, Matrix>> = {
  'Postgres by its driver': ofPostgres,
  'MariaDB by its driver': { ...ofMariaDb, kept: ofMariaDb.kept.filter(isThere) },
};

describe.each(
  jdbcEngines.flatMap((engine) => {
    const matrix = matrices[engine.name];
    return matrix ? [{ ...engine, ...matrix }] : [];
  }),
)('$name', ({ name, open, kept, notInParquet, unreadable }) => {
  let database: JdbcDatabase;
  let target: Awaited<ReturnType<typeof testDatabase>>;
  const lake = s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-lake-'))}` });
  const connection = () =>
    jdbc({ url: database.url, user: database.user, password: database.password, drivers: [database.jar], native: false });
  const there = () => postgres({ url: target.url });
  beforeAll(async () => {
    [database, target] = await Promise.all([open(), testDatabase()]);
    if (name.startsWith('Maria')) await database.sql("SET sql_mode = '', time_zone = '+00:00'");
    await database.sql(`CREATE TABLE kinds (${kept.map(([ddl], at) => `c${at} ${ddl}`).join(', ')})`);
    await database.sql(`INSERT INTO kinds VALUES (${kept.map(([, literal]) => literal).join(', ')})`);
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });
  const declared = async (of: string): Promise<Table<Columns>> =>
    (await connection().introspect(testContext(), { tables: [of] }))[0] as Table<Columns>;
  /** A table of one column with one value. */
  const single = async (of: string, [ddl, literal]: Refused) => {
    await database.sql(`CREATE TABLE ${of} (v ${ddl})`);
    await database.sql(`INSERT INTO ${of} VALUES (${literal})`);
    return declared(of);
  };

  test('each type becomes what the table of types says', async () => {
    const { columns } = await declared('kinds');
    expect(columns.map(({ type }, at) => `${kept[at]?.[0]}: ${typeName(type)}`)).toEqual(
      kept.map(([ddl, , becomes]) => `${ddl}: ${becomes}`),
    );
  });

  test('values are read to the letter, go on to Postgres and to Parquet', async () => {
    const found = await declared('kinds');
    const kinds = table('public.kinds', found.declared);
    const expected = [Object.fromEntries(kept.map(([, , , value], at) => [`c${at}`, value]))];
    const rows = extract(connection(), found);
    expect((await readAll(connection().selection(found))).rows).toEqual(expected);
    const loaded = load(rows, there().table(kinds, { mode: 'append', schema: 'create' }));
    const files = load(rows, lake.parquet({ prefix: `${name}/` }));
    await runPipeline(pipeline({ name: 'matrix', steps: { rows, loaded, files } }));
    expect((await readAll(there().selection(kinds))).rows).toEqual(expected);
    expect((await readAll(lake.dataset(`${name}/`, kinds))).rows).toEqual(expected);
  });

  test('the same values are written as they were read', async () => {
    const all = await declared('kinds');
    const names = all.columns.flatMap(({ name: column }, at) => (kept[at]![0] in unwritten || kept[at]![2] === 'text' ? [] : [column]));
    const copy = table('kinds_copy', Object.fromEntries(names.map((column) => [column, all.declared[column]!])) as Columns);
    await database.sql(`CREATE TABLE kinds_copy (${names.map((column) => `${column} ${kept[Number(column.slice(1))]![0]}`).join(', ')})`);
    const { rows } = await readAll(connection().selection(copyOf(all, names)));
    await loadRows(connection().table(copy, { mode: 'append' }), { splits: [rows] });
    expect((await readAll(connection().selection(copy))).rows).toEqual(rows);
    const shown = names.map((column) => `CAST(${column} AS CHAR(60))`).join(', ');
    expect(await database.sql(`SELECT ${shown} FROM kinds_copy`)).toEqual(await database.sql(`SELECT ${shown} FROM kinds`));
  });

  test.each(unreadable.map((one, at) => [at, ...one] as const))('%i: %s of %s is refused by its column', async (at, ddl, literal) => {
    const found = await single(`unreadable_${at}`, [ddl, literal]);
    await expect(readAll(connection().selection(found))).rejects.toMatchObject({ facts: { column: 'v' } });
  });

  test.each(notInParquet.map((one, at) => [at, ...one] as const))(
    '%i: %s of %s reaches Postgres, and Parquet refuses it by its column',
    async (at, ddl, literal) => {
      const found = await single(`edge_${at}`, [ddl, literal]);
      const rows = extract(connection(), found);
      const edge = table(`public.edge_${at}`, found.declared);
      const loaded = load(rows, there().table(edge, { mode: 'append', schema: 'create' }));
      await runPipeline(pipeline({ name: 'edge', steps: { rows, loaded } }));
      const [arrived] = await target.sql<{ v: string }>(`select v::text as v from ${edge.name}`);
      expect(await database.sql(`SELECT CAST(v AS VARCHAR(60)) FROM edge_${at}`)).toEqual([[arrived?.v]]);
      const files = load(rows, lake.parquet({ prefix: `edge_${at}/` }));
      await expect(runPipeline(pipeline({ name: 'files', steps: { rows, files } }))).rejects.toThrow(/"v"/);
    },
  );
});
