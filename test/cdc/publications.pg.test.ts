import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { following, type Given } from './following.ts';
import { inSession } from './in-session.ts';
import { contents, declared } from './live-mirror.ts';

/*
 * 001_rep_changes, 004_sync, 010_truncate, 024_add_drop_pub, 025_rep_changes_for_schema, 031_column_list, 100_bugs: what is published, and that nothing is
 * lost without a word where somebody changes it.
 */
let server: LogicalServer;
beforeAll(async () => {
  server = await logicalServer({ settings: { synchronous_commit: 'on' } });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});
const follow = (given: Given, body: Parameters<typeof following>[2]): Promise<void> => following(server, given, body);

test('001_rep_changes, 010_truncate: a publication that leaves out deletes or truncates, and tables whose rows cannot be named, are told before the start', async () => {
  await follow(
    {
      before: `create table some_kinds (a int primary key); create table nothing (a int primary key); alter table nothing replica identity nothing; create table no_key (a int);
        create publication inserts for all tables with (publish = 'insert, update', publish_via_partition_root)`,
      capture: { publication: 'inserts' },
    },
    async ({ mirror }) => {
      const problem = (await mirror.failure()) as Error;
      expect(problem).toMatchObject({ code: 'CAPTURE_IMPOSSIBLE' });
      for (const told of ['leaves out delete, truncate', 'public.nothing has no replica identity', 'public.no_key has no replica identity'])
        expect(problem.message).toContain(told);
    },
  );
});

test('001_rep_changes, 025_rep_changes_for_schema: a table that was out of the publication for a while has to be copied again', async () => {
  await follow(
    {
      before: `create table left_out (a int primary key); insert into left_out select generate_series(1, 3); create table stays (a int primary key);
        create publication tap for table left_out, stays, mirror_marker with (publish_via_partition_root)`,
      capture: { publication: 'tap' },
    },
    async ({ does, equal, source, mirror, target }) => {
      await does('insert into left_out values (4)');
      await equal('left_out');
      await source.sql('alter publication tap drop table left_out');
      await source.sql('insert into left_out values (8888)');
      await source.sql('alter publication tap add table left_out');
      await source.sql('insert into left_out values (5); insert into stays values (1)');
      const told = { code: 'RESYNC_REQUIRED', message: expect.stringContaining('left_out'), facts: { table: 'left_out' } };
      expect(await mirror.failure()).toMatchObject(told);
      await mirror.start();
      expect(await mirror.failure()).toMatchObject(told);
      expect(await contents(target, 'left_out')).toEqual(['(1)', '(2)', '(3)', '(4)']);
    },
  );
});

test('025_rep_changes_for_schema, 100_bugs: a table or a schema that is not there under its name any more is told, and nothing of another one is taken for it', async () => {
  await follow(
    {
      before: `create schema sch1; create table sch1.t1 (c1 int primary key); create table sch1.t2 (c1 int primary key); insert into sch1.t1 values (0)`,
    },
    async ({ does, mirror, source, target }) => {
      await does('insert into sch1.t2 values (1)');
      await source.sql(`begin; insert into sch1.t1 values (1); alter schema sch1 rename to sch2; create schema sch1; create table sch1.t1 (c1 int primary key);
        insert into sch1.t1 values (2); insert into sch2.t1 values (3); commit`);
      expect(await mirror.failure()).toMatchObject({ code: 'TABLE_MISSING', message: expect.stringContaining('sch1.') });
      expect(await contents(target, 'sch1.t1')).toEqual(['(0)']);
    },
  );
});

test('004_sync: a table that was dropped and made anew has to be copied again', async () => {
  await follow(
    { before: 'create table remade (a int primary key); insert into remade values (1)' },
    async ({ does, equal, source, mirror }) => {
      await does('insert into remade values (2)');
      await equal('remade');
      await source.sql('begin; drop table remade; create table remade (a int primary key); insert into remade values (10); commit');
      await mirror.stop();
      await mirror.start();
      expect(await mirror.failure()).toMatchObject({ code: 'RESYNC_REQUIRED', facts: { table: 'remade' } });
    },
  );
});

test('100_bugs, 025_rep_changes_for_schema: a publication of all tables, with such in it that have no identity and no log', async () => {
  await follow(
    {
      before: `create table followed (a int primary key); create unlogged table unlogged_one as select 1 as a; create publication everything for all tables with (publish_via_partition_root)`,
      capture: { publication: 'everything' },
      tables: async (source) => {
        const { unlogged_one: _, ...tables } = await declared(source);
        return tables;
      },
    },
    async ({ does, equal }) => {
      await does(
        'create temporary table passing as select 1 as a; update passing set a = 2; drop table passing',
        'update unlogged_one set a = 2',
        'create table unknown_yet (a int); insert into unknown_yet values (1); insert into followed values (1)',
      );
      await equal('followed');
    },
  );
});

test('024_add_drop_pub: a table that leaves the pipeline keeps its rows, and is copied anew when it comes back', async () => {
  await follow(
    {
      before:
        'create table leaves (a int primary key); insert into leaves select generate_series(1, 10); create table remains (a int primary key)',
    },
    async ({ does, equal, source, target, mirror }) => {
      await does('insert into remains values (1)');
      const { leaves: _, ...fewer } = await declared(source);
      await mirror.stop();
      await mirror.start(fewer);
      await does('insert into leaves select generate_series(11, 20); delete from leaves where a = 1', 'insert into remains values (2)');
      expect(await contents(target, 'leaves')).toHaveLength(10);
      await equal('remains');
      await mirror.stop();
      await mirror.start(await declared(source));
      await does('insert into leaves values (21)');
      await equal('leaves', 'remains');
    },
  );
});

for (const version of [14, 18] as const)
  test(`100_bugs: what an open transaction did to a table before the table joined comes with it (version ${version})`, async () => {
    await using own = version === 18 ? undefined : await logicalServer({ version });
    await following(own ?? server, { before: 'create table first (a int primary key)' }, async ({ does, equal, source, mirror }) => {
      await does('insert into first values (1)');
      await mirror.stop();
      await source.sql('create table second (a int primary key, b text); insert into second values (1, null)');
      const open = inSession(source.url);
      await open('begin', "insert into second values (2, 'before')", 'update second set b = $$open$$ where a = 1');
      await mirror.start(await declared(source));
      await new Promise((resolve) => setTimeout(resolve, 500));
      await open("insert into second values (3, 'after')", 'commit');
      await open.end();
      await does("insert into second values (4, 'later'); insert into first values (2)");
      await equal('first', 'second');
    });
  });
