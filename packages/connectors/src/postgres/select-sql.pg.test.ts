import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { int4, int8, numeric, secret, table, text, timestamptz } from '@millrace/core';
import {
  type ColumnSchema,
  type ColumnType,
  type Comparison,
  type Condition,
  comparer,
  decodeCsv,
  encodeText,
  type Mask,
  type RelationalOp,
  rowsOf,
  textCodec,
  typeName,
} from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { anyValue, sampleTypes } from '../../../../test/arbitrary-value.ts';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type Row, testContext } from '../../test/load.ts';
import { readAll, readBytes } from '../../test/read.ts';
import { postgres } from './index.ts';
import { selectionOf } from './selection.ts';
import { sqlType } from './sink/sql-type.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql(`create type mood as enum ('sad', 'it''s "fine"', 'ok, {great}'); create domain short as varchar(5)`);
});
afterAll(() => db?.[Symbol.asyncDispose]());

const salt = "s'alt\\ 🧂";
const context = () => testContext(undefined, { secret: async () => salt });
const named = sampleTypes.map((type, at) => ({ name: `c${at}`, type }));
const count = 60;

interface Everything {
  readonly columns: ColumnSchema[];
  readonly values: Map<string, unknown[]>;
}

let filled: Promise<Everything> | undefined;
/** A table with a column of every type; every tenth value is NULL. */
const everything = (): Promise<Everything> => (filled ??= fill());

async function fill(): Promise<Everything> {
  const columns = named.map(({ name, type }): ColumnSchema => ({ name, type, nullable: true }));
  const values = new Map<string, unknown[]>();
  await db.sql(`create table everything (n int8 not null, ${columns.map(({ name, type }) => `${name} ${sqlType(type)}`).join(', ')})`);
  for (const { name, type } of columns) {
    const codec = textCodec(type);
    values.set(
      name,
      fc.sample(anyValue(type), { numRuns: count, seed: 7 }).map((value, at) => (at % 10 === 9 ? null : codec.conform(value))),
    );
  }
  for (let n = 0; n < count; n++) {
    const texts = columns.map(({ name, type }) => {
      const value = values.get(name)?.[n];
      return value === null ? null : textCodec(type).print(value);
    });
    await db.sql(
      `insert into everything values (${n}, ${columns.map(({ type }, at) => `$${at + 1}::text::${sqlType(type)}`).join(', ')})`,
      texts,
    );
  }
  return { columns, values };
}

const selection = (columns: readonly ColumnSchema[]) =>
  selectionOf(
    { connector: 'postgres', label: 'test', settings: { url: db.url } },
    { kind: 'relation', name: 'everything' },
    { columns: [{ name: 'n', type: { kind: 'int8' }, nullable: false }, ...columns] },
  );

async function rowsFor(columns: readonly ColumnSchema[], ...absorbed: RelationalOp[]): Promise<Row[]> {
  const read = await readAll(selection(columns), { absorbed }, context());
  return [...read.rows].sort((a, b) => Number(a['n']) - Number(b['n']));
}

test('batches and CSV hold the values of every type', async () => {
  const { columns, values } = await everything();
  const expected = Array.from({ length: count }, (_, n) => ({
    n: BigInt(n),
    ...Object.fromEntries(columns.map(({ name }) => [name, values.get(name)?.[n]])),
  }));
  expect(await rowsFor(columns)).toEqual(expected);

  const { bytes, rows, plan } = await readBytes(selection(columns), 'csv');
  const decoded: Row[] = [];
  for await (const batch of decodeCsv(plan.schema, Readable.from([bytes]))) decoded.push(...rowsOf(batch));
  expect(rows).toBe(count);
  expect(decoded.sort((a, b) => Number(a['n']) - Number(b['n']))).toEqual(expected);
});

const masks: Record<string, Mask> = {
  hash: { mask: 'hash', salt: secret('SALT') },
  tokenize: { mask: 'tokenize', salt: secret('SALT'), prefix: "t'_", keepLast: 3 },
  redact: { mask: 'redact', with: "x'" },
  'redact to NULL': { mask: 'redact', with: null },
  truncate: { mask: 'truncate', length: 2 },
};

function masked(mask: Mask, plain: string): string | null {
  switch (mask.mask) {
    case 'hash':
      return hash('sha256', salt + plain, 'hex');
    case 'tokenize':
      return (
        mask.prefix +
        hash('sha256', salt + plain, 'hex').slice(0, 32) +
        (mask.keepLast === 0 ? '' : [...plain].slice(-mask.keepLast).join(''))
      );
    case 'redact':
      return mask.with;
    default:
      return [...plain].slice(0, mask.length).join('');
  }
}

