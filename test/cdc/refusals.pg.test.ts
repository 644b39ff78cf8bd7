import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../database.ts';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { following, type Given } from './following.ts';
import { contents, declared } from './live-mirror.ts';

/* 027_nosuperuser, 029_on_error, 033_run_as_table_owner, 035_conflicts, 100_bugs: what a target refuses, and what cannot be followed, is told; nothing is lost meanwhile. */
let server: LogicalServer;
beforeAll(async () => {
  server = await logicalServer({ settings: { synchronous_commit: 'on', logical_decoding_work_mem: '64kB' } });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});
const follow = (given: Given, body: Parameters<typeof following>[2]): Promise<void> => following(server, given, body);

test('035_conflicts: rows of the target that stand in the way of several unique keys at once stop the stream in front of the transaction', async () => {
  const table = 'create table conf (a int primary key, b int unique, c int unique)';
  await follow({ before: table, there: table }, async ({ does, source, target, mirror, equal }) => {
    await does('insert into conf values (1, 1, 1)');
    await target.sql('insert into conf values (2, 2, 2), (3, 3, 3), (4, 4, 4)');
    await source.sql('insert into conf values (2, 3, 4)');
    expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED', message: expect.stringContaining('public.conf') });
    await target.sql('delete from conf where a > 1');
    await mirror.start();
    await does('insert into conf values (5, 5, 5)');
    await equal('conf');
    await target.sql('insert into conf values (6, 6, 6), (7, 7, 7), (8, 8, 8)');
    await source.sql('update conf set a = 6, b = 7, c = 8 where a = 5');
    expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED', message: expect.stringContaining('public.conf') });
    expect(await contents(target, 'conf')).toContain('(5,5,5)');
    await target.sql('delete from conf where a in (6, 7, 8)');
    await mirror.start();
    await does();
    await equal('conf');
  });
});

test('001_rep_changes: an update that leaves a long value as it was, of a row that somebody took from the target, is not guessed', async () => {
  await follow(
    {
      before: `create table long_gone (a int primary key, b text, c int); alter table long_gone alter b set storage external; insert into long_gone values (1, repeat('x', 9000), 0), (2, '', 0)`,
    },
    async ({ does, source, target, mirror, equal }) => {
      await does('update long_gone set c = 1');
      await target.sql('delete from long_gone');
      await source.sql('update long_gone set c = 2');
      expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED', message: expect.stringContaining('a = 1') });
      expect(await contents(target, 'long_gone')).toEqual([]);
      await target.sql("insert into long_gone values (1, repeat('x', 9000), 0)");
      await mirror.start();
      await does();
      await equal('long_gone');
    },
  );
});

test.for([true, false])(
  '029_on_error: what is refused in large and in prepared transactions is set aside, and only that (streamed: %s)',
  async (streaming) => {
    await follow(
      {
        before: 'create table refused (i int primary key, t text)',
        there: "create table refused (i int primary key, t text check (t <> 'bad'))",
        capture: { streaming },
        apply: { poison: 'dead-letter' },
      },
      async ({ does, finds, target, source }) => {
        await does();
        await does(
          "begin; insert into refused values (1, 'bad'), (2, 'good'); prepare transaction 'gtx'",
          "commit prepared 'gtx'",
          'insert into refused values (3, null)',
        );
        await does(
          "begin; insert into refused select i, md5(i::text) from generate_series(4, 1500) i; update refused set t = 'bad' where i % 500 = 0; commit",
        );
        await finds('select count(*), count(*) filter (where i % 500 = 0 and t = md5(i::text)) from refused', ['1499|3']);
        expect(await target.sql('select count(*)::int from _millrace.dead_letter')).toEqual([{ count: 4 }]);
        expect(await source.sql('select count(*)::int from pg_prepared_xacts')).toEqual([{ count: 0 }]);
      },
    );
  },
);

