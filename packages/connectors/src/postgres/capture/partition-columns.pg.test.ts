import { int4, table } from '@millrace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, brief, readToEnd } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const rooms = table('rooms', { id: int4() }, { key: ['id'] });

/** What `statements` say of the columns of a partitioned table, which has `partitions`. */
async function told(server: LogicalServer, announceColumns: boolean, partitions: string, statements: string): Promise<unknown[]> {
  await using database = await server.database();
  await database.sql(`create table rooms (id int4 primary key) partition by range (id); ${partitions}`);
  const { source, position } = await begin(postgres({ url: database.url }).capture({ rooms }, { announceColumns }), testContext());
  await using _source = source;
  await database.sql(statements);
  const changes = brief((await readToEnd(source, position)).flatMap((group) => group.changes)) as { op: string; changes: unknown[] }[];
  return changes.flatMap((change) => (change.op === 'schema' ? change.changes : []));
}

const two =
  'create table low partition of rooms for values from (0) to (10); create table high partition of rooms for values from (10) to (20)';
const nested = `create table low partition of rooms for values from (0) to (10) partition by list (id); create table lowest partition of low default;
  create table high partition of rooms default`;
const floor = (fill: string | null, computed = false) => [
  expect.objectContaining({ change: 'add', fill, ...(computed && { computed }), column: expect.objectContaining({ name: 'floor' }) }),
];

describe.for([
  [14, true],
  [18, true],
  [16, false],
] as const)('version %i, announced by the trigger: %s', ([version, announceColumns]) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  test.for([
    ['its partitions remember it', two, 'alter table rooms add floor int not null default 3; insert into rooms values (1)', floor('3')],
    [
      'partitions of partitions do',
      nested,
      `alter table rooms add floor text default 'a, "b"'; insert into rooms values (1)`,
      floor('a, "b"'),
    ],
    ['no default is NULL', two, 'alter table rooms add floor int; insert into rooms values (1)', floor(null)],
    [
      'each row has its own',
      two,
      'alter table rooms add floor double precision default random(); insert into rooms values (1)',
      floor(null, true),
    ],
  ] as const)('what rows of a partitioned table get in a column with a default: %s', async ([, partitions, statements, expected]) => {
    expect(await told(server, announceColumns, partitions, statements)).toEqual(expected);
  });

  if (announceColumns)
    test('before it has partitions it has no rows', async () => {
      const statements = `alter table rooms add floor int default 3; ${two}; insert into rooms values (1)`;
      expect(await told(server, announceColumns, '', statements)).toEqual(floor(null));
    });
});
