import type { Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd, type Seen } from '../../../test/changes.ts';
import { type SqlType, sqlTypes } from '../../../test/mysql-values.ts';
import { selectedRows } from '../../../test/selected-rows.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: { 'sql-mode': 'NO_ENGINE_SUBSTITUTION' } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Columns in their order, where the key is among them, and rows of values as SQL writes them. */
interface Shape {
  readonly types: readonly string[];
  readonly key: number;
  readonly rows: readonly (readonly string[])[];
  /** Rows that are given the values of others, and rows that go. */
  readonly changes: readonly { readonly row: number; readonly from: number | null }[];
}

const some = 6;

function shapeOf(types: readonly SqlType[]): fc.Arbitrary<Shape> {
  return fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 14 }).chain((columns) =>
    fc.record({
      types: fc.constant(columns.map(({ type }) => type)),
      key: fc.nat(columns.length),
      rows: fc.array(
        fc.tuple(...columns.map(({ any }) => fc.oneof({ weight: 5, arbitrary: any }, { weight: 1, arbitrary: fc.constant('null') }))),
        {
          minLength: 1,
          maxLength: some,
        },
      ),
      changes: fc.array(fc.record({ row: fc.nat(some), from: fc.option(fc.nat(some)) }), { maxLength: some }),
    }),
  );
}

/** The rows that there are after all changes, by their keys. */
function after(changes: readonly Seen[]): unknown[] {
  const rows = new Map<unknown, unknown>();
  for (const change of changes) {
    if (change.op === 'insert' || change.op === 'update') rows.set(change.row['id'], change.row);
    else if (change.op === 'delete') rows.delete(change.old?.['id'] ?? change.row['id']);
  }
  return [...rows.entries()].sort(([a], [b]) => Number(a) - Number(b)).map(([, row]) => row);
}

/** Columns that might count among those behind them, and a row. */
const before: readonly (readonly [columns: string, values: string])[] = [
  ['id int primary key, y year, n int unsigned, m int, y2 year, o bigint unsigned', '1, 2024, 4000000000, -5, 2025, 18446744073709551615'],
  [
    'at point, id int primary key, a varchar(9), b varbinary(9), g geometry, c text character set latin1, d blob',
    `ST_GeomFromText('POINT(1 2)'), 1, 'é', x'00ff', null, 'é', x'00ff'`,
  ],
  [
    `b bit(3), j json, id int primary key, n int unsigned, a varchar(9) character set latin1, e enum('é') character set latin1, f set('é','x')`,
    `b'101', '[]', 1, 4000000000, 'é', 'é', 'é,x'`,
  ],
  ...(testedServer().flavour === 'mysql'
    ? ([
        [
          'v vector(3), id int primary key, n int unsigned, a varchar(9) character set latin1, b varbinary(9), w vector(2), c text, d blob',
          `to_vector('[1,-2.5,3e10]'), 1, 4000000000, 'é', x'00ff', null, 'é', x'00ff'`,
        ],
      ] as const)
    : []),
];

test.each(before)('columns of %s are read each as what it is', async (columns, values) => {
  await server.sql('drop database if exists _millrace');
  const database = await server.database();
  await database.sql(`create table odd (${columns})`);
  const connection = mariadb({ url: database.url });
  const [odd] = (await connection.introspect(testContext(), { tables: ['odd'] })) as [Table];
  const { source, position } = await begin(connection.capture({ odd }), testContext());
  await using _source = source;
  await database.sql(`insert into odd values (${values})`);
  const rows = (await readToEnd(source, position)).flatMap(({ changes }) =>
    changes.map((change) => ('row' in change ? change.row : change)),
  );
  expect(rows).toEqual(await selectedRows(connection, odd));
});

test('whatever columns a table has in which order, its rows come out of the log as SELECT says that they are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(shapeOf(sqlTypes(server.flavour)), { minLength: 1, maxLength: 8 }), async (shapes) => {
      await server.sql('drop database if exists _millrace');
      const database = await server.database();
      const names = shapes.map((_, place) => `t${place}`);
      for (const [place, { types, key }] of shapes.entries()) {
        const list = types.map((type, column) => `c${column} ${type}`);
        list.splice(key, 0, 'id int unsigned primary key');
        await database.sql(`create table t${place} (${list.join(', ')}) row_format = dynamic`);
      }
      const connection = mariadb({ url: database.url });
      const found = await connection.introspect(testContext(), { tables: names });
      const declared = Object.fromEntries(names.map((name) => [name, found.find((one) => one.name === name) as Table]));
      const { source, position } = await begin(connection.capture(declared), testContext());
      await using _source = source;
      for (const [place, { types, rows, changes }] of shapes.entries()) {
        const named = types.map((_, column) => `c${column}`);
        for (const [row, values] of rows.entries())
          await database.sql(`insert into t${place} (${['id', ...named].join(', ')}) values (${[row, ...values].join(', ')})`);
        for (const { row, from } of changes) {
          const values = from === null ? undefined : rows[from % rows.length];
          const set = values && named.map((name, column) => `${name} = ${values[column]}`).join(', ');
          await database.sql(set ? `update t${place} set ${set} where id = ${row}` : `delete from t${place} where id = ${row}`);
        }
      }
      const seen = (await readToEnd(source, position)).flatMap(({ changes }) => changes);
      for (const [place, { types }] of shapes.entries()) {
        const name = `t${place}`;
        const rows = after(seen.filter((change) => 'table' in change && change.table === name));
        expect({ types, rows }).toEqual({ types, rows: await selectedRows(connection, declared[name] as Table) });
      }
    }),
    { numRuns: Number(process.env['MILLRACE_SEEDS'] ?? 5) },
  );
}, 300_000);
