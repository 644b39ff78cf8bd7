import { table as declare, int4, int8, type RowOf, type Step, text } from '@millrace/core';
import { filter, select } from '@millrace/transforms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseOn, type TestDatabase } from '../database.ts';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { following, type Given } from './following.ts';
import { inSession } from './in-session.ts';
import { contents, declared, LiveMirror, prepare } from './live-mirror.ts';
import { type Place, placeOf } from './scenario.ts';

/*
 * Scenarios that need a stream of their own: 004_sync, 005_encoding, 017_stream_ddl, 025_rep_changes_for_schema, 027_nosuperuser, 028_row_filter,
 * 029_on_error, 030_origin, 031_column_list, 100_bugs. See scenario.ts for where they come from.
 */

let server: LogicalServer;
beforeAll(async () => {
  server = await logicalServer({ settings: { synchronous_commit: 'on' } });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const follow = (given: Given, body: (place: Place) => Promise<void>): Promise<void> => following(server, given, body);

test('004_sync: tables that join later are copied, with what happens meanwhile, and a copy that failed is begun again', async () => {
  await follow(
    { before: 'create table first (a int primary key); insert into first select generate_series(1, 10)' },
    async ({ source, target, mirror, does, equal }) => {
      await does('insert into first values (11)');
      await mirror.stop();
      await source.sql(`create table second (a int primary key, b text); insert into second select g, 'x' from generate_series(1, 5000) g;
        insert into first values (12)`);
      await target.sql("create table second (a int primary key, b text check (b <> 'bad'))");
      await source.sql("insert into second values (0, 'bad')");
      await mirror.start(await declared(source));
      expect(await mirror.failure()).toMatchObject({ code: expect.any(String), message: expect.stringContaining('second') });
      await source.sql("update second set b = 'good' where b = 'bad'");
      const writing = (async () => {
        for (let id = 6000; id < 6020; id++)
          await source.sql(`insert into second values (${id}, 'while'); update first set a = a + 1000 where a = 12`);
      })();
      await mirror.start();
      await writing;
      await does("update second set b = 'later' where a % 100 = 0", 'delete from second where a = 1');
      await equal('first', 'second');
    },
  );
});

test('005_encoding: text of a database in another encoding is the same text', async () => {
  const name = 'latin1';
  const admin = await server.database();
  await admin.sql(`create database ${name} encoding 'LATIN1' template template0 locale 'C'`);
  const url = server.url.replace(/\/postgres$/, `/${name}`);
  const source = await existing(url);
  await follow(
    { source, before: "create table encoded (a text primary key, b text); insert into encoded values (chr(228), 'copied ' || chr(252))" },
    async ({ does, target }) => {
      await does("insert into encoded values (chr(233) || 'x', 'é inserted')", 'update encoded set b = chr(255) where a = chr(228)');
      expect(await contents(target, 'encoded')).toEqual(['(ä,ÿ)', '("éx","é inserted")'].map((row) => row.replaceAll('"éx"', 'éx')));
    },
  );
  await admin[Symbol.asyncDispose]();
});

test('025_rep_changes_for_schema: a publication of a whole schema, kept by somebody else, will do', async () => {
  await follow(
    {
      before: `create schema sales; create table sales.orders (a int primary key); insert into sales.orders values (1);
        create publication everything for tables in schema sales, public with (publish_via_partition_root)`,
      capture: { publication: 'everything' },
    },
    async ({ does, equal }) => {
      await does('insert into sales.orders values (2); update sales.orders set a = 3 where a = 1');
      await equal('sales.orders');
    },
  );
});

test('027_nosuperuser: users that may only do what they need, at both ends', async () => {
  await using source = await server.database();
  await using target = await server.database();
  await prepare(source);
  await source.sql(`create table plain (a int primary key, b text); insert into plain values (1, 'one'); create table with_parent (a int primary key, p int references plain);
    create role reader login replication password 'reader'; alter table plain owner to reader; alter table with_parent owner to reader; alter table mirror_marker owner to reader;
    grant create on schema public to reader; grant create on database ${source.name} to reader`);
  await target.sql(
    `create role writer login password 'writer'; grant create on database ${target.name} to writer; grant all on schema public to writer`,
  );
  const as = (database: TestDatabase, user: string) => database.url.replace(/postgres:millrace@/, `${user}:${user}@`);
  await using mirror = new LiveMirror({ source, target, urls: { source: as(source, 'reader'), target: as(target, 'writer') } });
  await mirror.start();
  const { does, equal } = placeOf(source, target, mirror);
  await does(
    "begin; insert into plain values (2, 'two'); insert into with_parent values (1, 2); commit",
    "update plain set b = 'zwei' where a = 2",
    'begin; delete from with_parent; delete from plain where a = 2; commit',
    'insert into plain values (3, null); insert into with_parent values (2, 3)',
  );
  await equal('plain', 'with_parent');
  expect(await target.sql("select tableowner from pg_tables where tablename = 'plain'")).toEqual([{ tableowner: 'writer' }]);
});

test('028_row_filter, 031_column_list: rows come into a filter and leave it, keys and all; other columns never arrive', async () => {
  const people = declare(
    'public.people',
    { id: int4(), age: int4().orNull(), name: text().orNull(), secret: text().orNull() },
    { key: ['id'] },
  );
  await follow(
    {
      before: `create table people (id int primary key, age int, name text, secret text, more text default 'undeclared'); alter table people alter name set storage external;
        insert into people select g, g * 10, 'p' || g, 's' from generate_series(1, 9) g`,
      tables: { people, mirror_marker: declare('public.mirror_marker', { id: int4(), n: int8() }, { key: ['id'] }) },
      through: (changes) => {
        const rows = changes as unknown as Step<{ people: RowOf<typeof people> }, 'changes'>;
        const adults = filter(rows, { people: [['age', '>=', 18]] });
        return { adults, some: select(adults, { people: ['id', 'age', 'name'] }) };
      },
    },
    async ({ does, source, target }) => {
      const equal = async (): Promise<void> =>
        expect(await contents(target, 'people')).toEqual(
          await contents(source, '(select id, age, name from people where age >= 18) people', ['age', 'id', 'name']),
        );
      await does();
      await equal();
      await does(
        "insert into people values (20, 5, 'young'), (21, 50, 'old'), (22, null, 'unknown')",
        "update people set age = 60, name = 'grown' where id = 20",
        'update people set age = 1 where id = 5',
        "update people set secret = 'other'",
        'update people set id = id + 100 where age > 50',
        'update people set id = id + 100, age = 3 where id = 21',
        'delete from people where id in (1, 106)',
        'begin; update people set age = 2 where id = 7; delete from people where id = 7; insert into people values (7, 77); commit',
      );
      await equal();
      expect(
        await target.sql(
          "select string_agg(column_name, ',' order by column_name) as names from information_schema.columns where table_name = 'people'",
        ),
      ).toEqual([{ names: 'age,id,name' }]);
    },
  );
});

test('028_row_filter, 031_column_list: a publication that leaves out rows or columns is told before anything is copied', async () => {
  await follow(
    {
      before: `create table people (id int primary key, age int, name text); insert into people values (1, 1, 'x');
        create publication parts for table people (id, age) where (age > 5), mirror_marker`,
      capture: { publication: 'parts' },
    },
    async ({ mirror, target }) => {
      expect(await mirror.failure()).toMatchObject({
        code: 'CAPTURE_IMPOSSIBLE',
        message: expect.stringMatching(/leaves out rows of public\.people(.|\n)*leaves out columns of public\.people: name/),
      });
      expect(await target.sql('select count(*)::int from people').catch(() => [{ count: 0 }])).toEqual([{ count: 0 }]);
    },
  );
});

test('029_on_error: what a target refuses stops the stream in front of its transaction; mended, it goes on and nothing is missing', async () => {
  await follow(
    {
      before: 'create table unique_there (a int primary key, b text); create table other (a int primary key)',
      there: 'create table unique_there (a int primary key, b text unique); create table other (a int primary key)',
    },
    async ({ does, source, target, mirror, equal }) => {
      await does("insert into unique_there values (1, 'x'); insert into other values (1)");
      await source.sql(
        "begin; insert into other values (2); insert into unique_there values (2, 'x'); insert into other values (3); commit",
      );
      expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED' });
      expect(await contents(target, 'other')).toEqual(['(1)']);
      await source.sql('insert into other values (4)');
      await mirror.start();
      expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED' });
      await target.sql('alter table unique_there drop constraint unique_there_b_key');
      await mirror.start();
      await does("update unique_there set b = 'y' where a = 2");
      await equal('other', 'unique_there');
    },
  );
});

test('029_on_error: or sets aside what it refuses, and only that', async () => {
  await follow(
    {
      before: 'create table unique_there (a int primary key, b text); create table other (a int primary key)',
      there: 'create table unique_there (a int primary key, b text unique); create table other (a int primary key)',
      apply: { poison: 'dead-letter' },
    },
    async ({ does, target, equal }) => {
      await does("insert into unique_there values (1, 'x'); insert into other values (1)");
      await does(
        "begin; insert into other values (2); insert into unique_there values (2, 'x'), (3, 'z'); insert into other values (3); commit",
      );
      await equal('other');
      expect(await contents(target, 'unique_there')).toEqual(['(1,x)', '(3,z)']);
      expect(await target.sql('select count(*)::int from _millrace.dead_letter')).toEqual([{ count: 1 }]);
    },
  );
});

test('030_origin: what the source has itself from elsewhere is captured as well', async () => {
  await follow({ before: 'create table originated (a int primary key)' }, async ({ does, source, equal }) => {
    await source.sql("select pg_replication_origin_create('elsewhere')");
    const session = inSession(source.url);
    await session(
      "select pg_replication_origin_session_setup('elsewhere')",
      'begin',
      "select pg_replication_origin_xact_setup('0/ABCDEF', '2024-01-01')",
      'insert into originated values (1)',
      'commit',
    );
    await session.end();
    await does('insert into originated values (2)');
    await equal('originated');
    await source.sql("select pg_replication_origin_drop('elsewhere')");
  });
});

test('017_stream_ddl: a row right behind a change of its columns, in a savepoint of its own or not, is one of the new columns', async () => {
  const tables = Array.from({ length: 4 }, (_, at) => `quick_${at}`);
  await follow(
    {
      before: tables
        .map(
          (table) =>
            `create table ${table} (id int primary key, a int, b text); insert into ${table} values (1, 1, 'one'), (2, 2, 'two'); alter table ${table} replica identity full`,
        )
        .join(';'),
    },
    async ({ does, equal, source }) => {
      await does();
      for (const [at, table] of tables.entries()) {
        const change = `alter table ${table} rename b to bb; update ${table} set a = a + 10`;
        await source.sql(`begin; ${at % 2 === 0 ? change : `savepoint each; ${change}; release each`}; commit`);
        await source.sql(`alter table ${table} rename bb to c`);
      }
      await does();
      await equal(...tables);
    },
  );
});

test('013_partition: a partition that is followed without its root, and one in the middle of the tree, are tables of their own', async () => {
  await follow(
    {
      before: `create table half (a int primary key, b text) partition by list (a); create table half_1 partition of half for values in (0, 1, 2, 3, 5, 6);
        create table upper (a int primary key) partition by list (a); create table lower partition of upper for values in (-1, 0, 1) partition by list (a);
        create table lower_1 partition of lower for values in (-1, 0, 1); insert into half values (1, 'x'); insert into upper values (-1)`,
      tables: async (source) => {
        const { half, upper, mirror_marker } = await declared(source);
        return { half_1: { ...half!, name: 'public.half_1' }, lower: { ...upper!, name: 'public.lower' }, mirror_marker: mirror_marker! };
      },
    },
    async ({ does, finds }) => {
      await does("insert into half values (0, null), (3, 'y'), (5, 'z')", 'insert into upper values (0)', 'insert into lower values (1)');
      await finds('select a, b from half_1 order by a', ['0|', '1|x', '3|y', '5|z']);
      await finds('select a from lower order by a', ['-1', '0', '1']);
      await does('update half set a = 6 where a = 5', 'update half set a = 2 where a = 6');
      await does('delete from half where a < 2', 'delete from upper where a = 0');
      await finds('select a, b from half_1 order by a', ['2|z', '3|y']);
      await finds('select a from lower order by a', ['-1', '1']);
      await does('truncate half_1', 'truncate lower');
      await finds('select (select count(*) from half_1), (select count(*) from lower)', ['0|0']);
      await finds("select count(*) from pg_class where relname in ('half', 'upper', 'lower_1')", ['0']);
    },
  );
});

test('a mirror of a mirror: what came by the stream is captured at its target too', async () => {
  await follow(
    { before: 'create table handed (a int primary key, b text); insert into handed values (1, null)' },
    async ({ does, target, source }) => {
      await does("insert into handed values (2, 'two')");
      await using last = await server.database();
      const { handed, mirror_marker } = await declared(target);
      await using mirror = new LiveMirror({ source: target, target: last, tables: { handed: handed!, mirror_marker: mirror_marker! } });
      await mirror.start();
      await does("update handed set b = 'on' where a = 1", 'delete from handed where a = 2', "insert into handed values (3, 'three')");
      await expect.poll(() => contents(last, 'handed')).toEqual(await contents(source, 'handed'));
    },
  );
});

/** A database that somebody else has made. */
async function existing(url: string): Promise<TestDatabase> {
  const made = await databaseOn(url.replace(/\/[^/]+$/, '/postgres'));
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  return {
    ...made,
    url,
    sql: async (statement, params) => (await pool.query(statement, params)).rows as never[],
    async [Symbol.asyncDispose]() {
      await pool.query(
        'select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = current_database() and active',
      );
      await pool.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()');
      await pool.end();
      await made[Symbol.asyncDispose]();
    },
  };
}