test('027_nosuperuser, 033_run_as_table_owner: privileges that are taken away at the target stop the stream; given back, it goes on where it was', async () => {
  const target = await server.database();
  await target.sql(`create role at_target login password 'at_target'; grant create on database ${target.name} to at_target; grant all on schema public to at_target;
    create table owned (i int primary key, t text); create table mirror_marker (id int4 primary key, n int8 not null);
    grant all on owned, mirror_marker to at_target`);
  await follow(
    {
      target,
      before: "create table owned (i int primary key, t text); insert into owned values (0, 'copied')",
      urls: { target: as(target, 'at_target') },
    },
    async ({ does, source, mirror, equal }) => {
      await does('insert into owned values (1), (3), (5)', 'update owned set i = 7 where i = 1', 'delete from owned where i = 3');
      await equal('owned');
      for (const [privilege, statement] of [
        ['insert', 'insert into owned values (9)'],
        ['update', "update owned set t = 'x' where i = 5"],
        ['delete', 'delete from owned where i = 9'],
        ['select', 'update owned set i = 11 where i = 5'],
      ] as const) {
        await target.sql(`revoke ${privilege} on owned from at_target`);
        await source.sql(statement);
        expect(await mirror.failure(), privilege).toMatchObject({ code: expect.stringMatching(/ACCESS_DENIED|CHANGE_REFUSED/) });
        await target.sql(`grant ${privilege} on owned to at_target`);
        await mirror.start();
        await does();
        await equal('owned');
      }
      await target.sql('alter table owned enable row level security');
      await source.sql("update owned set t = 'hidden'");
      expect(await mirror.failure()).toMatchObject({ message: expect.stringContaining('row') });
      await target.sql('alter table owned disable row level security');
      await mirror.start();
      await does();
      await equal('owned');
    },
  );
});

test('100_bugs: an index that becomes the identity in place of another one is told, where the key is no longer in it', async () => {
  await follow(
    {
      before: `create table switched (a int not null, b int not null); create unique index switched_a on switched (a); create unique index switched_b on switched (b);
        alter table switched replica identity using index switched_a; insert into switched values (1, 1), (2, 2)`,
      tables: async (source) => {
        const all = await declared(source);
        return { ...all, switched: { ...all['switched']!, key: ['a'] } };
      },
    },
    async ({ does, source, target, mirror }) => {
      await does();
      await source.sql('alter table switched replica identity using index switched_b; delete from switched where a = 2');
      const told = { code: 'RESYNC_REQUIRED', message: expect.stringMatching(/public\.switched.*"a"/), facts: { table: 'switched' } };
      expect(await mirror.failure()).toMatchObject(told);
      await source.sql('alter table switched replica identity using index switched_a');
      await mirror.start();
      expect(await mirror.failure()).toMatchObject(told);
      expect(await contents(target, 'switched')).toEqual(['(1,1)', '(2,2)']);
    },
  );
});

test('100_bugs: and an update that may have moved the key is not taken for one that did not', async () => {
  await follow(
    {
      before: `create table changed_key (a int primary key, b int not null unique, c text); insert into changed_key values (1, 1, 'x'), (2, 2, 'y')`,
    },
    async ({ does, source, target, mirror }) => {
      await does("update changed_key set c = 'z' where a = 1");
      await source.sql('alter table changed_key replica identity using index changed_key_b_key; update changed_key set a = -a where a = 1');
      expect(await mirror.failure()).toMatchObject({ code: 'RESYNC_REQUIRED', facts: { table: 'changed_key' } });
      expect(await contents(target, 'changed_key')).toEqual(['(1,1,z)', '(2,2,y)']);
    },
  );
});

test.for(["update whole_rows set b = 'z' where a = 1", 'delete from whole_rows where a = 2'])(
  '100_bugs: rows that are told apart by all their columns are not looked for by their key alone (%s)',
  async (statement) => {
    await follow(
      {
        before: "create table whole_rows (a int primary key, b text); insert into whole_rows values (1, 'x'), (2, 'y')",
        tables: async (source) => {
          const { whole_rows, mirror_marker } = await declared(source);
          const { key: _, ...keyless } = whole_rows!;
          return { whole_rows: keyless, mirror_marker: mirror_marker! };
        },
      },
      async ({ does, source, target, mirror }) => {
        await does("insert into whole_rows values (3, 'z')");
        await source.sql(statement);
        expect(await mirror.failure()).toMatchObject({ code: 'CHANGE_REFUSED', facts: { table: 'public.whole_rows' } });
        expect(await contents(target, 'whole_rows')).toEqual(['(1,x)', '(2,y)', '(3,z)']);
      },
    );
  },
);

const as = (database: TestDatabase, user: string): string => database.url.replace(/postgres:millrace@/, `${user}:${user}@`);
