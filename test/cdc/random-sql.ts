import { Choices, seeded } from '@millrace/core/testing';

/** Tables with keys of many types, with whole rows as identity, without a key, partitioned, with long values. */
export const randomTables: readonly string[] = [
  'by_int',
  'by_text',
  'by_uuid',
  'by_time',
  'by_bytes',
  'by_numeric',
  'by_float',
  'by_char',
  'by_array',
  'by_range',
  'by_two',
  'by_index',
  'full_key',
  'keyless',
  'parts',
  'deferred',
];

/** What the tables need before they are made. */
export const createTypes = "create type mood as enum ('sad', 'ok', 'happy')";

/** At the source; `plain` for a target that is made by hand: without partitions and what only a source needs. */
export function createTables(plain = false): string {
  const partitions = plain
    ? ''
    : `partition by range (id); create table parts_1 partition of parts for values from (minvalue) to (10); create table parts_2 partition of parts for values from (10) to (25); create table parts_3 partition of parts default`;
  return `create table by_int (id int primary key, a int default 1, b text, c numeric); alter table by_int alter b set storage external;
    create table by_text (k text primary key, n int, b text);
    create table by_uuid (k uuid primary key, n int);
    create table by_time (k timestamptz primary key, n int);
    create table by_bytes (k bytea primary key, n int);
    create table by_numeric (k numeric primary key, n int);
    create table by_float (k float8 primary key, n int); create table by_char (k char(12) primary key, n int);
    create table by_array (k int[] primary key, n int); create table by_range (k int4range, e mood, n int, primary key (k, e));
    create table by_two (a int, n int, b text, primary key (a, b));
    create table by_index (a int ${plain ? '' : 'primary key'}, b int not null unique, c text);
    alter table by_index replica identity using index by_index_b_key;
    create table full_key (id int primary key, a int, b text); alter table full_key alter b set storage external; alter table full_key replica identity full;
    create table keyless (a int, b text); alter table keyless replica identity full;
    create table parts (id int not null, a text, primary key (id)) ${partitions};
    create table deferred (id int primary key, u int ${plain ? '' : 'unique deferrable initially deferred'})`;
}

/** A key or two of small numbers, so that transactions meet. */
const keys: Readonly<Record<string, { readonly column: string; readonly of: (g: string) => string }>> = {
  by_int: { column: 'id', of: (g) => g },
  by_text: { column: 'k', of: (g) => `(array['', 'a', 'A', 'ä', 'tab' || chr(9), 'long ' || repeat('x', 300)])[1 + ${g} % 6] || ${g}` },
  by_uuid: { column: 'k', of: (g) => `md5(${g}::text)::uuid` },
  by_time: { column: 'k', of: (g) => `'2024-02-28 23:59:59.999999+00'::timestamptz + ${g} * interval '11 hours 0.000001 s'` },
  by_bytes: { column: 'k', of: (g) => `decode(substr(md5(${g}::text), 1, 2 * (${g} % 5)) || lpad(to_hex(${g}), 4, '0'), 'hex')` },
  by_numeric: { column: 'k', of: (g) => `(${g} - 10) * 0.500` },
  by_float: { column: 'k', of: (g) => `(${g} - 10) / 3::float8` },
  by_char: { column: 'k', of: (g) => `'c' || ${g}` },
  by_array: { column: 'k', of: (g) => `array[${g} % 3, null, ${g}]` },
  by_range: { column: 'k', of: (g) => `case ${g} % 9 when 0 then 'empty' else int4range(${g}, nullif(${g} % 5, 0) + ${g}) end` },
  by_two: { column: 'a', of: (g) => g },
  by_index: { column: 'a', of: (g) => g },
  full_key: { column: 'id', of: (g) => g },
  parts: { column: 'id', of: (g) => g },
  deferred: { column: 'id', of: (g) => g },
};

const long = (g: string): string => `case when ${g} % 3 = 0 then repeat(md5(${g}::text), 150) when ${g} % 3 = 1 then 'short' end`;

const inserted: Readonly<Record<string, (g: string) => string>> = {
  by_int: (g) => `(id, a, b, c) select ${g}, ${g}, ${long(g)}, ${g} / 4.0`,
  by_text: (g) => `(k, n, b) select ${keys['by_text']?.of(g)}, ${g}, null`,
  by_uuid: (g) => `select ${keys['by_uuid']?.of(g)}, ${g}`,
  by_time: (g) => `select ${keys['by_time']?.of(g)}, ${g}`,
  by_bytes: (g) => `select ${keys['by_bytes']?.of(g)}, ${g}`,
  by_numeric: (g) => `select ${keys['by_numeric']?.of(g)}, ${g}`,
  by_float: (g) => `select ${keys['by_float']?.of(g)}, ${g}`,
  by_char: (g) => `select ${keys['by_char']?.of(g)}, ${g}`,
  by_array: (g) => `select ${keys['by_array']?.of(g)}, ${g}`,
  by_range: (g) => `select ${keys['by_range']?.of(g)}, (array['sad', 'ok', 'happy'])[1 + ${g} % 3]::mood, ${g}`,
  by_two: (g) => `select ${g} % 7, ${g}, 'b' || ${g} % 4`,
  by_index: (g) => `select ${g}, ${g} + 500, 'c' || ${g}`,
  full_key: (g) => `select ${g}, ${g}, ${long(g)}`,
  keyless: (g) => `select ${g} % 4, case when ${g} % 3 = 0 then null else 'b' || ${g} % 5 end`,
  parts: (g) => `select ${g}, 'a' || ${g}`,
  deferred: (g) => `select ${g}, ${g} + 100`,
};

