import { int4, int8, numeric, type Table, table, text, timestamptz } from '@millrace/core';

/** Bookings: what a stream of a shop or a bank mostly is. */
export const ledger = (name: string): Table =>
  table(
    name,
    { id: int8(), account: int4(), amount: numeric(12, 2), kind: text(), note: text().orNull(), booked_at: timestamptz() },
    { key: ['id'] },
  );

export const ledgerSql = (name: string): string => `
  create table ${name} (
    id int8 primary key, account int4 not null, amount numeric(12,2) not null, kind text not null, note text, booked_at timestamptz not null)`;

const rowsFrom = (from: number, to: number): string =>
  `select i, (hashint8(i) & 2147483647) % 100000, (i % 100000)::numeric / 100, (array['card','cash','wire'])[i % 3 + 1], 'booking number ' || i, timestamptz '2026-01-01' + i * interval '1 second'
   from generate_series(${from}::int8, ${to - 1}::int8) i`;

/** Fills the table before the stream begins. */
export const filled = (name: string, rows: number): string[] => [`insert into ${name} ${rowsFrom(0, rows)}`, `vacuum analyze ${name}`];

export const giantSql = (name: string, rows: number): string => `insert into ${name} ${rowsFrom(0, rows)}`;

export interface Workload {
  /** Rows that are there before. */
  readonly before: number;
  /** Rows that are changed. */
  readonly changes: number;
  /** Statements, each of which is one call to the server. */
  readonly sql: (name: string) => readonly string[];
}

/** A row that comes after all others: when it is there, all is there. */
export const lastRow = (name: string): string => `insert into ${name} values (-1, 0, 0, 'last', null, now())`;

/** Commits inside of one call, so that making the workload does not take longer than what is measured. */
const transactions = (count: number, body: string): string => `do $$ begin for t in 0..${count - 1} loop ${body} commit; end loop; end $$`;

const booked = (name: string, from: string, rows: number): string =>
  `insert into ${name} select i, (hashint8(i) & 2147483647) % 100000, (i % 100000)::numeric / 100, (array['card','cash','wire'])[i % 3 + 1], 'booking number ' || i, timestamptz '2026-01-01' + i * interval '1 second' from generate_series(${from}, ${from} + ${rows - 1}) i;`;

export const workloads = {
  /** Ten rows a transaction: six new ones, three that change, one that goes. */
  small: {
    before: 1_000_000,
    changes: 1_000_000,
    sql: (name: string) => [
      transactions(
        100_000,
        `${booked(name, '2000000 + t::int8 * 6', 6)}
         update ${name} set amount = amount + 1, note = 'corrected ' || t where id between t::int8 * 10 and t::int8 * 10 + 2;
         delete from ${name} where id = t::int8 * 10 + 5;`,
      ),
    ],
  },
  /** Half a million rows a transaction. */
  large: {
    before: 0,
    changes: 2_000_000,
    sql: (name: string) => [0, 1, 2, 3].map((t) => `insert into ${name} ${rowsFrom(1_000_000 + t * 500_000, 1_500_000 + t * 500_000)}`),
  },
  /** New rows only, a thousand a transaction. */
  inserts: {
    before: 0,
    changes: 1_000_000,
    sql: (name: string) => [transactions(1000, booked(name, '1000000 + t::int8 * 1000', 1000))],
  },
  /** A thousand rows a transaction: half new, four in ten changed, one in ten gone. */
  mixed: {
    before: 800_000,
    changes: 1_000_000,
    sql: (name: string) => [
      transactions(
        1000,
        `${booked(name, '1000000 + t::int8 * 500', 500)}
         update ${name} set amount = amount + 1, note = 'corrected ' || t where id between t::int8 * 500 and t::int8 * 500 + 399;
         delete from ${name} where id between t::int8 * 500 + 400 and t::int8 * 500 + 499;`,
      ),
    ],
  },
  /** Seven hundred thousand changes of all kinds, for reading. */
  drain: {
    before: 300_000,
    changes: 700_000,
    sql: (name: string) => [
      transactions(
        1000,
        `${booked(name, '1000000 + t::int8 * 400', 400)}
         update ${name} set amount = amount + 1, note = 'corrected ' || t where id between t::int8 * 300 and t::int8 * 300 + 199;
         delete from ${name} where id between t::int8 * 300 + 200 and t::int8 * 300 + 299;`,
      ),
    ],
  },
} as const satisfies Readonly<Record<string, Workload>>;
