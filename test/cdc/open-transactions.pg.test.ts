import { expect } from 'vitest';
import { inSession } from './in-session.ts';
import { scenarios } from './scenario.ts';

/*
 * 015_stream, 016_stream_subxact, 017_stream_ddl, 018_stream_subxact_abort, 019_stream_subxact_ddl_abort, 021_twophase, 022_twophase_cascade,
 * 023_twophase_stream, 014_binary: transactions that are taken while they are open, with parts that are rolled back, and prepared ones.
 */
const work = (table: string, from: number, to: number): string =>
  `insert into ${table} select g, md5(g::text) from generate_series(${from}, ${to}) g`;

const usual = [
  [14, true],
  [18, true],
] as const;
const more = [
  [14, false],
  [16, true],
  [18, false],
] as const;

for (const [version, streaming] of process.env['MILLRACE_CDC'] === 'all' ? [...usual, ...more] : usual) {
  scenarios(
    `open transactions (version ${version}, ${streaming ? 'streamed' : 'after their commit'})`,
    { version, settings: { logical_decoding_work_mem: '64kB' }, capture: { streaming } },
    [
      {
        from: '015_stream',
        name: 'large ones side by side, with small ones in between, and long values that stay as they were',
        source: `create table s1 (a int primary key, b text); ${work('s1', 1, 2)}; create table s2 (a int primary key, b text); alter table s2 alter b set storage external`,
        async run({ does, equal, source, finds }) {
          const one = inSession(source.url);
          const other = inSession(source.url);
          await one('begin', work('s1', 3, 4000), 'update s1 set b = md5(b) where a % 2 = 0');
          await other('begin', work('s2', 1, 3000), 'update s2 set b = repeat(b, 100) where a % 300 = 0');
          await does("update s1 set b = 'small' where a = 1");
          await finds('select count(*) from s1', ['2']);
          await one('delete from s1 where a % 3 = 0');
          await other('update s2 set a = a + 10000', 'commit');
          await does('insert into s1 values (100001, null)');
          await finds('select (select count(*) from s1), (select count(*) from s2)', ['3|3000']);
          await one('commit');
          await does();
          await equal('s1', 's2');
          await Promise.all([one.end(), other.end()]);
        },
      },
      {
        from: '016_stream_subxact',
        name: 'savepoints that are kept, in several layers',
        source: 'create table sub1 (a int primary key, b text)',
        async run({ does, equal }) {
          await does(
            `begin; ${work('sub1', 1, 1500)}; savepoint a; ${work('sub1', 1501, 3000)}; savepoint b; update sub1 set b = 'b' where a % 5 = 0; release b; savepoint c; delete from sub1 where a % 7 = 0; release a; commit`,
          );
          await equal('sub1');
        },
      },
      {
        from: '018_stream_subxact_abort',
        name: 'savepoints that are rolled back, whole transactions that are, and the same rows again after them',
        source: 'create table sub2 (a int primary key, b text)',
        async run({ does, equal, finds }) {
          await does(
            `begin; ${work('sub2', 1, 1000)}; savepoint a; ${work('sub2', 1001, 3000)}; update sub2 set b = 'never'; rollback to a; ${work('sub2', 1001, 1100)};
             savepoint b; delete from sub2; savepoint c; ${work('sub2', 1, 2000)}; rollback to b; update sub2 set b = 'kept' where a = 5; commit`,
            `begin; ${work('sub2', 5000, 8000)}; rollback`,
            `begin; savepoint a; ${work('sub2', 5000, 8000)}; rollback to a; insert into sub2 values (9999, 'after'); commit`,
          );
          await finds("select count(*), max(a), count(*) filter (where b = 'kept') from sub2", ['1101|9999|1']);
          await equal('sub2');
        },
      },
      {
        from: '017_stream_ddl, 019_stream_subxact_ddl_abort',
        name: 'columns that come within a large transaction, and such that were rolled back',
        source: `create table ddl1 (a int primary key, b text); ${work('ddl1', 1, 10)}`,
        async run({ does, equal }) {
          await does(
            `begin; ${work('ddl1', 11, 1500)}; alter table ddl1 add c int; update ddl1 set c = -a where a > 1000; savepoint s; alter table ddl1 add d text default 'd';
             insert into ddl1 select g, null, g, 'x' from generate_series(1501, 3000) g; rollback to s; insert into ddl1 select g, null, g from generate_series(3001, 4000) g; commit`,
            `insert into ddl1 values (5000, 'after', 1)`,
          );
          await equal('ddl1');
          await does(`begin; alter table ddl1 rename c to cc; ${work('ddl1', 6000, 8000)}; update ddl1 set cc = 0 where a < 100; commit`);
          await equal('ddl1');
        },
      },
      {
        from: '021_twophase, 022_twophase_cascade, 023_twophase_stream',
        name: 'prepared transactions are seen when they are committed, and never when they are rolled back',
        source: 'create table two (a int primary key, b text)',
        async run({ does, equal, finds, source, mirror }) {
          await does(`begin; ${work('two', 1, 10)}; prepare transaction 'small'`);
          await does(
            `begin; ${work('two', 11, 3000)}; savepoint s; ${work('two', 4000, 6000)}; rollback to s; prepare transaction 'large'`,
          );
          await does(`begin; ${work('two', 7000, 7100)}; prepare transaction 'never'`, "rollback prepared 'never'");
          await finds('select count(*) from two', ['0']);
          await mirror.stop();
          await source.sql("commit prepared 'large'");
          await mirror.start();
          await does();
          await finds('select count(*), min(a) from two', ['2990|11']);
          await does("commit prepared 'small'", "insert into two values (9999, 'after')");
          await equal('two');
          await does(
            `begin; ${work('two', 20000, 20010)}; savepoint part; ${work('two', 30000, 30010)}; rollback to part; prepare transaction 'nested'`,
            "insert into two values (99999, 'between')",
            `begin; delete from two where a < 100; prepare transaction ''`,
            "rollback prepared ''",
          );
          await does("commit prepared 'nested'");
          await finds('select count(*), max(a) from two where a >= 20000', ['12|99999']);
          await equal('two');
        },
      },
      {
        from: '014_binary',
        name: 'values are the same whether they come in binary or as text, also where the type at the target is wider',
        source: `create table binary1 (a int primary key, b numeric, c timestamptz, d text[], e bytea); insert into binary1 values (1, 1.50, '2024-01-01', '{a,null}', '\\x01')`,
        target: 'create table binary1 (a bigint primary key, b numeric, c timestamptz, d text[], e bytea)',
        async run({ does, equal }) {
          await does(
            "insert into binary1 values (2, 'NaN', 'infinity', '{}', ''), (3, -0.000001, null, null, null)",
            'update binary1 set b = b * 2, e = null',
            'delete from binary1 where a = 2',
          );
          await equal('binary1');
        },
      },
      {
        from: '015_stream',
        name: 'a stream that is stopped while a large transaction is open has all of it later, once',
        source: 'create table open1 (a int primary key, b text)',
        async run({ does, equal, source, mirror, finds }) {
          const one = inSession(source.url);
          await one('begin', work('open1', 1, 3000));
          await does('insert into open1 values (100000, null)');
          await mirror.stop();
          await one(work('open1', 3001, 4000));
          await mirror.start();
          await does('insert into open1 values (100001, null)');
          await one('update open1 set b = null where a <= 2000', 'commit');
          await one.end();
          await does();
          await finds('select count(*), count(b) from open1', ['4002|2000']);
          await equal('open1');
          expect(await source.sql('select count(*)::int from pg_prepared_xacts')).toEqual([{ count: 0 }]);
        },
      },
    ],
  );
}
