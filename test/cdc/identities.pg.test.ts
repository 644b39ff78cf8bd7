import { scenarios } from './scenario.ts';

/* 001_rep_changes, 031_column_list, 032_subscribe_use_index, 034_temporal, 100_bugs: by what rows are told from each other, and what becomes of it while it is followed. */
const period = "'[2000-01-01,2010-01-01)'";

scenarios(
  'identities',
  { capture: { schemaChanges: { drop: 'apply' } }, keys: { spans_unique: ['id', 'valid'], spans_index: ['id', 'valid'] } },
  [
    {
      from: '034_temporal',
      name: 'keys whose last part may not overlap, as primary key, as index that is the identity, and beside the whole row',
      source: `create table spans (id int4range, valid daterange, a text, primary key (id, valid without overlaps));
      create table spans_full (like spans including all); alter table spans_full replica identity full;
      create table spans_unique (id int4range not null, valid daterange not null, a text, unique (id, valid without overlaps)); alter table spans_unique replica identity full;
      create table spans_index (id int4range not null, valid daterange not null, a text, unique (id, valid without overlaps));
      alter table spans_index replica identity using index spans_index_id_valid_key;
      insert into spans values ('[1,2)', ${period}, 'a'); insert into spans_full select * from spans; insert into spans_unique select * from spans; insert into spans_index select * from spans`,
      target: 'create table spans (id int4range, valid daterange, a text, primary key (id, valid without overlaps))',
      async run({ does, equal, finds }) {
        const tables = ['spans', 'spans_full', 'spans_unique', 'spans_index'];
        for (const table of tables)
          await does(
            `insert into ${table} values ('[2,3)', ${period}, 'a'), ('[3,4)', ${period}, 'a'), ('[4,5)', ${period}, 'a')`,
            `update ${table} set a = 'b' where id = '[2,3)'`,
            `delete from ${table} where id = '[3,4)'`,
            `update ${table} set valid = '[2001-01-01,2002-01-01)' where id = '[4,5)'; insert into ${table} values ('[4,5)', '[2005-01-01,)', 'c')`,
          );
        await finds("select id, valid, a from spans where id < '[4,5)' order by id", [
          '[1,2)|[2000-01-01,2010-01-01)|a',
          '[2,3)|[2000-01-01,2010-01-01)|b',
        ]);
        await equal(...tables);
      },
    },
    {
      from: '031_column_list',
      name: 'a primary key that gets a further column, or other order, in the middle of changes',
      source: 'create table regrown (a int primary key, b int not null, c int); insert into regrown values (1, 22, 333)',
      async run({ does, equal }) {
        await does('insert into regrown values (2, 33, 444); update regrown set b = b * 2, c = c * 3');
        await does('alter table regrown drop constraint regrown_pkey, add primary key (a, b)');
        await does('insert into regrown values (3, 55, 666)', 'update regrown set b = b * 2, c = c * 3');
        await equal('regrown');
        await does(
          `alter table regrown drop constraint regrown_pkey; insert into regrown values (4, 77, 888); alter table regrown add primary key (b, a);
         update regrown set b = b * 2, c = c * 3; delete from regrown where a = 1`,
        );
        await equal('regrown');
      },
    },
    {
      from: '100_bugs',
      name: 'an identity that becomes the whole row, and the key again',
      source: `create table widened (a int primary key, b text, c int); alter table widened alter b set storage external;
      insert into widened select g, repeat(md5(g::text), 200), g from generate_series(1, 6) g`,
      async run({ does, equal }) {
        await does('update widened set c = 0 where a = 1; alter table widened replica identity full; update widened set c = c + 10');
        await does(
          'begin; update widened set a = a + 100 where a < 3; alter table widened replica identity default; update widened set c = c - 1; delete from widened where a = 3; commit',
        );
        await equal('widened');
      },
    },
    {
      from: '100_bugs',
      name: 'rows of before a column that has a default, where the whole row is the identity, and dropped columns in it',
      source: `create table defaulted (a int); alter table defaulted replica identity full; insert into defaulted values (1);
      alter table defaulted add b bool default false not null; insert into defaulted values (2, true);
      create table thinned (a int, gone int, c int); alter table thinned replica identity full; insert into thinned values (1, 1, 1)`,
      async run({ does, finds }) {
        await does('update defaulted set a = a + 1');
        await finds('select a, b from defaulted order by a', ['2|false', '3|true']);
        await does('alter table thinned drop gone', 'update thinned set a = 100');
        await finds('select a, c from thinned', ['100|1']);
      },
    },
    {
      from: '001_rep_changes',
      name: 'an identity that is set only when there are rows to change, and rows that look the same as text',
      source: `create table later_full (a int); create table texts (x text); alter table later_full replica identity full; alter table texts replica identity full;
      insert into later_full select generate_series(1, 10); insert into texts values ('a'), ('b'), ('b')`,
      async run({ does, finds }) {
        await does(
          'insert into later_full select generate_series(1, 10)',
          'update later_full set a = a * a',
          "update texts set x = 'bb' where x = 'b'",
        );
        await finds('select count(*), min(a), max(a) from later_full', ['20|1|100']);
        await finds('select x from texts order by x', ['a', 'bb', 'bb']);
      },
    },
    {
      from: '032_subscribe_use_index',
      name: 'whole rows are found by whatever index the target has: of several columns, over expressions, in part, hashed, with columns of its own',
      source: `create table by_both (x int, y text); create table by_hash (x int, y text); create table people (first text, last text); create table lacking (x int); create table singly (x int, y int);
      alter table by_both replica identity full; alter table by_hash replica identity full; alter table people replica identity full; alter table lacking replica identity full; alter table singly replica identity full;
      insert into by_both select g % 10, (g % 10)::text from generate_series(0, 10) g; insert into by_hash select g, (g % 10)::text from generate_series(0, 10) g;
      insert into people select 'first_' || g, 'last_' || g from generate_series(0, 200) g; insert into singly select g, g from generate_series(0, 21) g`,
      target: `create table by_both (x int, y text); create index on by_both (x, y); create table by_hash (x int, y text); create index on by_hash using hash (x);
      create table people (first text, last text); create index on people ((first || ' ' || last)); create index on people (first) where first = 'first_1'; create index on people (first, last, (first || last));
      create table lacking (x int, y int); create index on lacking (x, y); create table singly (x int, y int); create unique index on singly (x, y)`,
      async run({ does, finds, equal, target }) {
        for (const table of ['by_both', 'by_hash'])
          await does(`delete from ${table} where x in (5, 6)`, `update ${table} set x = 100, y = '200' where x in (1, 2)`);
        await does(
          "update people set first = 'no-name' where first = 'first_1'; update people set first = 'no-name' where first = 'first_2' and last = 'last_2'",
          "delete from people where first = 'first_3'; delete from people where first = 'first_4' and last = 'last_4'; delete from people where last = 'last_18'",
          'insert into lacking values (1), (2), (3); update lacking set x = x + 1 where x = 1',
        );
        await equal('by_both', 'by_hash', 'people');
        await finds("select count(*) filter (where x = 100 and y = '200'), count(*) filter (where x in (5, 6)) from by_both", ['2|0']);
        await finds('select count(*) from people', ['198']);
        await finds('select sum(x), count(*) from lacking where y is null', ['7|3']);
        await target.sql('insert into singly select g + 100, g from generate_series(0, 21) g');
        await does('update singly set x = 2000 where y = 15');
        await finds('select x from singly where y = 15 order by x', ['115', '2000']);
      },
    },
  ],
);