test.for(Object.keys(masks))('%s: a mask done by the query is the mask done on the value, for every type', async (name) => {
  const mask = masks[name] as Mask;
  const { columns, values } = await everything();
  const op: RelationalOp = { op: 'mask', columns: Object.fromEntries(columns.map((column) => [column.name, mask])) };
  expect(selection(columns).absorbs(op, [])).toBe(true);
  const rows = await rowsFor(columns, op);
  for (const { name: column, type } of columns) {
    const print = encodeText(type);
    const expected = values.get(column)?.map((value) => (value === null ? null : masked(mask, print(value))));
    expect([typeName(type), rows.map((row) => row[column])]).toEqual([typeName(type), expected]);
  }
});

test('a salt stands in no statement that the server shows or logs', async () => {
  await everything();
  const columns = [{ name: 'c10', type: { kind: 'text' } as ColumnType, nullable: true }];
  await using source = await selection(columns).open(context());
  await source.plan({ absorbed: [{ op: 'mask', columns: { c10: masks['hash'] as Mask } }], since: null, splitBytes: 1e9, earlier: null });
  const seen = await db.sql<{ query: string }>(`select query from pg_stat_activity where application_name = 'millrace read'`);
  expect(seen.length).toBeGreaterThan(0);
  expect(JSON.stringify(seen)).not.toContain("s'alt");
});

const comparisons: Comparison[] = ['=', '<>', '<', '<=', '>', '>='];
const holds = (is: Comparison, sign: number): boolean =>
  ({ '=': sign === 0, '<>': sign !== 0, '<': sign < 0, '<=': sign <= 0, '>': sign > 0, '>=': sign >= 0 })[is];

test('a filter done by the query keeps what a comparison of the values keeps, for every type that has an order', async () => {
  const { columns, values } = await everything();
  let compared = 0;
  for (const column of columns) {
    const compare = comparer(column.type);
    const own = values.get(column.name) ?? [];
    // A float4 is compared with the double that is written.
    const print = encodeText(column.type.kind === 'float4' ? { kind: 'float8' } : column.type);
    for (const is of [comparisons[compared % 6], comparisons[(compared + 2) % 6], '='] as Comparison[]) {
      const pivot = own.find((value, at) => value !== null && at >= compared % 7);
      const value = typeof pivot === 'boolean' ? pivot : print(pivot);
      const op: RelationalOp = { op: 'filter', where: [{ column: column.name, is, value }] };
      if (!selection(columns).absorbs(op, [])) {
        expect(compare === null || column.type.kind === 'enum').toBe(true);
        continue;
      }
      compared++;
      const kept = (await rowsFor([column], op)).map((row) => Number(row['n']));
      const expected = own.flatMap((item, n) => (item !== null && holds(is, compare?.(item, pivot) ?? Number.NaN) ? [n] : []));
      expect([typeName(column.type), is, value, kept]).toEqual([typeName(column.type), is, value, expected]);
    }
  }
  expect(compared).toBeGreaterThan(60);
}, 60_000);

test('lists, NULL tests and several conditions at once', async () => {
  await db.sql(
    `create table few (id int4, note text); insert into few values (1, 'a'), (2, null), (3, 'b''; drop table few'), (4, 'A'), (null, 'a')`,
  );
  const few = postgres({ url: db.url }).selection(table('few', { id: int4().orNull(), note: text().orNull() }));
  const kept = async (...where: Condition[]) => (await readAll(few, { absorbed: [{ op: 'filter', where }] })).rows.map((row) => row['id']);
  expect(await kept({ column: 'note', is: 'in', value: ['a', "b'; drop table few"] })).toEqual([1, 3, null]);
  expect(await kept({ column: 'note', is: 'not in', value: ['a'] })).toEqual([3, 4]);
  expect(await kept({ column: 'note', is: 'in', value: [] })).toEqual([]);
  expect(await kept({ column: 'note', is: 'not in', value: [] })).toEqual([1, 3, 4, null]);
  expect(await kept({ column: 'note', is: 'null' })).toEqual([2]);
  expect(await kept({ column: 'id', is: 'not null' }, { column: 'id', is: '<', value: 3 }, { column: 'note', is: 'not null' })).toEqual([
    1,
  ]);
  expect(few.absorbs({ op: 'filter', where: [{ column: 'id', is: '=', value: 1.5 }] }, [])).toBe(false);
  expect(few.absorbs({ op: 'filter', where: [{ column: 'note', is: '=', value: 'a\0' }] }, [])).toBe(false);
});

