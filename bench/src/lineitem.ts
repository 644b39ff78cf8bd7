import { char, date, int4, int8, numeric, table, varchar } from '@millrace/core';

const columns = {
  l_orderkey: int8(),
  l_partkey: int4(),
  l_suppkey: int4(),
  l_linenumber: int4(),
  l_quantity: numeric(15, 2),
  l_extendedprice: numeric(15, 2),
  l_discount: numeric(15, 2),
  l_tax: numeric(15, 2),
  l_returnflag: char(1),
  l_linestatus: char(1),
  l_shipdate: date(),
  l_commitdate: date(),
  l_receiptdate: date(),
  l_shipinstruct: char(25),
  l_shipmode: char(10),
  l_comment: varchar(44),
};

/** TPC-H's lineitem in its columns and in the spread of its values, so that figures can be set beside published ones. */
export const lineitem = table('public.lineitem', columns);
/** A few rows of it, on which a process is warmed up. */
export const someLineitem = table('public.lineitem_some', columns);
/** Where copies go: no index, not logged, as for the peer. */
export const copied = table('public.lineitem_copy', columns);

const ddl = (name: string): string => `
  create unlogged table ${name} (
    l_orderkey int8 not null, l_partkey int4 not null, l_suppkey int4 not null, l_linenumber int4 not null,
    l_quantity numeric(15,2) not null, l_extendedprice numeric(15,2) not null, l_discount numeric(15,2) not null, l_tax numeric(15,2) not null,
    l_returnflag char(1) not null, l_linestatus char(1) not null,
    l_shipdate date not null, l_commitdate date not null, l_receiptdate date not null,
    l_shipinstruct char(25) not null, l_shipmode char(10) not null, l_comment varchar(44) not null)`;

export const dropLineitem = 'drop table if exists lineitem, lineitem_some, lineitem_copy';

/** Statements that make the source with so many rows, the same each time, and an empty copy. */
export function lineitemSql(rows: number): string[] {
  return [
    dropLineitem,
    ddl('lineitem'),
    ddl('lineitem_some'),
    ddl('lineitem_copy'),
    `insert into lineitem
     select i / 4 + 1, h % 200000 + 1, h % 10000 + 1, i % 4 + 1,
            h % 50 + 1, (h % 10000000)::numeric / 100 + 900, (h % 11)::numeric / 100, (h % 9)::numeric / 100,
            substr('RAN', h % 3 + 1, 1), substr('OF', h % 2 + 1, 1),
            date '1992-01-01' + h % 2526, date '1992-01-31' + h % 2466, date '1992-01-03' + h % 2554,
            (array['DELIVER IN PERSON','COLLECT COD','NONE','TAKE BACK RETURN'])[h % 4 + 1],
            (array['REG AIR','AIR','RAIL','SHIP','TRUCK','MAIL','FOB'])[h % 7 + 1],
            substr('furiously special foxes, "quoted" accounts sleep blithely against the ironic deposits', h % 40 + 1, 10 + h % 34)
     from (select i, (hashint8(i) & 2147483647) as h from generate_series(0, ${rows - 1}) i) s`,
    'insert into lineitem_some select * from lineitem limit 100000',
    'vacuum (freeze, analyze) lineitem, lineitem_some',
    'checkpoint',
  ];
}
