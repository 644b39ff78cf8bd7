import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import type { Bank } from './bank.ts';

/**
 * What pgbench does to a bank, on tables small enough to be compared often: every transaction moves a sum on an account, a teller and a
 * branch, and writes it down. So at every commit the four sums are equal, at the source and at whoever follows it.
 */
export const bankSql = `
  create table branches (bid int primary key, bbalance bigint not null, filler text);
  create table tellers (tid int primary key, bid int not null references branches, tbalance bigint not null, filler text);
  create table accounts (aid int primary key, bid int not null references branches, abalance bigint not null, filler text);
  create table history (id bigserial primary key, tid int not null, bid int not null, aid int not null, delta bigint not null, mtime timestamptz not null, filler text);
  alter table tellers replica identity full;
  insert into branches select n, 0, null from generate_series(1, 5) n;
  insert into tellers select n, 1 + n % 5, 0, null from generate_series(1, 50) n;
  insert into accounts select n, 1 + n % 5, 0, repeat('account ', 10 * (n % 40)) from generate_series(1, 1000) n;
  alter table accounts alter filler set storage external;`;

/** pgbench's own script, and now and then a transaction of 2000 rows, one that is given up, and one of savepoints. */
export const bankScripts: Readonly<Record<string, string>> = {
  'transfer.sql@150': `
\\set aid random(1, 1000)
\\set bid random(1, 5)
\\set tid random(1, 50)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE accounts SET abalance = abalance + :delta WHERE aid = :aid;
UPDATE tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO history (tid, bid, aid, delta, mtime, filler) VALUES (:tid, :bid, :aid, :delta, now(), 'x');
END;
`,
  'given-up.sql@15': `
\\set aid random(1, 1000)
BEGIN;
UPDATE accounts SET abalance = abalance + 1 WHERE aid = :aid;
INSERT INTO history (tid, bid, aid, delta, mtime, filler) VALUES (1, 1, :aid, 1, now(), 'never');
ROLLBACK;
`,
  'savepoint.sql@15': `
\\set aid random(1, 1000)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE accounts SET abalance = abalance + :delta, filler = repeat('new ', 700) WHERE aid = :aid;
SAVEPOINT a;
UPDATE accounts SET abalance = 0 WHERE aid = :aid;
DELETE FROM history WHERE id > (SELECT max(id) - 1000 FROM history);
ROLLBACK TO a;
UPDATE tellers SET tbalance = tbalance + :delta WHERE tid = 1;
UPDATE branches SET bbalance = bbalance + :delta WHERE bid = 1;
INSERT INTO history (tid, bid, aid, delta, mtime, filler) VALUES (1, 1, :aid, :delta, now(), null);
END;
`,
  'many.sql@1': `
BEGIN;
UPDATE accounts SET abalance = abalance + 1;
UPDATE tellers SET tbalance = tbalance + 1000 WHERE tid = 2;
UPDATE branches SET bbalance = bbalance + 1000 WHERE bid = 2;
INSERT INTO history (tid, bid, aid, delta, mtime, filler) SELECT 2, 2, n, 1, now(), 'all' FROM generate_series(1, 1000) n;
END;
`,
  'moved.sql@4': `
\\set aid random(1, 1000)
BEGIN;
UPDATE accounts SET aid = -aid WHERE aid = :aid AND NOT EXISTS (SELECT FROM accounts WHERE aid = -:aid);
UPDATE accounts SET aid = -aid WHERE aid = -:aid;
END;
`,
};

/** The four sums in one look; they must agree whenever anybody looks. */
export const sumsSql = (schema: string): string => `
  select (select coalesce(sum(abalance), 0) from ${schema}.accounts)::text as accounts, (select coalesce(sum(tbalance), 0) from ${schema}.tellers)::text as tellers,
    (select coalesce(sum(bbalance), 0) from ${schema}.branches)::text as branches, (select coalesce(sum(delta), 0) from ${schema}.history)::text as history`;

/** A transaction that is large enough to be sent while it is open, and books nothing. */
export const uncountedSql = `insert into history (tid, bid, aid, delta, mtime, filler) select 1, 1, 1 + n % 1000, 0, now(), repeat('much ', 100) from generate_series(1, 1500) n`;

/** The rows of a table, each as one text, sorted: what a bank of another engine can print as well. */
export async function linesOf(client: pg.Client, from: string, table: string, where = 'true'): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select concat_ws('|', ${lineColumns[table as keyof typeof lineColumns]}) as line from ${from} where ${where}`,
  );
  return rows.map(({ line }) => line).sort();
}

/** The mirror must have what the bank has; so must the log in its current versions, and no booking may be in it twice. */
export async function compare(bank: Bank, mirror: pg.Client): Promise<{ bookings: number; differences: readonly string[] }> {
  const differences: string[] = [];
  const differ = (what: string, found: readonly string[], expected: readonly string[]): void => {
    if (isDeepStrictEqual(found, expected)) return;
    const [lacks, has] = [missing(expected, found), missing(found, expected)];
    differences.push(`${what}: ${found.length} rows and not ${expected.length}; it lacks ${shown(lacks)} and has ${shown(has)}.`);
  };
  let bookings = 0;
  for (const table of bankTables) {
    const expected = await bank.lines(table);
    differ(`${table} of the mirror`, await linesOf(mirror, `bank.${table}`, table), expected);
    differ(`${table} in the log, current versions`, await linesOf(mirror, `log.${table}`, table, 'is_current'), expected);
    // Nobody ever changes one, so each has one version.
    if (table === 'history') differ('all versions of bookings in the log', await linesOf(mirror, 'log.history', table), expected);
    bookings = expected.length;
  }
  return { bookings, differences };
}

const missing = (all: readonly string[], from: readonly string[]): string[] => {
  const there = new Set(from);
  return all.filter((line) => !there.has(line));
};

const shown = (lines: readonly string[]): string =>
  lines.length === 0
    ? 'nothing'
    : `${lines.length}, such as ${lines
        .slice(0, 3)
        .map((line) => line.slice(0, 80))
        .join('; ')}`;

/** The bookings come last. */
const lineColumns = {
  branches: "bid, bbalance, coalesce(filler, '-')",
  tellers: "tid, bid, tbalance, coalesce(filler, '-')",
  accounts: "aid, bid, abalance, coalesce(filler, '-')",
  history: "id, tid, bid, aid, delta, to_char(mtime at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US'), coalesce(filler, '-')",
};

export const bankTables = Object.keys(lineColumns);
