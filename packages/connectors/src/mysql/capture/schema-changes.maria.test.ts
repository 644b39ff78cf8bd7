import { int4, table, varchar } from '@millrace/core';
import type { ChangeSource, Position } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, readToEnd, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

// Known before the server is there.
const isMariaDb = !process.env['MILLRACE_TEST_MYSQLD'];
const people = table('people', { id: int4(), name: varchar(100).orNull() }, { key: ['id'] });

const whole = table('people', { id: int4(), secret: varchar(10).orNull(), name: varchar(100).orNull() }, { key: ['id'] });

async function opened(first = people): Promise<{
  database: MariaDbDatabase;
  open: (declared?: typeof people) => Promise<ChangeSource>;
  source: ChangeSource;
  position: Position;
}> {
  await server.sql('drop database if exists _millrace');
  const database = await server.database();
  await database.sql(
    `create table people (id int primary key, secret varchar(10) default 's', name varchar(100))`,
    `create table other (id int primary key, secret varchar(10) default 's', name varchar(100))`,
  );
  const capture = (declared = people) => mariadb({ url: database.url }).capture({ people: declared });
  const { source, position } = await begin(capture(first), testContext());
  return { database, source, position, open: (declared) => capture(declared).open(testContext(), stream) };
}

const all = async (source: ChangeSource, after: Position) => brief((await readToEnd(source, after)).flatMap(({ changes }) => changes));

test('added, renamed, retyped and dropped columns come between the rows they belong between, and again when the stream is read again', async () => {
  const { database, source, position, open } = await opened();
  const steps = [
    `insert into people (id, name) values (1, 'a')`,
    `alter table people add city varchar(30) default 'Bern' first`,
    `insert into people (id, name) values (2, 'b')`,
    'alter table people rename column name to full_name',
    `insert into people (id, full_name, city) values (3, 'c', null)`,
    'alter table people modify id bigint',
    `insert into people (id, full_name) values (4, 'd')`,
    'alter table people drop full_name, drop secret',
    'insert into people (id) values (5)',
    'alter table people add n int not null, add since datetime default current_timestamp',
    `insert into people (id, n, since) values (6, 7, '2024-02-29 12:00:00')`,
  ];
  const expected = [
    { op: 'insert', table: 'people', row: { id: 1, name: 'a' } },
    {
      op: 'schema',
      table: 'people',
      changes: [{ change: 'add', column: { name: 'city', type: { kind: 'varchar', length: 30 }, nullable: true }, fill: 'Bern' }],
    },
    { op: 'insert', table: 'people', row: { id: 2, name: 'b', city: 'Bern' } },
    { op: 'schema', table: 'people', changes: [{ change: 'rename', from: 'name', to: 'full_name' }] },
    { op: 'insert', table: 'people', row: { id: 3, full_name: 'c', city: null } },
    {
      op: 'schema',
      table: 'people',
      changes: [
        {
          change: 'retype',
          name: 'id',
          from: { name: 'id', type: { kind: 'int4' }, nullable: false },
          to: { name: 'id', type: { kind: 'int8' }, nullable: false },
        },
      ],
    },
    { op: 'insert', table: 'people', row: { id: 4n, full_name: 'd', city: 'Bern' } },
    { op: 'schema', table: 'people', changes: [{ change: 'drop', name: 'full_name' }] },
    { op: 'insert', table: 'people', row: { id: 5n, city: 'Bern' } },
    {
      op: 'schema',
      table: 'people',
      changes: [
        { change: 'add', column: { name: 'n', type: { kind: 'int4' }, nullable: false }, fill: '0' },
        { change: 'add', column: { name: 'since', type: { kind: 'timestamp', precision: 0 }, nullable: true }, fill: null, computed: true },
      ],
    },
    { op: 'insert', table: 'people', row: { id: 6n, city: 'Bern', n: 7, since: '2024-02-29T12:00:00.000000' } },
  ];
  for (const step of steps) await database.sql(step);
  const groups = await readToEnd(source, position);
  expect(brief(groups.flatMap(({ changes }) => changes))).toEqual(expected);
  await source[Symbol.asyncDispose]();
  // From anywhere: the columns that were known there, and the changes of columns that come after it.
  for (const { position: from } of groups.slice(0, -1)) {
    await using again = await open();
    const rest = await all(again, from);
    const last = (list: readonly unknown[]) => list.filter((change) => (change as { op: string }).op === 'insert');
    expect(last(rest)).toEqual(last(expected).slice(last(expected).length - last(rest).length));
  }
});

