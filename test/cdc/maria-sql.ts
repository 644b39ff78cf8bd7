import { Choices, seeded } from '@millrace/core/testing';

/** Tables of MariaDB with keys of many types, without a key, with long values. */
export const mariaTables: readonly string[] = [
  'by_int',
  'by_unsigned',
  'by_text',
  'by_folded',
  'by_time',
  'by_bytes',
  'by_decimal',
  'by_uuid',
  'by_two',
  'keyless',
  'parts',
];

/** A text that looks like nothing: MD5 is going from MySQL. */
const digest = (of: string): string => `left(sha2(${of}, 256), 32)`;

export const createMariaTables = (flavour: 'mariadb' | 'mysql'): readonly string[] => [
  'create table by_int (id int primary key, a int default 1, b longtext, c decimal(20,4))',
  'create table by_unsigned (k bigint unsigned primary key, n mediumint unsigned, f double)',
  'create table by_text (k varchar(400) character set utf8mb4 collate utf8mb4_bin primary key, n int, b text character set latin1)',
  'create table by_folded (k varchar(100) collate utf8mb4_general_ci primary key, n int, j json)',
  'create table by_time (k datetime(6) primary key, n int, t time(6), s timestamp(3) null)',
  'create table by_bytes (k varbinary(40) primary key, n int, f binary(4))',
  "create table by_decimal (k decimal(12,3) primary key, n int, e enum('sad', 'ok', 'happy'), s set('a', 'b'))",
  `create table by_uuid (k ${flavour === 'mariadb' ? 'uuid' : 'char(36) character set ascii'} primary key, n int, y year)`,
  'create table by_two (a int, n int, b varchar(20), primary key (a, b), key (n))',
  'create table keyless (a int, b varchar(20), key (a))',
  'create table parts (id int primary key, a text) partition by range (id) (partition p1 values less than (10), partition p2 values less than (25), partition p3 values less than maxvalue)',
];

const long = (g: string): string => `case when ${g} % 3 = 0 then repeat(${digest(g)}, 150) when ${g} % 3 = 1 then 'short' end`;

/** A row made of a small number, so that transactions meet. */
const inserted: Readonly<Record<string, (g: string) => string>> = {
  by_int: (g) => `(id, a, b, c) select ${g}, ${g}, ${long(g)}, ${g} / 4`,
  by_unsigned: (g) => `select 18446744073709551615 - ${g}, ${g} * 400000, ${g} / 3`,
  by_text: (g) =>
    `select concat(elt(1 + ${g} % 6, '', 'a', 'A', 'ä', 'tab\\t', concat('long ', repeat('x', 300))), ${g}), ${g}, 'Zürich €'`,
  by_folded: (g) => `select concat(elt(1 + ${g} % 3, 'a', 'b', 'é'), ${g}), ${g}, concat('{"n": ', ${g}, '}')`,
  by_time: (g) =>
    `select timestamp'2024-02-28 23:59:59.999999' + interval ${g} * 11 hour, ${g}, sec_to_time((${g} - 20) * 3700.25), timestamp'2024-02-29 12:00:00.125' + interval ${g} second`,
  by_bytes: (g) => `select concat(unhex(substr(${digest(g)}, 1, 2 * (${g} % 5))), char(${g})), ${g}, unhex(hex(${g} % 3))`,
  by_decimal: (g) => `select (${g} - 10) * 0.5, ${g}, elt(1 + ${g} % 3, 'sad', 'ok', 'happy'), elt(1 + ${g} % 4, '', 'a', 'a,b', 'b')`,
  by_uuid: (g) => `select ${digest(g)}, ${g}, 1980 + ${g}`,
  by_two: (g) => `select ${g} % 7, ${g}, concat('b', ${g} % 4)`,
  keyless: (g) => `select ${g} % 4, if(${g} % 3 = 0, null, concat('b', ${g} % 5))`,
  parts: (g) => `select ${g}, concat('a', ${g})`,
};

const changed: Readonly<Record<string, readonly string[]>> = {
  by_int: ['a = coalesce(a, 0) + 1', "b = repeat('n', 5000)", 'b = null, c = -c', 'c = c'],
  by_unsigned: ['n = n + 1', 'f = -f', 'f = null'],
  by_text: ['n = n + 1', "b = concat('b', n)"],
  by_folded: ['n = n + 1', 'k = upper(k)', 'k = lower(k)', "j = '[1, null]'"],
  by_time: ['n = n + 1', 't = null', "t = '-838:59:59'", 's = null'],
  by_bytes: ['n = -n', "f = x'00ff0000'"],
  by_decimal: ['n = null', "e = 'ok', s = 'a,b'"],
  by_uuid: ['n = n + 1', 'y = null'],
  by_two: ['n = n + 1'],
  keyless: ['a = a + 1', "b = 'same'", 'b = null'],
  parts: ["a = concat(a, '.')"],
};

