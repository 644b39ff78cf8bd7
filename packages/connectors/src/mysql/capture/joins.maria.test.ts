import { int4, table, varchar } from '@millrace/core';
import type { ChangeSource, Position } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, type Seen, seeGroup, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

const people = table('people', { id: int4(), name: varchar(100).orNull() }, { key: ['id'] });
const renamed = table('people', { id: int4(), full_name: varchar(100).orNull() }, { key: ['id'] });
const withCity = table('people', { id: int4(), name: varchar(100).orNull(), city: varchar(30).orNull() }, { key: ['id'] });

let server: MariaDbServer;
let database: MariaDbDatabase;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());
beforeEach(async () => {
  await server.sql('drop database if exists _millrace');
  database = await server.database();
  await database.sql('create table people (id int primary key, name varchar(100))');
});

const captured = (declared: typeof people | typeof renamed | typeof withCity) =>
  mariadb({ url: database.url }).capture({ people: declared });

/** Another look at the table, whose copy is made or (by whoever leaves it at that) never comes to its end. */
async function lookAgain(source: ChangeSource): Promise<Position> {
  await using snapshot = await source.snapshot(['people']);
  return snapshot.position;
}

/** As a stage reads, which knows where the copies at its sinks are. */
async function readFrom(source: ChangeSource, after: Position, copy: Position): Promise<unknown[]> {
  const until = (await source.stream())?.end as Position;
  const seen: Seen[] = [];
  const copied = new Map([['people', copy]]);
  for await (const group of source.read(after, { signal: AbortSignal.timeout(15_000), until, copied }))
    seen.push(...(await seeGroup(group)).changes);
  return brief(seen);
}

const lossy = ['alter table people partition by hash (id) partitions 2', 'alter table people truncate partition p0'];

test('a copy that was begun and never ended hides nothing of what came before it', async () => {
  const { source, position } = await begin(captured(people), testContext());
  await using _source = source;
  await database.sql(`insert into people values (1, 'a')`, ...lossy);
  await lookAgain(source);
  await expect(readFrom(source, position, position)).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('TRUNCATE PARTITION'),
  });
});

test('what came before a copy that is there is nobody’s: rows, columns and what became of the table', async () => {
  const { source, position } = await begin(captured(people), testContext());
  await source[Symbol.asyncDispose]();
  await database.sql(
    `insert into people values (1, 'a')`,
    ...lossy,
    'alter table people rename column name to full_name',
    `insert into people values (2, 'b')`,
    'drop table people',
    'create table people (id int primary key, full_name varchar(100))',
    'truncate table people',
  );
  await using again = await captured(renamed).open(testContext(), stream, 1);
  const copy = await lookAgain(again);
  await database.sql(`insert into people values (3, 'c')`);
  expect(await readFrom(again, position, copy)).toEqual([{ op: 'insert', table: 'people', row: { id: 3, full_name: 'c' } }]);
});

test('columns are those of the copy from its place on, in whatever order they came before', async () => {
  const { source, position } = await begin(captured(people), testContext());
  await source[Symbol.asyncDispose]();
  await database.sql('alter table people add c int', 'alter table people drop c', `alter table people add city varchar(30) default 'Bern'`);
  await using again = await captured(withCity).open(testContext(), stream, 1);
  const copy = await lookAgain(again);
  await database.sql(
    `insert into people (id) values (1)`,
    'alter table people rename column city to town',
    `insert into people (id) values (2)`,
  );
  expect(await readFrom(again, position, copy)).toEqual([
    { op: 'insert', table: 'people', row: { id: 1, name: null, city: 'Bern' } },
    { op: 'schema', table: 'people', changes: [{ change: 'rename', from: 'city', to: 'town' }] },
    { op: 'insert', table: 'people', row: { id: 2, name: null, town: 'Bern' } },
  ]);
});

test('columns that came since, and that targets have by now, must be declared before the table is copied anew', async () => {
  const { source } = await begin(captured(people), testContext());
  await using _source = source;
  await database.sql('alter table people add city varchar(30)');
  await expect(source.snapshot(['people'])).rejects.toMatchObject({ code: 'SCHEMA_CHANGED', message: expect.stringContaining('"city"') });
  await using declared = await captured(withCity).open(testContext(), stream, 1);
  await lookAgain(declared);
});

test('a column that was not copied, since nobody had declared it then, asks for a new copy', async () => {
  await database.sql('alter table people add city varchar(30)');
  const { source, position } = await begin(captured(people), testContext());
  await source[Symbol.asyncDispose]();
  await using again = await captured(withCity).open(testContext(), stream, 1);
  await expect(readFrom(again, position, position)).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('"city" of people was there when the table was copied'),
  });
});

test('a table of which the source has forgotten that it joined is not taken for what it is now', async () => {
  const { source, position } = await begin(captured(people), testContext());
  await using _source = source;
  await server.sql('delete from _millrace.capture_event');
  await expect(readFrom(source, position, position)).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('does not remember that people has joined'),
  });
});
