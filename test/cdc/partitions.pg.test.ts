import { scenarios } from './scenario.ts';

/* 013_partition: a partitioned table is followed through its root, whatever the target is made of. */
scenarios(
  'partitions',
  {
    capture: { schemaChanges: { drop: 'apply' } },
    without: [
      'ranged_low',
      'ranged_high',
      'ranged_rest',
      'nested_a',
      'nested_b',
      'nested_b1',
      'nested_b2',
      'late_1',
      'late_2',
      'alone',
      'flat_1',
      'flat_2',
      'whole_1',
      'whole_2',
      'moving_1',
      'moving_2',
      'older_1',
      'older_2',
      'older_3',
    ],
  },
  [
    {
      from: '013_partition',
      name: 'rows come and go, move between partitions, and are found again, where the target has other partitions or none',
      source: `create table ranged (a int not null, b text, primary key (a)) partition by range (a);
      create table ranged_low partition of ranged for values from (minvalue) to (100); create table ranged_high partition of ranged for values from (100) to (200);
      create table ranged_rest partition of ranged default; insert into ranged values (1, 'low'), (150, 'high'), (500, 'rest');
      create table flat (a int primary key, b text) partition by hash (a); create table flat_1 partition of flat for values with (modulus 2, remainder 0);
      create table flat_2 partition of flat for values with (modulus 2, remainder 1); insert into flat select g, g::text from generate_series(1, 20) g`,
      target: `create table ranged (b text, a int not null, primary key (a)) partition by list (a);
      create table ranged_one partition of ranged for values in (1, 2, 3); create table ranged_others partition of ranged default`,
      async run({ does, equal, finds }) {
        await does(
          "insert into ranged values (2, 'x'), (199, 'y'), (1000, null)",
          'update ranged set a = 3 where a = 1',
          "update ranged set a = 151, b = 'moved' where a = 2",
          'update ranged set a = a + 500 where a between 100 and 160',
          'delete from ranged where a = 500',
          'update flat set a = a + 100 where a % 3 = 0; delete from flat where a % 7 = 0',
        );
        await equal('ranged', 'flat');
        await finds('select tableoid::regclass::text, count(*) from ranged group by 1 order by 1', ['ranged_one|1', 'ranged_others|4']);
      },
    },
    {
      from: '013_partition',
      name: 'partitions of partitions, with columns in another order and dropped ones in between',
      source: `create table nested (a int, b int, c text, primary key (a, b)) partition by list (a); create table nested_a partition of nested for values in (1);
      create table nested_b (gone int, c text, b int not null, a int not null) partition by range (b); alter table nested_b drop gone;
      alter table nested attach partition nested_b for values in (2, 3);
      create table nested_b1 (c text, a int not null, b int not null); alter table nested_b attach partition nested_b1 for values from (0) to (10);
      create table nested_b2 partition of nested_b default; insert into nested values (1, 1, 'x'), (2, 2, 'y'), (3, 30, 'z')`,
      async run({ does, equal }) {
        await does(
          "insert into nested values (1, 2, 'x'), (2, 5, 'y'), (2, 50, 'z')",
          'update nested set b = b + 10 where a = 2',
          "update nested set a = 3, c = 'new' where a = 1",
          'insert into nested_b1 (a, b) values (3, 7)',
          'update nested_b2 set c = null; delete from nested where b = 12',
        );
        await equal('nested');
      },
    },
    {
      from: '013_partition',
      name: 'partitions that are attached, detached, filled by themselves and truncated',
      source: `create table late (a int primary key, b text) partition by range (a); create table late_1 partition of late for values from (0) to (10);
      insert into late values (1, 'one'); create table alone (a int primary key, b text); insert into alone values (11, 'came before')`,
      async run({ does, equal, finds }) {
        await does(
          'create table late_2 partition of late for values from (20) to (30)',
          "insert into late values (21, 'later'); insert into late_2 values (22, null)",
        );
        await equal('late');
        await does('truncate late_1', "insert into late values (2, 'two')");
        // Of a partition alone nothing is said to those who follow the root: its rows stay.
        await finds('select a from late order by a', ['1', '2', '21', '22']);
        await does('truncate late');
        await equal('late');
      },
    },
    {
      from: '013_partition',
      name: 'columns of the root that go and come, so that partitions have them in another order',
      source: `create table whole (a int primary key, b text) partition by list (a); create table whole_1 (b text, a int not null);
      alter table whole attach partition whole_1 for values in (0, 1, 2, 3); create table whole_2 partition of whole for values in (5, 6)`,
      async run({ does, finds, equal }) {
        await does(`insert into whole values (1), (2), (5)`, 'delete from whole');
        await does(
          "alter table whole drop b, add column c text, add b text; alter table whole alter c set default 'pub'",
          "insert into whole (a, b) values (1, 'xxx'), (3, 'yyy'), (5, 'zzz'); insert into whole (a, b, c) values (6, 'aaa', 'xxx_c')",
        );
        await finds('select c, a, b from whole order by 1, 2', ['pub|1|xxx', 'pub|3|yyy', 'pub|5|zzz', 'xxx_c|6|aaa']);
        await does("update whole set b = 'quux' where a = 5; update whole set a = 2 where a = 6");
        await equal('whole');
      },
    },
    {
      from: '013_partition',
      name: 'a column that comes to the root with a default: rows of before have it too, also where the target is cut in another way',
      source: `create table older (a int primary key, b text) partition by range (a); create table older_1 partition of older for values from (0) to (10);
      create table older_2 partition of older for values from (10) to (20) partition by hash (a); create table older_3 partition of older_2 for values with (modulus 1, remainder 0);
      insert into older select g, 'before' from generate_series(1, 15) g`,
      target:
        'create table older (a int primary key, b text) partition by hash (a); create table older_x partition of older for values with (modulus 1, remainder 0)',
      async run({ does, equal, finds }) {
        await does('delete from older where a = 15');
        await does(
          'begin; insert into older values (16); alter table older add c int not null default 7, add d timestamptz default now(); update older set c = 8 where a = 3; commit',
        );
        await finds('select c, count(*), count(distinct d) from older group by c order by c', ['7|14|1', '8|1|1']);
        await equal('older');
        await does(
          'alter table older alter c set default 9; insert into older (a) values (17)',
          "update older set b = 'after' where a > 12",
        );
        await equal('older');
      },
    },
    {
      from: '032_subscribe_use_index, 027_nosuperuser',
      name: 'whole rows of partitions are found, and move between them, where the target is cut in another way',
      source: `create table moving (user_id bigint, v1 int, v2 int) partition by range (v1); create table moving_1 partition of moving for values from (0) to (10);
      create table moving_2 partition of moving for values from (10) to (20);
      alter table moving replica identity full; alter table moving_1 replica identity full; alter table moving_2 replica identity full;
      insert into moving select g % 100, g % 20, g from generate_series(0, 100) g`,
      target: `create table moving (user_id bigint, v1 int, v2 int) partition by hash (v1); create table moving_a partition of moving for values with (modulus 2, remainder 0);
      create table moving_b partition of moving for values with (modulus 2, remainder 1); create index on moving (user_id, v1)`,
      async run({ does, finds, equal }) {
        await does(
          'update moving set v1 = 0 where user_id = 4',
          'delete from moving where user_id = 1 and v1 = 1; delete from moving where user_id = 12 and v1 = 12',
        );
        await finds('select sum(user_id + v1 + v2), count(distinct (user_id, v1, v2)) from moving', ['10907|99']);
        await equal('moving');
      },
    },
  ],
);
