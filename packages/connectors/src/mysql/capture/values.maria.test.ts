import { bool, type Column, char, enumeration, jsonb, table, time, uuid } from '@millrace/core';
import { batchesOf, type Columns, rowsOf, type Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: { 'sql-mode': 'NO_ENGINE_SUBSTITUTION' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Columns of MariaDB and values of them, as SQL writes them. Each has NULL too. */
const columns: readonly (readonly [type: string, values: readonly string[]])[] = [
  ['tinyint', ['-128', '127', '0']],
  ['tinyint unsigned', ['255', '0']],
  ['smallint', ['-32768', '32767']],
  ['smallint unsigned', ['65535']],
  ['mediumint', ['-8388608', '8388607', '-1']],
  ['mediumint unsigned', ['16777215']],
  ['int', ['-2147483648', '2147483647']],
  ['int(8) unsigned zerofill', ['42', '4294967295']],
  ['bigint', ['-9223372036854775808', '9223372036854775807', '-1', '9007199254740993', '-9007199254740993']],
  ['bigint unsigned', ['18446744073709551615', '0', '9007199254740993']],
  ['decimal(65,30)', [`${'9'.repeat(35)}.${'9'.repeat(30)}`, `-0.${'0'.repeat(29)}1`, '0', '-123456789.987654321']],
  ['decimal(10,0)', ['-1', '1234567890']],
  ['decimal(4,4)', ['0.0001', '-0.9999']],
  ['decimal(6,2) unsigned zerofill', ['1.5']],
  ['float', ['0.1', '3.4028234663852886e38', '1.17549435e-38', '16777217', '-0.5']],
  ['double', ['1.7976931348623157e308', '5e-324', '0.1', '-0.0001', '123456789012345680']],
  ['bit(1)', [`b'1'`, `b'0'`]],
  ['bit(10)', [`b'101'`]],
  ['bit(64)', ['0xffffffffffffffff', '0x8000000000000001']],
  ['year', ['1901', '2155', '0']],
  ['date', [`'1000-01-01'`, `'9999-12-31'`, `'2024-02-29'`]],
  ['datetime', [`'2024-02-29 23:59:59'`]],
  ['datetime(1)', [`'2024-02-29 23:59:59.1'`]],
  ['datetime(3)', [`'2024-02-29 23:59:59.120'`]],
  ['datetime(5)', [`'2024-02-29 23:59:59.00001'`]],
  ['datetime(6)', [`'9999-12-31 23:59:59.999999'`, `'2024-02-29 00:00:00.100000'`, `'2024-02-29 10:00:00'`]],
  ['timestamp null', [`'2024-02-29 03:00:00'`]],
  ['timestamp(2) null', [`'2024-02-29 03:00:00.25'`]],
  ['timestamp(6) null', [`'2038-01-19 06:14:07.999999'`, `'1970-01-01 03:00:01.5'`]],
  ['time', [`'838:59:59'`, `'-838:59:59'`, `'00:00:00'`, `'12:00:30'`, `'-00:00:01'`]],
  ['time(2)', [`'-00:00:00.01'`, `'1:00:00.5'`, `'-838:59:59'`]],
  ['time(4)', [`'-00:00:00.0001'`, `'-1:00:00'`]],
  ['time(6)', [`'-00:00:00.000001'`, `'24:00:00.100000'`, `'-838:59:59.999999'`]],
  ['char(5)', [`'ab '`, `''`, `'üüüüü'`]],
  ['char(255)', [`repeat('é', 255)`]],
  ['char(5) character set latin1', [`'Zür €'`]],
  ['varchar(20)', [`'ab '`, `'\\t\\n"\\\\,'`, `'🦉ü'`]],
  ['varchar(300)', [`repeat('é', 300)`, `''`]],
  ['varchar(20) character set latin1', [`'Zürich €ŸŽ'`]],
  ['varchar(20) character set latin2', [`'žluťoučký'`]],
  ['varchar(20) character set cp850', [`'Zürich ▓'`]],
  ['varchar(20) character set koi8r', [`'мир'`]],
  ['varchar(20) character set cp1251', [`'мир'`]],
  ['varchar(20) character set greek', [`'αβγ'`]],
  ['varchar(20) character set hebrew', [`'שלום'`]],
  ['varchar(20) character set tis620', [`'สวัสดี'`]],
  ['varchar(20) character set armscii8', [`'Հայ'`]],
  ['varchar(20) character set macroman', [`'Zürich'`]],
  ['varchar(20) character set utf8mb3', [`'žluť'`]],
  ['varchar(20) character set ucs2', [`'日本'`]],
  ['varchar(20) character set utf16', [`'日本🦉'`]],
  ['varchar(20) character set utf16le', [`'日本🦉'`]],
  ['varchar(20) character set utf32', [`'日本🦉'`]],
  ['varchar(20) character set sjis', [`'日本'`]],
  ['varchar(20) character set cp932', [`'日本①'`]],
  ['varchar(20) character set ujis', [`'日本'`]],
  ['varchar(20) character set eucjpms', [`'日本①'`]],
  ['varchar(20) character set gbk', [`'中国'`]],
  ['varchar(20) character set gb2312', [`'中国'`]],
  ['varchar(20) character set big5', [`'中國'`]],
  ['varchar(20) character set euckr', [`'한국'`]],
  ['tinytext', [`'x'`, `''`]],
  ['text character set latin1', [`'é€'`]],
  ['mediumtext', [`repeat('é', 70000)`]],
  ['longtext compressed', [`repeat('compress me ', 500)`, `'short'`, `''`]],
  ['varchar(500) compressed', [`repeat('ab', 200)`]],
  ['json', [`'{"a": [1, null, "ü"]}'`]],
  [`enum('a','it''s','ü, or not')`, [`'it''s'`, `'ü, or not'`]],
  [`enum(${Array.from({ length: 300 }, (_, place) => `'l${place}'`).join(',')})`, [`'l299'`, `'l0'`]],
  [`set('a','b','c')`, [`'a,c'`, `''`]],
  [`set(${Array.from({ length: 64 }, (_, place) => `'m${place}'`).join(',')})`, [`'m0,m63'`]],
  [`enum('é','ß') character set latin1`, [`'ß'`]],
  ['binary(3)', [`x'00ff'`, `x'000000'`]],
  ['varbinary(10)', [`x'005c0a27'`, `''`]],
  ['blob', [`x''`, `x'00'`]],
  ['longblob', [`repeat(x'e9', 70000)`]],
  ['uuid', [`'123e4567-e89b-12d3-a456-426614174000'`, `'a6b8c1d2-1234-4abc-8def-001122334455'`, `'01890a5d-ac96-774b-bcce-b302099a8057'`]],
  ['inet6', [`'::1'`, `'2001:db8::ff00:42:8329'`, `'::ffff:1.2.3.4'`, `'::1.2.3.4'`, `'::'`, `'1::'`, `'fe80::1:0:0:1'`]],
  ['inet4', [`'192.168.0.1'`]],
  ['point', [`ST_GeomFromText('POINT(1 2)', 4326)`]],
  ['geometry', [`ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')`]],
];

/** Declared as something else than what `introspect` says. */
const declaredAs: readonly (readonly [type: string, declared: Column<unknown>, values: readonly string[]])[] = [
  ['tinyint(1)', bool().orNull(), ['1', '0']],
  ['bit(1)', bool().orNull(), [`b'1'`, `b'0'`]],
  ['time(3)', time().orNull(), [`'23:59:59.120'`, `'24:00:00'`]],
  ['char(5)', char(5).orNull(), [`'ab'`]],
  ['json', jsonb().orNull(), [`'{"a": 1}'`]],
  [`enum('a','b')`, enumeration('letter', ['b', 'a', 'c']).orNull(), [`'a'`]],
  ['binary(16)', uuid().orNull(), [`x'123e4567e89b12d3a456426614174000'`]],
];

async function selected(connection: ReturnType<typeof mariadb>, declared: Table) {
  await using source = await connection.selection(declared).open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1e9, earlier: null });
  const rows: Record<string, unknown>[] = [];
  for (const split of plan.splits) for await (const batch of batchesOf(await source.open(split, 'batches'))) rows.push(...rowsOf(batch));
  return rows.sort((a, b) => Number(a['id']) - Number(b['id']));
}