const changed: Readonly<Record<string, readonly string[]>> = {
  by_int: ['a = coalesce(a, 0) + 1', "b = repeat('n', 5000)", 'b = null, c = -c', 'c = c'],
  by_text: ['n = n + 1', "b = 'b' || n"],
  by_uuid: ['n = n + 1'],
  by_time: ['n = n + 1'],
  by_bytes: ['n = -n'],
  by_numeric: ['n = null', 'n = 1'],
  by_float: ['n = n + 1', 'k = -k'],
  by_char: ['n = -n'],
  by_array: ['n = n + 1'],
  by_range: ['n = n + 1', 'n = null'],
  by_two: ['n = n + 1'],
  by_index: ["c = c || 'x'", 'a = a + 10000'],
  full_key: ['a = a + 1', "b = repeat('f', 4000)"],
  keyless: ['a = a + 1', "b = 'same'", 'b = null'],
  parts: ["a = a || '.'"],
  deferred: ['u = u'],
};

const moved: Readonly<Record<string, string>> = {
  by_int: 'id = 60 - id',
  by_text: "k = k || '~'",
  by_uuid: 'k = md5(k::text)::uuid',
  by_time: "k = k + interval '1 day'",
  by_bytes: "k = k || '\\x01'",
  by_numeric: 'k = -k',
  by_float: "k = case k when 0 then 'NaN' else k * 2 end",
  by_char: "k = trim(k) || 'x'",
  by_array: 'k = k || 7',
  by_range: "k = k * '[0,30)', e = 'ok'",
  by_two: "b = 'c' || a, a = a + 1",
  by_index: 'b = b + 50',
  full_key: 'id = id + 100',
  parts: 'id = id + 9',
  deferred: 'id = id + 50',
};

/**
 * Statements of one transaction, each of which may fail by itself (a key that is there): whoever runs them sets a savepoint before each. An
 * empty list is an empty transaction.
 */
export function randomTransaction(choices: Choices): string[] {
  const statements: string[] = [];
  for (let left = choices.below(6); left > 0; left--) {
    const table = choices.one(randomTables);
    const from = choices.below(40);
    const some = (): string => `${modulus(table)} % ${2 + choices.below(4)} = ${choices.below(2)}`;
    const what = choices.below(20);
    if (what < 8)
      statements.push(
        `insert into ${table} ${inserted[table]?.('g')} from generate_series(${from}, ${from + choices.below(8)}) g ${unlessThere(table)}`,
      );
    else if (what < 12) statements.push(`update ${table} set ${choices.one(changed[table] ?? [])} where ${some()}`);
    else if (what < 14 && moved[table])
      statements.push(`update ${table} set ${moved[table]} where ${some()} and ${modulus(table)} < ${from}`);
    else if (what === 14)
      statements.push('update deferred set u = case u when 101 then 102 when 102 then 101 else u end where u in (101, 102)');
    else if (what === 15)
      statements.push(
        'update by_int set id = -1 where id = (select min(id) from by_int where id >= 0)',
        'update by_int set id = (select min(id) from by_int where id >= 0) - 1 where id = (select max(id) from by_int)',
        'update by_int set id = (select max(id) + 1 from by_int) where id = -1',
      );
    else if (what < 18) statements.push(`delete from ${table} where ${some()}`);
    else if (what === 18)
      statements.push(
        `savepoint mine; insert into ${table} ${inserted[table]?.('g')} from generate_series(50, 60) g ${unlessThere(table)}; delete from ${table} where ${some()}; rollback to mine`,
      );
    else if (choices.below(3) === 0) statements.push(`truncate ${choices.below(2) === 0 ? table : `${table}, by_uuid, keyless`}`);
  }
  return statements;
}

/** A deferrable constraint cannot tell what is there. */
const unlessThere = (table: string): string => `on conflict ${table === 'deferred' ? '(id) ' : ''}do nothing`;

/** A number made of a row. */
const modulus = (table: string): string =>
  ({
    by_text: 'length(k)',
    by_uuid: 'coalesce(n, 0)',
    by_time: 'coalesce(n, 0)',
    by_bytes: 'length(k)',
    by_numeric: 'abs(k::int)',
    by_float: 'coalesce(n, 0)',
    by_char: 'length(k)',
    by_array: 'cardinality(k)',
    by_range: 'coalesce(n, 0)',
    by_two: 'a',
    by_index: 'b',
    keyless: 'coalesce(a, 0)',
  })[table] ?? `abs(${keys[table]?.column})`;

/** Changes of columns, each with what undoes the surprise for the next: they are done in this order, again and again. */
export const columnChanges: readonly string[] = [
  'alter table by_int add d text default $$d$$; update by_int set d = $$new$$ where id % 2 = 0',
  'alter table by_int rename d to dd; insert into by_int (id, dd) values (900, $$renamed$$) on conflict do nothing',
  'alter table by_int alter a type bigint; update by_int set a = 5000000000 where id % 3 = 0', // the first time; then nothing
  'alter table by_int drop dd; update by_int set c = 1 where id % 4 = 0',
  'alter table full_key add e int; update full_key set e = id',
  'alter table full_key rename b to bb; update full_key set a = 7 where id % 2 = 0',
  'alter table full_key rename bb to b; alter table full_key drop e',
  'alter table keyless add extra int default 3; delete from keyless where a = 1',
  'alter table keyless drop extra; insert into keyless values (1, $$after$$)',
  'alter table parts add more text; update parts set more = a where id % 2 = 1',
  'alter table parts drop more; delete from parts where id % 5 = 0',
];

export const choicesOf = (seed: number): Choices => new Choices(seeded(seed));
