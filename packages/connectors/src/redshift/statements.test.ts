import {
  array,
  bool,
  bytea,
  char,
  date,
  enumeration,
  float4,
  float8,
  int2,
  int4,
  int8,
  interval,
  jsonb,
  numeric,
  range,
  table,
  text,
  time,
  timestamp,
  timestamptz,
  timetz,
  uuid,
  varchar,
} from '@millrace/core';
import { expect, test } from 'vitest';
import { landed, redshiftType } from './column-type.ts';
import { copyStatement, isRole } from './copy-statement.ts';
import { createStatements } from './create.ts';
import { differences } from './drift.ts';
import { redshift } from './index.ts';
import { freshStatement, historyStatements, mergeStatements, type Written } from './load-statements.ts';
import { quote, tableName } from './name.ts';
import { printedType } from './on-redshift.ts';

test.for([
  ['boolean', bool()],
  ['smallint', int2()],
  ['integer', int4()],
  ['bigint', int8()],
  ['real', float4()],
  ['double precision', float8()],
  ['numeric(12,2)', numeric(12, 2)],
  ['numeric(38,0)', numeric(38)],
  ['varchar(65535)', numeric()],
  ['varchar(65535)', numeric(39, 2)],
  ['varchar(40)', varchar(10)],
  ['varchar(65535)', varchar(20_000)],
  ['varchar(65535)', text()],
  ['varchar(12)', char(3)],
  ['varbyte(1024000)', bytea()],
  ['date', date()],
  ['time', time()],
  ['timetz', timetz()],
  ['timestamp', timestamp(3)],
  ['timestamptz', timestamptz()],
  ['varchar(65535)', interval()],
  ['varchar(36)', uuid()],
  ['super', jsonb()],
  ['varchar(256)', enumeration('mood', ['a'])],
  ['varchar(65535)', array(int4())],
  ['varchar(65535)', range('int4range')],
] as const)('Redshift has %s for a column', ([expected, column]) => {
  expect(redshiftType(column.type)).toBe(expected);
});

const column = (name: string, declared: { type: Parameters<typeof redshiftType>[0] }) => ({ name, type: declared.type, nullable: false });

test('what Redshift cannot read from Parquet is refused, and what it reads otherwise is converted on its way', () => {
  expect(landed(column('t', time()), 'parquet')).toBeNull();
  expect(landed(column('u', uuid()), 'parquet')).toBeNull();
  expect(landed(column('u', uuid()), 'csv')?.type).toBe('varchar(36)');
  const seen = landed(column('s', timestamptz()), 'parquet');
  expect([seen?.type, seen?.value('"s"')]).toEqual(['timestamp', `"s" AT TIME ZONE 'UTC'`]);
  const json = landed(column('j', jsonb()), 'csv');
  expect([json?.type, json?.value('"j"')]).toEqual(['varchar(65535)', 'JSON_PARSE("j")']);
  const bytes = landed(column('b', bytea()), 'csv');
  expect([bytes?.type, bytes?.value('"b"')]).toEqual(['varchar(65535)', 'FROM_HEX(SUBSTRING("b", 3))']);
});

const sales = table(
  'analytics."Sales"',
  { id: int8(), day: date(), note: text().orNull() },
  { key: ['id'], redshift: { distKey: 'id', sortKey: ['day', 'id'] } },
);

test('a table is made with its keys, its distribution and its order', () => {
  expect(createStatements(sales, null)).toEqual([
    'CREATE SCHEMA IF NOT EXISTS "analytics"',
    `CREATE TABLE IF NOT EXISTS "analytics"."Sales" (
  "id" bigint NOT NULL,
  "day" date NOT NULL,
  "note" varchar(65535),
  PRIMARY KEY ("id")
)
DISTSTYLE KEY
DISTKEY ("id")
SORTKEY ("day", "id")`,
  ]);
  const history = createStatements(table('h', { id: int8() }, { key: ['id'], redshift: { distStyle: 'all' } }), {
    validFrom: 'f',
    validTo: 't',
    isCurrent: 'c',
  })[1];
  expect(history).toBe(`CREATE TABLE IF NOT EXISTS "public"."h" (
  "id" bigint NOT NULL,
  "f" timestamptz NOT NULL,
  "t" timestamptz,
  "c" boolean NOT NULL,
  PRIMARY KEY ("id", "f")
)
DISTSTYLE ALL`);
});

const from = {
  into: '"l"',
  manifest: "s3://b/o'x/_manifest/0000000042.json",
  codec: 'snappy',
  role: 'arn:aws:iam::123456789012:role/copy',
  region: 'eu-west-1',
} as const;

test.for([
  ['parquet', 'snappy', `FORMAT AS PARQUET MANIFEST STATUPDATE OFF`],
  [
    'csv',
    'gzip',
    `FORMAT AS CSV IGNOREHEADER 1 EMPTYASNULL DATEFORMAT 'auto' TIMEFORMAT 'auto' GZIP REGION 'eu-west-1' ENCODING UTF8 MANIFEST COMPUPDATE OFF STATUPDATE OFF`,
  ],
  [
    'jsonl',
    'zstd',
    `FORMAT AS JSON 'auto' DATEFORMAT 'auto' TIMEFORMAT 'auto' ZSTD REGION 'eu-west-1' ENCODING UTF8 MANIFEST COMPUPDATE OFF STATUPDATE OFF`,
  ],
] as const)('one COPY reads a manifest of %s', ([format, codec, expected]) => {
  expect(copyStatement({ ...from, format, codec })).toBe(
    `COPY "l" FROM 's3://b/o''x/_manifest/0000000042.json' IAM_ROLE 'arn:aws:iam::123456789012:role/copy' ${expected}`,
  );
});

