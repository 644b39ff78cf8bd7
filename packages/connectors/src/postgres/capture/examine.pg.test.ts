import { int4, table, text } from '@millrace/core';
import type { Finding } from '@millrace/core/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { begin, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const people = table('people', { id: int4(), name: text().orNull() }, { key: ['id'] });
const worst = (findings: readonly Finding[], level: Finding['level'] = 'problem') =>
  findings.filter((finding) => finding.level === level).map(({ message, remedy }) => `${message} → ${remedy}`);

describe.for([14, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  beforeAll(async () => {
    server = await logicalServer({ version, settings: { max_slot_wal_keep_size: '1GB' } });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });
  const withTable = async (...statements: string[]): Promise<TestDatabase> => {
    const database = await server.database();
    await database.sql('create table people (id int4 primary key, name text)');
    for (const statement of statements) await database.sql(statement);
    return database;
  };
  const examined = (database: TestDatabase, options = {}, url = database.url) =>
    postgres({ url }).capture({ people }, options).examine(testContext(), stream);

  test('a source that is well has no problem, before its stream is made and afterwards', async () => {
    await using database = await withTable();
    const before = await examined(database);
    expect(worst(before)).toEqual([]);
    expect(worst(before, 'warning')).toEqual([]);
    expect(before.map(({ message }) => message)).toEqual(
      expect.arrayContaining(['wal_level is logical', 'public.people can be followed', 'there is one server behind the address']),
    );
    expect(await database.sql('select from pg_publication')).toHaveLength(0);
    const { source } = await begin(postgres({ url: database.url }).capture({ people }), testContext());
    await source[Symbol.asyncDispose]();
    const after = await examined(database);
    expect(worst(after)).toEqual([]);
    expect(after.map(({ message }) => message)).toContain('changes of columns are announced by an event trigger');
  });

  test('tables whose changes would come under the name of another one are told', async () => {
    await using database = await withTable(
      'create table parts (id int4 primary key, name text) partition by range (id); create table part_1 partition of parts default',
      'create table heirs (age int) inherits (people)',
    );
    const named = (name: string) => table(name, { id: int4(), name: text().orNull() }, { key: ['id'] });
    const tables = { people, again: named('public.people'), parts: named('parts'), part: named('part_1') };
    expect(worst(await postgres({ url: database.url }).capture(tables).examine(testContext(), stream))).toEqual([
      expect.stringMatching(/^"people" and "again" are the same table, public\.people/),
      expect.stringMatching(/^heirs inherits from people: .*NO INHERIT people;$/),
      expect.stringMatching(/^part_1 is a partition of parts, which is captured too/),
    ]);
  });

  test.for([
    ['alter table people replica identity nothing', /no replica identity.*REPLICA IDENTITY DEFAULT/],
    ['alter table people drop constraint people_pkey', /no replica identity.*Give it a primary key/],
    [
      'create unique index on people (name); alter table people alter name set not null; alter table people replica identity using index people_name_idx',
      /says name and not id/,
    ],
    ['alter table people set unlogged', /unlogged.*SET LOGGED/],
    ['alter table people rename name to full_name', /no column "name"/],
    [
      'alter table people drop name; alter table people add name text generated always as (id::text) stored',
      /generated columns of public.people \(name\)/,
    ],
  ] as const)('%s is told', async ([statement, told]) => {
    await using database = await withTable(statement);
    const problems = worst(await examined(database));
    if (statement.includes('generated') && version >= 18) expect(problems).toEqual([]);
    else expect(problems).toEqual([expect.stringMatching(told)]);
  });

  test('a publication that somebody else keeps is checked', async () => {
    await using database = await withTable('create publication theirs for table people with (publish = $$insert$$)');
    expect(worst(await examined(database, { publication: 'none' }))).toEqual([
      expect.stringContaining('CREATE PUBLICATION "none" FOR TABLE "public"."people"'),
    ]);
    expect(worst(await examined(database, { publication: 'theirs' }))).toEqual([
      expect.stringContaining('leaves out update, delete, truncate'),
    ]);
    await database.sql('drop publication theirs');
    await database.sql('create publication theirs');
    expect(worst(await examined(database, { publication: 'theirs' }))).toEqual([expect.stringContaining('ADD TABLE "public"."people"')]);
    if (version < 15) return;
    await database.sql('drop publication theirs');
    await database.sql('create publication theirs for table people (id) where (id > 1)');
    expect(worst(await examined(database, { publication: 'theirs' }))).toEqual([
      expect.stringContaining('leaves out rows'),
      expect.stringContaining('leaves out columns of public.people: name'),
    ]);
  });

  test('missing privileges are told with the statement that grants them', async () => {
    await using database = await withTable();
    const role = `reader_${version}`;
    await database.sql(`create role ${role} login password 'secret'`);
    try {
      const url = database.url.replace('postgres:millrace', `${role}:secret`);
      const problems = worst(await examined(database, {}, url));
      expect(problems).toEqual([
        expect.stringContaining(`ALTER ROLE "${role}" REPLICATION;`),
        expect.stringContaining('As the owner of the tables: CREATE PUBLICATION'),
        expect.stringContaining(`GRANT SELECT ON "public"."people" TO "${role}";`),
      ]);
      expect(worst(await examined(database, {}, url), 'warning')).toEqual([expect.stringContaining('event trigger')]);
    } finally {
      await database.sql(`drop role ${role}`);
    }
  });

  test('a user without privileges beyond reading follows a publication of somebody else; later columns wait for their declaration', async () => {
    await using database = await withTable('create publication theirs for table people');
    const role = `follower_${version}`;
    await database.sql(`create role ${role} login replication password 'secret'; grant select on people to ${role}`);
    try {
      const url = database.url.replace('postgres:millrace', `${role}:secret`);
      const captured = postgres({ url }).capture({ people }, { publication: 'theirs' });
      const { changesOf, brief } = await import('../../../test/changes.ts');
      const { changes } = await changesOf(captured, testContext(), async () => {
        await database.sql(`insert into people values (1, 'a'); alter table people add more text; insert into people values (2, 'b', 'c')`);
      });
      expect(brief(changes)).toEqual([
        { op: 'insert', table: 'people', row: { id: 1, name: 'a' } },
        { op: 'insert', table: 'people', row: { id: 2, name: 'b' } },
      ]);
      await database.sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()');
    } finally {
      await database.sql(`drop owned by ${role}; drop role ${role}`);
    }
  });
});

test('a server without logical WAL, and one without room, say what to set', async () => {
  await using server = await logicalServer({
    version: 16,
    settings: { wal_level: 'replica', max_replication_slots: 0, wal_sender_timeout: 0 },
  });
  await using database = await server.database();
  await database.sql('create table people (id int4 primary key, name text)');
  const findings = await postgres({ url: database.url }).capture({ people }).examine(testContext(), stream);
  expect(worst(findings)).toEqual([
    expect.stringContaining('rds.logical_replication'),
    expect.stringContaining('raise max_replication_slots'),
  ]);
  expect(worst(findings, 'warning')).toEqual([
    expect.stringContaining('wal_sender_timeout is off'),
    expect.stringContaining('max_slot_wal_keep_size is not set'),
  ]);
});