test('operations build on one another: select, rename, mask, filter on the mask, cast', async () => {
  await db.sql(`create table people (id int4 not null, email text not null, amount numeric(10, 2) not null, at timestamptz not null);
    insert into people select i, 'p' || i || '@x.org', i + 0.555, '2024-01-01 10:00:00.5+00' from generate_series(1, 5) i`);
  const people = postgres({ url: db.url }).selection(
    table('people', { id: int4(), email: text(), amount: numeric(10, 2), at: timestamptz() }, { key: ['id'] }),
  );
  const absorbed: RelationalOp[] = [
    { op: 'select', columns: ['email', 'amount', 'at'] },
    { op: 'rename', columns: { email: 'who "quoted"' } },
    { op: 'mask', columns: { 'who "quoted"': { mask: 'truncate', length: 2 } } },
    { op: 'filter', where: [{ column: 'who "quoted"', is: '>=', value: 'p3' }] },
    { op: 'cast', columns: { amount: { type: { kind: 'int4' }, onError: 'fail' }, at: { type: { kind: 'date' }, onError: 'fail' } } },
  ];
  absorbed.forEach((op, at) => {
    expect(people.absorbs(op, absorbed.slice(0, at))).toBe(true);
  });
  const { plan, rows } = await readAll(people, { absorbed });
  expect(rows).toEqual([3, 4, 5].map((id) => ({ 'who "quoted"': `p${id}`, amount: id + 1, at: '2024-01-01' })));
  expect(plan.schema).toEqual({
    columns: [
      { name: 'who "quoted"', type: { kind: 'text' }, nullable: false },
      { name: 'amount', type: { kind: 'int4' }, nullable: false },
      { name: 'at', type: { kind: 'date' }, nullable: false },
    ],
  });
});

test('a column may be called constructor', async () => {
  await db.sql(`create table odd (constructor text not null, "toString" int4 not null); insert into odd values ('abc', 1)`);
  const odd = postgres({ url: db.url }).selection(table('odd', { constructor: text(), toString: int4() }));
  const absorbed: RelationalOp[] = [
    { op: 'mask', columns: {} },
    { op: 'cast', columns: { toString: { type: { kind: 'int8' as const }, onError: 'fail' as const } } },
    { op: 'rename', columns: { toString: 'n' } },
  ];
  expect((await readAll(odd, { absorbed })).rows).toEqual([{ constructor: 'abc', n: 1n }]);
});

test('dedupe keeps one row for each key, over partitions and in one split', async () => {
  await db.sql(`create table versions (id int8 not null, rev int4, note text) partition by hash (id); create table versions_0 partition of versions for values with (modulus 2, remainder 0);
    create table versions_1 partition of versions for values with (modulus 2, remainder 1);
    insert into versions select i % 100, case when i < 100 then null else i end, repeat('v', 200) || i from generate_series(1, 5000) i`);
  const versions = postgres({ url: db.url }).selection(table('versions', { id: int8(), rev: int4().orNull(), note: text().orNull() }));
  const dedupe = (keep: 'greatest' | 'least'): RelationalOp => ({ op: 'dedupe', key: ['id'], by: 'rev', keep });
  for (const [keep, rev] of [
    ['greatest', (id: number) => (id === 0 ? 5000 : 4900 + id)],
    ['least', (id: number) => 100 + id],
  ] as const) {
    const { plan, rows } = await readAll(versions, {
      absorbed: [dedupe(keep), { op: 'mask', columns: { note: { mask: 'redact', with: null } } }],
      splitBytes: 64 * 1024,
    });
    expect(plan.splits).toHaveLength(1);
    expect(rows).toHaveLength(100);
    for (const row of rows) expect(row).toEqual({ id: row['id'], rev: rev(Number(row['id'])), note: null });
  }
});

test('a cast that the database would guess at, or that may put NULL, is left to the function', () => {
  const columns = [{ name: 't', type: { kind: 'text' } as ColumnType, nullable: true }];
  const cast = (type: ColumnType, onError: 'fail' | 'null' = 'fail') =>
    selection(columns).absorbs({ op: 'cast', columns: { t: { type, onError } } }, []);
  expect([
    cast({ kind: 'int4' }),
    cast({ kind: 'int4' }, 'null'),
    cast({ kind: 'date' }),
    cast({ kind: 'enum', name: 'mood', labels: [] }),
  ]).toEqual([true, false, false, false]);
});