test('a role is the ARN of one, a chain of them, or the default', () => {
  expect(copyStatement({ ...from, format: 'parquet', role: 'default' })).toContain(' IAM_ROLE default FORMAT');
  expect(['default', from.role, `${from.role},${from.role}`, 'arn:aws-cn:iam::123456789012:role/a/b'].map(isRole)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(['AKIAIOSFODNN7EXAMPLE', '', `${from.role}'; drop table x`].map(isRole)).toEqual([false, false, false]);
});

const written: Written = {
  table: '"a"."t"',
  columns: ['id', 'v', 'j'],
  key: ['id'],
  comparable: (name, reference) => (name === 'j' ? `JSON_SERIALIZE(${reference})` : reference),
};

test('a merge is an update of what has changed and an insert of what is not there', () => {
  expect(freshStatement('"f"', 'SELECT 1', written, 'x DESC')).toBe(
    'CREATE TEMP TABLE "f" AS SELECT "id", "v", "j" FROM (SELECT s.*, row_number() OVER (PARTITION BY "id" ORDER BY x DESC) AS millrace_rank FROM (SELECT 1) AS s) AS ranked WHERE millrace_rank = 1',
  );
  expect(mergeStatements('"f"', written)).toEqual({
    update:
      'UPDATE "a"."t" SET "v" = f."v", "j" = f."j" FROM "f" AS f WHERE "a"."t"."id" = f."id" AND ("a"."t"."v" <> f."v" OR ("a"."t"."v" IS NULL) <> (f."v" IS NULL) OR JSON_SERIALIZE("a"."t"."j") <> JSON_SERIALIZE(f."j") OR ("a"."t"."j" IS NULL) <> (f."j" IS NULL))',
    insert:
      'INSERT INTO "a"."t" ("id", "v", "j") SELECT f."id", f."v", f."j" FROM "f" AS f WHERE NOT EXISTS (SELECT 1 FROM "a"."t" WHERE "a"."t"."id" = f."id")',
  });
  expect(mergeStatements('"f"', { ...written, columns: ['id'] }).update).toBeNull();
});

test('a history closes what has changed and opens the new version', () => {
  const { closed, opened } = historyStatements(
    '"f"',
    { ...written, columns: ['id', 'v'] },
    { validFrom: 'vf', validTo: 'vt', isCurrent: 'c' },
    `'2026-03-29'`,
  );
  expect(closed).toBe(
    `UPDATE "a"."t" SET "vt" = CAST('2026-03-29' AS timestamptz), "c" = false FROM "f" AS f WHERE "a"."t"."id" = f."id" AND "a"."t"."c" AND "a"."t"."vf" < CAST('2026-03-29' AS timestamptz) AND ("a"."t"."v" <> f."v" OR ("a"."t"."v" IS NULL) <> (f."v" IS NULL))`,
  );
  expect(opened).toBe(
    `INSERT INTO "a"."t" ("id", "v", "vf", "vt", "c") SELECT f."id", f."v", CAST('2026-03-29' AS timestamptz), CAST(NULL AS timestamptz), true FROM "f" AS f WHERE NOT EXISTS (SELECT 1 FROM "a"."t" WHERE "a"."t"."id" = f."id" AND "a"."t"."c")`,
  );
});

test('the catalog is read in the words of the declaration', () => {
  expect([
    printedType('character varying', '40', null, null),
    printedType('numeric', null, '12', '2'),
    printedType('timestamp with time zone', null, null, null),
    printedType('binary varying', '1024000', null, null),
    printedType('bigint', null, '64', '0'),
  ]).toEqual(['varchar(40)', 'numeric(12,2)', 'timestamptz', 'varbyte(1024000)', 'bigint']);
});

test('differences that keep rows out are told, all of them', () => {
  const real = (name: string, sqlType: string, notNull = false) => ({ name, sqlType, notNull, hasDefault: false });
  expect(differences(sales, [real('id', 'bigint', true), real('day', 'date'), real('note', 'varchar(10)')], null)).toEqual([]);
  const found = differences(sales, [real('id', 'integer'), real('note', 'varchar(10)', true), real('must', 'date', true)], null);
  expect(found.map(({ column: name, alter }) => [name, alter])).toEqual([
    ['id', null],
    ['day', null],
    ['note', null],
    ['must', null],
  ]);
  expect(differences(sales, [real('id', 'bigint'), real('day', 'date')], null)[0]?.alter).toBe('ADD COLUMN "note" varchar(65535)');
});

test('names are quoted, to 127 bytes', () => {
  expect(tableName('"we.ird"."t""x"')).toEqual({ schema: 'we.ird', name: 't"x' });
  expect(tableName('Orders')).toEqual({ schema: 'public', name: 'Orders' });
  expect(quote('x"; drop table t; --')).toBe('"x""; drop table t; --"');
  expect(() => quote('é'.repeat(64))).toThrow(/128 bytes/);
  expect(quote('a'.repeat(127))).toHaveLength(129);
  expect(() => tableName('a.b.c')).toThrow(/not the name/);
});

test('what no Redshift could hold is a problem of the plan, on a laptop too', () => {
  const warehouse = redshift({ url: 'postgres://localhost/x' });
  const target = warehouse.copy(table('t', { id: int8(), n: numeric() }, { redshift: { distKey: 'id', sortKey: ['id'] } }), {
    mode: 'merge',
  });
  const said = target.problems({ columns: target.schema?.columns ?? [] }).map(({ message }) => message);
  expect(said).toEqual(['Mode "merge" needs the key of t.', '"n" of t is a numeric that Redshift does not have.']);
  expect(target.ddl({ columns: [] })).toEqual([]);
});