test('a truncate stands between the rows before and after it', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql(`insert into people (id) values (1)`, 'truncate table people', 'insert into people (id) values (2)');
  expect(await all(source, position)).toEqual([
    { op: 'insert', table: 'people', row: { id: 1, name: null } },
    { op: 'truncate', tables: ['people'] },
    { op: 'insert', table: 'people', row: { id: 2, name: null } },
  ]);
});

test.each([
  ['drop table people', 'people was dropped'],
  ['rename table people to folk', 'people was renamed to'],
  ['alter table people rename to folk', 'people was renamed to'],
  ['alter table people partition by hash (id) partitions 2; alter table people truncate partition p0', 'TRUNCATE PARTITION'],
  [
    'alter table other partition by hash (id) partitions 2; alter table other exchange partition p1 with table people',
    'EXCHANGE PARTITION',
  ],
  [
    'alter table people add boss int; alter table people add constraint boss foreign key (boss) references other (id) on delete cascade',
    'ON DELETE CASCADE',
  ],
  ['alter table people engine = MyISAM', 'kept by MyISAM'],
  ['alter table people change name secret varchar(100), change secret name varchar(10)', "taken one another's names"],
])('%s ends the stream, after what came before it', async (statements, message) => {
  const { database, source, position } = await opened(statements.includes('change secret') ? whole : people);
  await using _source = source;
  let rows = 0;
  const reading = (async () => {
    for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000) }))
      for await (const part of group.parts) rows += part.kind === 'changes' ? part.kinds.length : 0;
  })();
  const ended = expect(reading).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining(message) });
  await database.sql('insert into people (id) values (1)');
  await expect.poll(() => rows, { timeout: 15_000 }).toBe(1);
  await database.sql(...statements.split('; '));
  await ended;
  expect(rows).toBe(1);
});

test.runIf(isMariaDb)('CREATE OR REPLACE of a captured table ends the stream', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql('create or replace table people (id int primary key, name varchar(100))');
  await expect(readToEnd(source, position)).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('people was replaced by CREATE OR REPLACE'),
  });
});

test('names that go from one column to the next in one ALTER TABLE are told in an order in which each is free', async () => {
  const { database, source, position } = await opened(whole);
  await using _source = source;
  await database.sql(
    `insert into people values (1, 's', 'n')`,
    'alter table people change secret name varchar(10), change name full_name varchar(100)',
    `insert into people values (2, 'is name', 'is full_name')`,
  );
  expect(await all(source, position)).toEqual([
    { op: 'insert', table: 'people', row: { id: 1, secret: 's', name: 'n' } },
    {
      op: 'schema',
      table: 'people',
      changes: [
        { change: 'rename', from: 'name', to: 'full_name' },
        { change: 'rename', from: 'secret', to: 'name' },
      ],
    },
    { op: 'insert', table: 'people', row: { id: 2, name: 'is name', full_name: 'is full_name' } },
  ]);
});

test('a column that is dropped and comes anew in one ALTER TABLE is another one', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql(
    `insert into people (id, name) values (1, 'n')`,
    `alter table people add name varchar(20) default 'new', drop name`,
    'insert into people (id) values (2)',
  );
  expect(await all(source, position)).toEqual([
    { op: 'insert', table: 'people', row: { id: 1, name: 'n' } },
    { op: 'schema', table: 'people', changes: [{ change: 'drop', name: 'name' }] },
    {
      op: 'schema',
      table: 'people',
      changes: [{ change: 'add', column: { name: 'name', type: { kind: 'varchar', length: 20 }, nullable: true }, fill: 'new' }],
    },
    { op: 'insert', table: 'people', row: { id: 2, name: 'new' } },
  ]);
});

test('columns that were altered behind the back of the log are found where that is possible', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql(
    'set sql_log_bin = 0',
    'alter table people add extra int',
    'set sql_log_bin = 1',
    'insert into people (id, extra) values (1, 2)',
  );
  expect(await all(source, position)).toEqual([
    {
      op: 'schema',
      table: 'people',
      changes: [{ change: 'add', column: { name: 'extra', type: { kind: 'int4' }, nullable: true }, fill: null, computed: true }],
    },
    { op: 'insert', table: 'people', row: { id: 1, name: null, extra: 2 } },
  ]);
});
