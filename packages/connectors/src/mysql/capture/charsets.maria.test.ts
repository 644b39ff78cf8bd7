import type { Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd } from '../../../test/changes.ts';
import { selectedRows } from '../../../test/selected-rows.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: { 'sql-mode': 'NO_ENGINE_SUBSTITUTION' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const digits = `(${Array.from({ length: 16 }, (_, digit) => `select ${digit} as n`).join(' union all ')})`;
const bytes = `(select 16 * x.n + y.n as n from ${digits} x, ${digits} y)`;
/** The bytes of characters as SQL has them, from pairs of bytes `a` and `b`, and which pairs are looked at. */
const forms: readonly (readonly [bytes: string, where: string])[] = [
  ['a.n', 'b.n = 0'],
  ['a.n, b.n', 'a.n >= 128 and b.n >= 48'],
  ['143, a.n, b.n', 'a.n >= 161 and b.n >= 161'],
  ['129 + a.n % 4, 48 + a.n div 4 % 10, b.n, 48 + a.n div 40', 'b.n >= 129 and a.n < 240'],
  ['144, 48 + a.n % 10, b.n, 51', 'b.n >= 129 and a.n < 10'],
];

const wide = ['big5', 'cp932', 'eucjpms', 'euckr', 'gb2312', 'gbk', 'sjis', 'ujis'];
const narrow = ['ascii', 'latin1', 'cp1251', 'koi8u', 'dec8', 'hp8', 'keybcs2', 'swe7', 'tis620'];

test.each([...wide, ...narrow, ...(testedServer().flavour === 'mysql' ? ['gb18030'] : [])])(
  'every character of %s comes out of the log as it comes out of the table',
  async (set) => {
    await server.sql('drop database if exists _millrace');
    const database = await server.database();
    await database.sql(`create table characters (id int primary key auto_increment, c text character set ${set})`);
    const connection = mariadb({ url: database.url });
    const [declared] = (await connection.introspect(testContext(), { tables: ['characters'] })) as [Table];
    const { source, position } = await begin(connection.capture({ characters: declared }), testContext());
    await using _source = source;
    for (const [made, where] of forms) {
      const one = `char(${made} using ${set})`;
      const isOne = `hex(convert(${one} using utf32)) regexp '^.{8}$' and hex(convert(${one} using utf32)) <> '0000003F'`;
      await database.sql(
        'set group_concat_max_len = 100000',
        `insert ignore into characters (c) select group_concat(${one} order by b.n separator '')
        from ${bytes} a, ${bytes} b where ${where} and ${isOne} group by a.n`,
      );
    }
    const rows = (await readToEnd(source, position)).flatMap(({ changes }) =>
      changes.map((change) => ('row' in change ? change.row : change)),
    );
    const there = await selectedRows(connection, declared);
    const characters = there.reduce((sum, row) => sum + Array.from(row['c'] as string).length, 0);
    expect(characters).toBeGreaterThan(wide.includes(set) ? 6000 : 120);
    expect(rows.map((row) => (row as { c: string }).c)).toEqual(there.map((row) => row['c']));
  },
);