async function streamed(types: readonly string[], values: readonly (readonly string[])[], declare: (found: Table) => Table) {
  const database = await server.database();
  const list = types.map((type, place) => `c${place} ${type}`).join(', ');
  await database.sql(`create table wide (id int primary key, ${list}) row_format = dynamic`);
  const connection = mariadb({ url: database.url });
  const [found] = await connection.introspect(testContext(), { tables: ['wide'] });
  const declared = declare(found as Table);
  const { source, position } = await begin(connection.capture({ wide: declared }), testContext());
  await using _source = source;
  const most = Math.max(...values.map(({ length }) => length));
  for (let row = 0; row <= most; row++)
    await database.sql(`insert into wide values (${[row, ...values.map((list) => list[row] ?? 'null')].join(', ')})`);
  const groups = await readToEnd(source, position);
  const rows = groups.flatMap(({ changes }) => changes.map((change) => ('row' in change ? change.row : change)));
  return { rows, selected: await selected(connection, declared) };
}

test('values come out of the log as they come out of the table, of every type and character set', async () => {
  const { rows, selected: there } = await streamed(
    columns.map(([type]) => type),
    columns.map(([, values]) => values),
    (found) => found,
  );
  expect(rows).toHaveLength(there.length);
  for (const [place, [type]] of columns.entries()) {
    const values = (of: readonly Record<string, unknown>[]) => ({ type, values: of.map((row) => row[`c${place}`]) });
    expect(values(rows as Record<string, unknown>[])).toEqual(values(there));
  }
});

