import type { Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd } from '../../../test/changes.ts';
import { selectedRows } from '../../../test/selected-rows.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const { flavour } = testedServer();

test.each<readonly [what: string, definition: string, values: string]>([
  [
    'a column that * leaves out',
    '(id int primary key, seen int, unseen int invisible, last varchar(9))',
    '(id, seen, unseen, last) values (1, 2, 3, "l")',
  ],
  [
    'a stored column that is computed',
    '(id int primary key, a int, b int as (a * 2) stored, c varchar(9))',
    '(id, a, c) values (1, 2, "c")',
  ],
  ...(flavour === 'mysql'
    ? ([
        [
          'columns of indexes over expressions',
          '(id int primary key, a varchar(9), b json, c int, index ((lower(a))), index ((cast(b->"$[*]" as unsigned array))), d int, index ((c + d)))',
          `(id, a, b, c, d) values (1, 'A', '[1, 2]', 3, 4)`,
        ],
      ] as const)
    : ([
        [
          'a column of an index over a long text',
          '(id int primary key, a text unique, b int, c blob unique, d int)',
          `values (1, 'a', 2, 'c', 4)`,
        ],
      ] as const)),
])('%s comes, or does not, out of the log as SELECT says', async (_, definition, values) => {
  await server.sql('drop database if exists _millrace');
  const database = await server.database();
  await database.sql(`create table hiding ${definition}`);
  const connection = mariadb({ url: database.url });
  const [hiding] = (await connection.introspect(testContext(), { tables: ['hiding'] })) as [Table];
  const { source, position } = await begin(connection.capture({ hiding }), testContext());
  await using _source = source;
  await database.sql(`set sql_mode = ''`, `insert into hiding ${values}`);
  const changes = (await readToEnd(source, position)).flatMap(({ changes }) => changes);
  expect(changes).toEqual([expect.objectContaining({ op: 'insert' })]);
  expect(changes.map((change) => ('row' in change ? change.row : change))).toEqual(await selectedRows(connection, hiding));
});
