import { bool, type Column, char, enumeration, jsonb, table, time, uuid } from '@millrace/core';
import type { Columns, Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd } from '../../../test/changes.ts';
import { sqlTypes } from '../../../test/mysql-values.ts';
import { selectedRows } from '../../../test/selected-rows.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: { 'sql-mode': 'NO_ENGINE_SUBSTITUTION' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

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
  return { rows, selected: await selectedRows(connection, declared) };
}

test('values come out of the log as they come out of the table, of every type and character set', async () => {
  const columns = sqlTypes(server.flavour);
  const { rows, selected: there } = await streamed(
    columns.map(({ type }) => type),
    columns.map(({ values }) => values),
    (found) => found,
  );
  expect(rows).toHaveLength(there.length);
  for (const [place, { type }] of columns.entries()) {
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