test('and as the types that they may be declared with instead', async () => {
  const { rows, selected: there } = await streamed(
    declaredAs.map(([type]) => type),
    declaredAs.map(([, , values]) => values),
    (found) =>
      table(
        'wide',
        Object.fromEntries(
          Object.entries(found.declared).map(([name, column]) => [name, name === 'id' ? column : declaredAs[Number(name.slice(1))]![1]]),
        ),
        { key: ['id'] },
      ),
  );
  expect(rows).toEqual(there);
});

test('a value that its declared type cannot hold stops the stream, and is named; so does a zero date', async () => {
  const database = await server.database();
  await database.sql('create table odd (id int primary key, flag tinyint(1), d date)');
  const connection = mariadb({ url: database.url });
  const [found] = await connection.introspect(testContext(), { tables: ['odd'] });
  const declared: Columns = { ...(found as Table).declared, flag: bool().orNull() };
  const odd = table('odd', declared, { key: ['id'] });
  for (const [values, message] of [
    ['(1, 2, null)', 'odd.flag has the value 2, which is no boolean'],
    [`(2, 1, '0000-00-00')`, 'odd.d has the value 0000-00-00, which is no day'],
  ] as const) {
    const { source, position } = await begin(connection.capture({ odd }), testContext());
    await using _source = source;
    await database.sql(`insert into odd values ${values}`);
    await expect(readToEnd(source, position)).rejects.toMatchObject({
      code: 'VALUE_UNREPRESENTABLE',
      message: expect.stringContaining(message),
    });
    await database.sql('delete from odd');
  }
  const lenient = mariadb({ url: database.url, zeroDates: 'null' }).capture({ odd });
  const { source, position } = await begin(lenient, testContext());
  await using _source = source;
  await database.sql(`insert into odd values (3, null, '0000-00-00')`);
  const [group] = (await readToEnd(source, position)).filter(({ changes }) => changes.length > 0);
  expect(group?.changes).toMatchObject([{ op: 'insert', row: { id: 3, flag: null, d: null } }]);
});
