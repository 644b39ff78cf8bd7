import { expect } from 'vitest';
import { scenarios } from './scenario.ts';

/* 001_rep_changes, 002_types, 003_constraints, 006_rewrite, 008_diff_schema, 009_matviews, 010_truncate, 011_generated, 032_subscribe_use_index, 020_messages, 100_bugs */
scenarios(
  'tables',
  { without: ['aside', 'unseen', 'seen', 'plain'], keys: { other_identity: ['b'] }, capture: { schemaChanges: { drop: 'apply' } } },
  [
    {
      from: '001_rep_changes',
      name: 'first copies and every kind of change, also of keys; a table that is not captured stays out',
      source: `create table aside (a int primary key); insert into aside values (1);
      create table keyed (a int primary key); insert into keyed select generate_series(1, 30);
      create table copied as select a, repeat('x', a) as b from generate_series(1, 1002) a; alter table copied add primary key (a)`,
      async run({ does, equal, finds, target }) {
        await does(
          'insert into keyed select generate_series(101, 150)',
          'delete from keyed where a > 120',
          'update keyed set a = -a',
          'insert into aside values (2)',
          "update copied set b = 'y' where a % 100 = 0",
        );
        await finds('select count(*), min(a), max(a) from keyed', ['50|-120|-1']);
        await finds("select count(*), count(*) filter (where b = 'y') from copied", ['1002|10']);
        await equal('keyed', 'copied');
        expect(await target.sql("select 1 from pg_class where relname = 'aside'")).toEqual([]);
      },
    },
    {
      from: '001_rep_changes',
      name: 'rows that are equal in everything are told apart by their number, where there is no key',
      source: `create table twins (a int, b text); alter table twins replica identity full;
      insert into twins select g, null from generate_series(1, 10) g; insert into twins select * from twins`,
      async run({ does, equal, finds }) {
        await does(
          'update twins set a = a * a where a > 5',
          'delete from twins where ctid in (select ctid from twins where a = 1 limit 1)',
        );
        await finds('select count(*), sum(a) from twins', ['19|689']);
        await equal('twins');
        await does("update twins set b = 'n' where b is null", 'delete from twins where a = 2', 'update twins set b = null');
        await finds('select count(*), count(b) from twins', ['17|0']);
        await equal('twins');
      },
    },
    {
      from: '001_rep_changes',
      name: 'an index with further columns and another replica identity than the primary key name rows as well',
      source: `create table covered (a int, b text, primary key (a) include (b)); insert into covered values (1, 'one');
      create table other_identity (a int primary key, b int not null unique, c text);
      alter table other_identity replica identity using index other_identity_b_key; insert into other_identity values (1, 11, 'x'), (2, 22, 'y');
      create table full_and_key (a int primary key, b text); alter table full_and_key replica identity full; insert into full_and_key values (1, null)`,
      target: 'create table other_identity (a int primary key, b int not null unique, c text)',
      async run({ does, equal }) {
        await does(
          "update covered set b = 'two'",
          'update covered set a = 2',
          "insert into full_and_key values (2, 'x')",
          "update full_and_key set b = 'y' where a = 1; update full_and_key set a = 3 where a = 2",
        );
        await does(
          "update other_identity set c = 'z', a = 100 where b = 11; update other_identity set b = 33 where b = 22",
          'delete from other_identity where b = 11',
        );
        await equal('covered', 'full_and_key', 'other_identity');
      },
    },
    {
      from: '001_rep_changes',
      name: 'long values that an update leaves as they were stay, with the key and with the whole row as identity',
      source: `create table long_key (a int primary key, b text, c int); alter table long_key alter b set storage external;
      create table long_full (a int primary key, b text, c int); alter table long_full alter b set storage external;
      alter table long_full replica identity full;
      insert into long_key select g, repeat(g::text, 9000), 0 from generate_series(1, 3) g; insert into long_full select * from long_key`,
      async run({ does, equal }) {
        for (const table of ['long_key', 'long_full'])
          await does(
            `update ${table} set c = c + 1`,
            `insert into ${table} values (9, repeat('nine', 5000), 0); update ${table} set c = 9 where a = 9`,
            `begin; insert into ${table} values (8, repeat('eight', 5000), 0); update ${table} set c = 8 where a = 8; update ${table} set a = 80 where a = 8; update ${table} set c = 80 where a = 80; commit`,
            `update ${table} set b = repeat('new', 5000) where a = 1; update ${table} set a = 10 where a = 1`,
          );
        await equal('long_key', 'long_full');
      },
    },
    {
      from: '002_types',
      name: 'values of every kind go over, in the copy and in changes, as keys and as what is not sent',
      source: `create type colour as enum ('red', 'green'); create type pair as (x float8, y text); create domain small as int check (value < 100);
      create table kinds (id int primary key, b bool, n numeric, n2 numeric(10,3), f4 float4, f8 float8, t text, v varchar(20), ch char(5), by bytea,
        d date, ti time(3), tz timetz, ts timestamp, tstz timestamptz, iv interval, u uuid, j json, jb jsonb, ip inet, ci cidr, ma macaddr,
        bi bit(5), vb varbit, e colour, dm small, r int4range, mr nummultirange, tr tstzrange, ai int[], at text[][], ae colour[], ad small[],
        pt point, cm pair, acm pair[], tv tsvector, m money, o oid, x xid8, ln pg_lsn);
      insert into kinds values (1, true, 12345678901234567890.123456789, 1.5, 1.5, 0.1, 'text', 'varchar', 'ch', '\\xdeadbeef',
        '2024-02-29', '12:34:56.789', '12:34:56+02', '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.123456+02', '1 year 2 months 3 days 4.5s',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : 1}', '{"a": [1, null]}', '::1', '10.0.0.0/8', '08:00:2b:01:02:03', '10101', '1',
        'red', 42, '[1,5)', '{[1.1,2.2)}', '[2024-01-01 00:00+00,)', '{1,null,3}', '{{a,b},{c,"d e"}}', '{red,green}', '{1,2}',
        '(1,2)', '(1.5,"a, ""b""")', '{"(1,x)","(2,y)"}', 'fat:1 cat:2', '12.34', 17, '123', '0/16B3748');
      insert into kinds (id) values (2);
      create table by_uuid (k uuid primary key, n int); create table by_time (k timestamptz primary key, n int); create table by_bytes (k bytea primary key, n int);
      create table by_several (a numeric(10, 3), b date, c colour, n int, primary key (a, b, c));
      insert into by_several values (1.5, '2024-01-01', 'red', 1)`,
      target: `create type colour as enum ('red', 'green'); create type pair as (x float8, y text); create domain small as int check (value < 100)`,
      async run({ does, equal }) {
        await equal('kinds', 'by_several');
        await does(
          "insert into kinds select (jsonb_populate_record(k, jsonb_build_object('id', 3))).* from kinds k where id = 1",
          `insert into kinds (id, n, f4, f8, d, ts, tstz, iv, r, ai, at, t, by, tr)
         values (4, 'NaN', 'Infinity', '-Infinity', 'infinity', '-infinity', '0044-03-15 12:00 BC', '-1 mon +1 day', 'empty', '{}', '{}', '', '', '(,)')`,
          "update kinds set t = 'other', n = -n, e = 'green', dm = null, ai = '[2:3]={7,8}', at = null where id in (1, 2)",
          'update kinds set id = 30 where id = 3',
          'delete from kinds where id = 2',
        );
        await equal('kinds');
        await does(
          "insert into by_uuid values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1), (gen_random_uuid(), 2)",
          "insert into by_time values ('2024-02-29 12:34:56.123456+02', 1), ('infinity', 2), ('-infinity', 3)",
          "insert into by_bytes values ('', 1), ('\\x00ff', 2)",
          "insert into by_several values (1.500, '2024-01-01', 'green', 2), (-0.001, 'infinity', 'red', 3)",
        );
        await does(
          'update by_uuid set n = n + 10',
          "update by_time set k = k + interval '1 day' where isfinite(k); update by_time set n = 0 where not isfinite(k)",
          "delete from by_bytes where k = ''; update by_bytes set k = '\\x00'",
          "update by_several set a = a + 1, n = 9 where c = 'red'; delete from by_several where c = 'green'",
        );
        await equal('by_uuid', 'by_time', 'by_bytes', 'by_several');
      },
    },
    {
      from: '003_constraints',
      name: 'foreign keys and triggers of the target do not stand in the way; triggers that are always on fire',
      source: `create table parents (id int primary key); create table children (id int primary key, parent int references parents deferrable initially deferred)`,
      target: `create table parents (id int primary key); create table children (id int primary key, parent int references parents);
      create table heard (what text);
      create function swallow() returns trigger language plpgsql as $$ begin insert into heard values (tg_name); return null; end $$;
      create function hear() returns trigger language plpgsql as $$ begin insert into heard values (tg_name); return null; end $$;
      create trigger quiet before insert on children for each row execute function swallow();
      create trigger loud after insert on children for each row execute function hear(); alter table children enable always trigger loud`,
      async run({ does, equal, finds }) {
        await does(
          'begin; insert into children values (1, 7); insert into parents values (7); commit',
          'insert into children values (2, 7)',
        );
        await equal('parents', 'children');
        await finds("select distinct what from heard where what <> 'loud'", []);
        await does('begin; delete from parents; update children set parent = null; commit');
        await equal('parents', 'children');
      },
    },
    {
      from: '006_rewrite',
      name: 'tables that are rewritten at the source go on',
      source: "create table rewritten (a int primary key, b text); insert into rewritten values (1, 'one')",
      async run({ does, equal }) {
        await does("insert into rewritten values (2, 'two')");
        await does("alter table rewritten add c int default 7; insert into rewritten values (3, 'three', 33)");
        await does(
          'vacuum full rewritten',
          "alter table rewritten alter a type bigint; insert into rewritten values (5000000000, 'large', null)",
        );
        await does('cluster rewritten using rewritten_pkey', 'update rewritten set c = 1', 'alter table rewritten drop c');
        await does("insert into rewritten values (4, 'four')");
        await equal('rewritten');
      },
    },
    {
      from: '008_diff_schema',
      name: 'the target may have more columns, in another order, of wider types',
      source: "create table wider (a int primary key, b int2, c varchar(5)); insert into wider values (1, 1, 'one')",
      target: `create table wider (extra timestamptz default now(), c text, d bigint default 999, b bigint, a bigint primary key, e int generated always as identity)`,
      async run({ does, finds }) {
        await does("insert into wider values (2, 2, 'two')", "update wider set c = 'eins', b = null where a = 1");
        await does('update wider set a = 20 where a = 2');
        await finds('select a, b, c, d, extra is not null from wider order by a', ['1||eins|999|true', '20|2|two|999|true']);
        await does('delete from wider where a = 1');
        await finds('select a from wider', ['20']);
      },
    },
    {
      from: '009_matviews',
      name: 'views that are refreshed in between do not disturb',
      source:
        'create table viewed (a int primary key); create materialized view seen as select count(*) as n from viewed; create view plain as select * from viewed',
      async run({ does, equal }) {
        await does(
          'insert into viewed values (1)',
          'refresh materialized view seen',
          'begin; refresh materialized view seen; insert into viewed values (2); commit',
        );
        await equal('viewed');
      },
    },
    {
      from: '010_truncate',
      name: 'truncates stand where they stood: of one table and several, with what refers to them, in the middle of a transaction',
      source: `create table t1 (a int primary key); create table t2 (a int primary key); create table t3 (a int references t1, b int primary key);
      create table t4 (a int primary key); insert into t1 values (1); insert into t2 values (2); insert into t3 values (1, 3); insert into t4 values (4)`,
      async run({ does, equal, finds }) {
        await does('truncate t2, t4 restart identity', 'insert into t2 values (5)');
        await equal('t1', 't2', 't3', 't4');
        await does(
          'begin; insert into t2 values (6); truncate t2; insert into t2 values (7), (5); update t2 set a = 8 where a = 7; commit',
          'truncate t1 cascade',
        );
        await finds('select (select count(*) from t1), (select count(*) from t3), (select string_agg(a::text, $$,$$ order by a) from t2)', [
          '0|0|5,8',
        ]);
        await does('begin; insert into t4 values (1); savepoint s; truncate t4; rollback to s; insert into t4 values (2); commit');
        await equal('t1', 't2', 't3', 't4');
      },
    },
    {
      from: '011_generated',
      name: 'generated columns: of the target, of both, and identities',
      source: `create table made (a int primary key, b int generated always as (a * 2) stored); insert into made values (1), (2);
      create table made_there (a int primary key); insert into made_there values (1);
      create table numbered (id int generated always as identity primary key, b text); insert into numbered (b) values ('one')`,
      target: `create table made (a int primary key, b int generated always as (a * 22) stored);
      create table made_there (a int primary key, c int generated always as (a + 100) stored);
      create table numbered (id int generated always as identity primary key, b text)`,
      async run({ does, equal, finds }) {
        await does(
          'insert into made values (3)',
          'update made set a = 6 where a = 2',
          'insert into made_there values (2)',
          'update made_there set a = 3 where a = 1',
        );
        await finds('select a, b from made order by a', ['1|22', '3|66', '6|132']);
        await finds('select a, c from made_there order by a', ['2|102', '3|103']);
        await does(
          "insert into numbered (b) values ('two')",
          "update numbered set b = 'zwei' where id = 2",
          'update numbered set id = default where id = 1',
        );
        await equal('numbered');
      },
    },
    {
      from: '012_collation',
      name: 'a key of the target that takes other letters for the same keeps rows apart by what they are at the source',
      source: "create table words (k text primary key, n int); insert into words values ('a', 1)",
      target: 'create table words (k text collate "C" primary key, n int)',
      async run({ does, equal }) {
        await does(
          "insert into words values ('A', 2), (U&'\\00E4', 3), (U&'a\\0308', 4)",
          "update words set n = n + 10 where k in ('A', U&'a\\0308')",
          "update words set k = 'b' where k = 'a'",
        );
        await equal('words');
      },
    },
    {
      from: '020_messages',
      name: 'messages of others, in transactions and outside, change nothing',
      source: 'create table said (a int primary key)',
      async run({ does, equal, source }) {
        await does(
          "begin; insert into said values (1); select pg_logical_emit_message(true, 'other', 'hello'); commit",
          "select pg_logical_emit_message(false, 'other', 'outside')",
          "begin; select pg_logical_emit_message(true, 'other', 'rolled back'); insert into said values (2); rollback",
          `select pg_logical_emit_message(true, 'other', repeat('long', 20000))`,
        );
        await equal('said');
        expect(await source.sql('select count(*) from said')).toEqual([{ count: '1' }]);
      },
    },
    {
      from: '032_subscribe_use_index',
      name: 'rows of which the whole is known are found, with an index at the target or without, with NULLs in them',
      source: `create table indexed (x int, y text); alter table indexed replica identity full; insert into indexed select g, nullif(g % 3, 0)::text from generate_series(1, 60) g`,
      target: 'create table indexed (x int, y text); create index on indexed (x); create index on indexed (y) where x > 10',
      async run({ does, equal, finds }) {
        await does(
          'update indexed set x = x + 100 where x % 10 = 0',
          "update indexed set y = 'null' where y is null",
          'delete from indexed where x in (1, 2, 110)',
        );
        await finds('select count(*), sum(x) from indexed', ['57|2317']);
        await equal('indexed');
        await does('alter table indexed drop y', 'update indexed set x = 1 where x < 30', 'insert into indexed values (5)');
        await equal('indexed');
      },
    },
    {
      from: '100_bugs',
      name: 'what once went wrong: dropped columns, indexes over expressions, rows as wide as can be, empty transactions, unlogged tables',
      source: `create table holes (a int, gone text, b int, gone2 int, primary key (b)); alter table holes drop gone, drop gone2; insert into holes values (1, 1);
      create table odd_index (a int primary key, b text); create index on odd_index (lower(b)); create unique index on odd_index (b) where a > 5;
      create unlogged table unseen (a int primary key); create table no_columns_but_key (k int primary key)`,
      async run({ does, equal, source }) {
        await does(
          'insert into holes values (2, 2); update holes set a = 5; delete from holes where b = 1',
          "insert into odd_index values (1, 'X'), (2, 'Y'), (7, 'Z'); update odd_index set b = null; delete from odd_index where a = 7",
          'insert into unseen values (1)',
          'begin; insert into no_columns_but_key values (1); update no_columns_but_key set k = 2; delete from no_columns_but_key; insert into no_columns_but_key values (2); commit',
        );
        for (let transactions = 0; transactions < 20; transactions++) await source.sql('select txid_current()');
        await does('insert into no_columns_but_key values (3)');
        await equal('holes', 'odd_index', 'no_columns_but_key');
      },
    },
  ],
);
