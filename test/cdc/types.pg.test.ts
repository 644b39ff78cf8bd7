import { scenarios } from './scenario.ts';

/* 002_types: values within values, as values and as keys. */
const types = `create type mood as enum ('a', 'b', 'c', 'd', 'e'); create type basic as (a float, b text, c int); create type of_enum as (a float, b mood, c int);
  create type of_enums as (a float, b mood[], c int); create type mixed as (a basic, b basic[], c mood, d mood[]);
  create domain year as int; create domain upset as text check (value <> 'glad')`;

scenarios('types', {}, [
  {
    from: '002_types',
    name: 'arrays, enums, composites of them and arrays of those, ranges and domains',
    source: `${types}; create table one_array (a int primary key, b int[]); create table arrays (a int[] primary key, b text[], c float[], d interval[]);
      create table one_enum (a int primary key, b mood); create table enums (a mood primary key, b mood[]);
      create table one_comp (a int primary key, b basic); create table comps (a basic primary key, b basic[]);
      create table comp_enum (a int primary key, b of_enum); create table comp_enum_array (a of_enum primary key, b of_enum[]);
      create table comp_enums (a int primary key, b of_enums); create table comp_what (a of_enums primary key, b of_enums[]);
      create table comp_mix (a mixed primary key, b mixed[]); create table ranges (a int primary key, b int4range);
      create table range_array (a int primary key, b tstzrange, c int8range[]); create table range_key (a int8range primary key, b nummultirange, c datemultirange[]);
      create table domains (a year primary key, b upset, c year[]); create table wide_array (a int primary key, b text[][]);
      insert into arrays values ('{0}', '{copied}', '{0.5}', '{"1 mon"}'); insert into comps values (row(0.0, 'copied', 0), array[row(0, null, 0)::basic])`,
    target: types,
    async run({ does, equal, finds }) {
      const tables =
        'one_array arrays one_enum enums one_comp comps comp_enum comp_enum_array comp_enums comp_what comp_mix ranges range_array range_key domains wide_array';
      await does(`insert into one_array values (1, '{1,2,3}'), (2, '{2,3,1}'), (5, '{5,null,3}');
        insert into arrays values ('{1,2,3}', '{a,b,c}', '{1.1,2.2,3.3}', '{1 day,2 days,3 days}'), ('{2,3,1}', '{b,c,a}', '{2.2,3.3,1.1}', '{2 minutes,1 minute}'),
          ('{5,null,null}', '{e,null,b}', '{5.5,1.1,null}', '{5 years,null}');
        insert into one_enum values (1, 'a'), (2, 'b'), (5, null); insert into enums values ('a', '{b,c}'), ('b', '{c,a}'), ('e', '{d,null}');
        insert into one_comp values (1, row(1.0, 'a', 1)), (5, row(null, null, 5)), (6, null);
        insert into comps values (row(1.0, 'a', 1), array[row(1, 'a', 1)::basic]), (row(3.0, 'c, "3"', 3), array[row(3, '\\ (', 3)::basic]), (row(5.0, 'e', null), array[null, row(5, null, 5)::basic]);
        insert into comp_enum values (1, row(1.0, 'a', 1)), (5, row(null, 'e', null)); insert into comp_enum_array values (row(1.0, 'a', 1), array[row(1, 'a', 1)::of_enum]), (row(5.0, 'e', 3), array[row(3, 'e', 3)::of_enum, null]);
        insert into comp_enums values (1, row(1.0, '{a,b,c}', 1)), (5, row(5.0, '{null,e,null}', 5));
        insert into comp_what values (row(1.0, '{a,b,c}', 1), array[row(1, '{a,b,c}', 1)::of_enums]), (row(5.0, '{c,null,b}', null), array[row(5, '{c,e,b}', 1)::of_enums]);
        insert into comp_mix values (row(row(1, 'a', 1), array[row(1, 'a', 1)::basic, row(2, 'b', 2)::basic], 'a', '{a,b,null,c}'),
          array[row(row(1, 'a', 1), array[row(1, 'a', 1)::basic, row(2, 'b', 2)::basic, null], 'a', '{a,b,c}')::mixed]);
        insert into ranges values (1, '[1,10]'), (4, '[4,40]'), (5, 'empty'); insert into range_array values (1, '[2014-08-04 00:00+02,infinity)', '{"[1,2]","[10,20]"}'), (4, '(,2014-08-04)', '{"[4,5]",null,"(,50]"}'), (5, null, null);
        insert into range_key values ('[1,10)', '{[1,2),(5,)}', '{"{[2024-01-01,2024-02-01)}",null}'), ('(,)', '{}', '{}'), ('empty', null, null);
        insert into domains values (1, 'sad', '{1,2}'), (2, null, null); insert into wide_array values (1, '{{a,null},{"",NULL}}'), (2, '[0:1][5:6]={{1,2},{3,4}}')`);
      await equal(...tables.split(' '));
      await does(`update one_array set b = '{4,5,6}' where a = 1; update arrays set b = '{1a,2b}', c = '{1,NaN,-Infinity}', d = '{1 day 1 second}' where a = '{1,2,3}'; update arrays set a = a || 9 where a[1] = 5;
        update one_enum set b = 'c' where a = 1; update enums set b = '{e,null}' where a = 'a'; update enums set a = 'c' where a = 'e';
        update one_comp set b = row(1.0, 'A', 1) where a = 1; update comps set b = array[null, row(9, 'x', null)::basic] where (a).a > 2; update comps set a = row(7.0, 'g', 7) where (a).a = 1;
        update comp_enum set b = row(1.0, null, null) where a = 1; update comp_enum_array set b = array[null, row(3, 'd', 3)::of_enum] where a = row(1.0, 'a', 1)::of_enum;
        update comp_enums set b = row(1.0, '{a,e,c}', null) where a = 1; update comp_what set b = array[null, row(null, '{a,e,c}', 2)::of_enums] where (a).a = 1; update comp_mix set b[2] = null;
        update ranges set b = '(1,90)' where a > 3; update range_array set b = '[2014-08-04,infinity)', c = '{null,"[11,9999999]"}' where a > 3;
        update range_key set b = '{[0,1)}' where a @> 5::int8; update range_key set a = '[7,8)' where isempty(a); update domains set b = 'mad', a = a + 2000 where a = 1; update wide_array set b = b[1:1][1:2] where a = 1`);
      await equal(...tables.split(' '));
      await does(`delete from one_array where a = 1; delete from arrays where a[1] = 2; delete from one_enum where b = 'c'; delete from enums where a = 'c'; delete from one_comp where (b).a = 1; delete from comps where (a).b = 'e';
        delete from comp_enum where a = 1; delete from comp_enum_array where a = row(1.0, 'a', 1)::of_enum; delete from comp_enums where a = 5; delete from comp_what where (a).a = 1; delete from comp_mix;
        delete from ranges where a = 1; delete from range_array where a = 1; delete from range_key where a = '(,)'; delete from domains where a = 2`);
      await equal(...tables.split(' '));
      await finds('select a::text as a, b::text as b from comps c order by (c.a).a', [
        '(0,copied,0)|{"(0,,0)"}',
        '(3,"c, ""3""",3)|{NULL,"(9,x,)"}',
        '(7,g,7)|{"(1,a,1)"}',
      ]);
      await finds('select a, b::text as b from ranges order by a', ['4|[2,90)', '5|[2,90)']);
    },
  },
]);