const moved: Readonly<Record<string, string>> = {
  by_int: 'id = 60 - id',
  by_unsigned: 'k = k - 1000',
  by_text: "k = concat(k, '~')",
  by_folded: "k = concat(k, 'X')",
  by_time: 'k = k + interval 1 day',
  by_bytes: "k = concat(k, x'01')",
  by_decimal: 'k = -k',
  by_uuid: `k = ${digest('k')}`,
  by_two: "b = concat('c', a), a = a + 1",
  parts: 'id = id + 9',
};

/** A number made of a row. */
const modulus = (table: string): string =>
  ({
    by_int: 'abs(id)',
    by_text: 'char_length(k)',
    by_bytes: 'length(k)',
    by_decimal: 'abs(round(k))',
    by_two: 'a',
    keyless: 'coalesce(a, 0)',
    parts: 'id',
  })[table] ?? 'abs(coalesce(n, 0))';

/** Statements of one transaction, each of which may fail by itself: whoever runs them sets a savepoint before each. */
export function mariaTransaction(choices: Choices): string[] {
  const statements: string[] = [];
  for (let left = choices.below(6); left > 0; left--) {
    const table = choices.one(mariaTables);
    const from = choices.below(40);
    const rows = (first: number, last: number): string =>
      `insert ignore into ${table} ${inserted[table]?.('seq')} from seq_${first}_to_${last}`;
    const some = (): string => `${modulus(table)} % ${2 + choices.below(4)} = ${choices.below(2)}`;
    const what = choices.below(20);
    if (what < 8) statements.push(rows(from, from + choices.below(8)));
    else if (what < 12) statements.push(`update ${table} set ${choices.one(changed[table] ?? [])} where ${some()}`);
    else if (what < 14 && moved[table])
      statements.push(`update ${table} set ${moved[table]} where ${some()} and ${modulus(table)} < ${from}`);
    else if (what === 14) statements.push(`replace into ${table} ${inserted[table]?.('seq')} from seq_${from}_to_${from + 3}`);
    else if (what === 15) {
      statements.push(
        'update by_int set id = -1 where id >= 0 order by id limit 1',
        'update by_int set id = 0 where id > 0 order by id desc limit 1',
        'update by_int set id = 5000 where id = -1',
      );
    } else if (what < 18) statements.push(`delete from ${table} where ${some()}`);
    else if (what === 18) statements.push('savepoint mine', rows(50, 60), `delete from ${table} where ${some()}`, 'rollback to mine');
  }
  return statements;
}

/** Changes of columns, and a row right after each, since by it columns are told; they are done in this order, again and again. Each ends the transaction that it stands in. */
export const mariaColumnChanges: readonly (readonly string[])[] = [
  [
    "alter table by_int add d varchar(20) default 'd'",
    "update by_int set d = 'new' where id % 2 = 0",
    'insert into by_int (id) values (901) on duplicate key update a = coalesce(a, 0) + 1',
  ],
  [
    'alter table by_int rename column d to dd',
    "insert into by_int (id, dd) values (900, 'renamed') on duplicate key update a = coalesce(a, 0) + 1",
  ],
  [
    'alter table by_int modify a bigint',
    'update by_int set a = 5000000000 where id % 3 = 0',
    'insert into by_int (id) values (902) on duplicate key update a = coalesce(a, 0) + 1',
  ],
  [
    'alter table by_int drop dd',
    'update by_int set c = 1 where id % 4 = 0',
    'insert into by_int (id) values (903) on duplicate key update a = coalesce(a, 0) + 1',
  ],
  ['alter table keyless add extra int default 3', 'delete from keyless where a = 1', "insert into keyless (a, b) values (1, 'added')"],
  ['alter table keyless drop extra', "insert into keyless values (1, 'after')"],
  [
    'alter table parts add more text first',
    'update parts set more = a where id % 2 = 1',
    "insert into parts (id, more) values (70, 'm') on duplicate key update a = concat(coalesce(a, ''), '+')",
  ],
  [
    'alter table parts drop more',
    'delete from parts where id % 5 = 0',
    "insert into parts (id) values (71) on duplicate key update a = concat(coalesce(a, ''), '+')",
  ],
  ['truncate table by_uuid', `insert ignore into by_uuid (k) values (${digest('1')})`],
  ['alter table by_two add index (b)', 'analyze table by_two', "insert into by_two values (1, 1, 'i') on duplicate key update n = n + 1"],
];

export const mariaChoices = (seed: number): Choices => new Choices(seeded(seed));
