import type { Log, ReadRequest } from '@millrace/core/runtime';
import type { Session } from './client.ts';
import { quoteIdentifier } from './identifier.ts';
import { readerPurpose } from './snapshot.ts';
import type { Cursor } from './window.ts';

export interface Clock {
  readonly kind: 'timestamptz' | 'timestamp' | 'date';
  /** Decimals of the second. */
  readonly precision?: number;
}

type Since = NonNullable<ReadRequest['since']>;

/**
 * Between the moment that becomes the bound and the look at who has a transaction open. A session says that it has begun one
 * shortly after its clock has been read, so one that began before the bound must be visible by then.
 */
const settleSeconds = 0.2;

/** How far a transaction may hold the window back before that is worth a word. */
const worthSayingSeconds = 60;

/**
 * The upper bound of a window over a clock: rows that are committed later will have been stamped at or after it, as long as they are
 * stamped by the database (`now()` is the start of the transaction). See `fixWindow`.
 */
export async function clockBound(session: Session, cursor: Cursor, clock: Clock, since: Since, log: Log): Promise<string> {
  const [start] = await session.query(
    `select clock_timestamp() as now, pg_is_in_recovery() as standby, (select reset_val from pg_settings where name = 'TimeZone') as zone,
       case when pg_is_in_recovery() then pg_last_xact_replay_timestamp() end as replayed`,
  );
  const now = start?.['now'] ?? '';
  await session.query(`select pg_sleep(${settleSeconds})`);
  const open = await openTransactions(session, now);
  explain(cursor, since, log, { standby: start?.['standby'] === 't', ...open });

  const [bound] = await session.query(
    `select least($1::timestamptz - $2::float8 * interval '1 millisecond', $3::timestamptz, $4::timestamptz) as moment`,
    [now, since.lagMs, start?.['replayed'] ?? null, open.oldest],
  );
  return inType(session, cursor, clock, since, bound?.['moment'] ?? now, start?.['zone'] ?? 'UTC');
}

async function inType(session: Session, cursor: Cursor, clock: Clock, since: Since, moment: string, zone: string): Promise<string> {
  // A column with fewer decimals rounds to the nearest, which may be half a unit back.
  const unit = clock.precision === undefined || clock.precision >= 6 ? '0' : (10 ** -clock.precision).toFixed(clock.precision);
  const high = async (text: string, values: (string | number | null)[]): Promise<string> =>
    (await session.query(`select (${text})::text as high`, values))[0]?.['high'] ?? '';
  switch (clock.kind) {
    case 'timestamptz':
      return high(`greatest($1::timestamptz - interval '${unit} second', $2::timestamptz)`, [moment, since.low]);
    case 'date':
      return high(`greatest(($1::timestamptz at time zone $3)::date, $2::date)`, [moment, since.low, zone]);
    case 'timestamp':
      return high(
        `greatest(least(($1::timestamptz at time zone $3) - interval '${unit} second', $4::timestamp + interval '1 microsecond' - $5::float8 * interval '1 millisecond'), $2::timestamp)`,
        [moment, since.low, zone, await greatestOf(session, cursor), since.lagMs],
      );
    default:
      return clock.kind satisfies never;
  }
}

/** What a `timestamp` means depends on who wrote it: nothing is taken to be complete beyond what is there. */
async function greatestOf(session: Session, { column, from }: Cursor): Promise<string | null> {
  const name = quoteIdentifier(column);
  const [row] = await session.query(
    `SELECT ${name}::text AS value FROM ${from} WHERE ${name} < 'infinity' ORDER BY ${name} DESC LIMIT 1`,
    [],
    column,
  );
  return row?.['value'] ?? null;
}

interface OpenTransactions {
  /** Since when the oldest has been open, as far as this user can see. */
  readonly oldest: string | null;
  readonly seconds: number;
  readonly by: string;
  /** Sessions whose transactions this user cannot see. */
  readonly hidden: number;
}

/** Transactions that could still add rows. Sessions of our own that only read are none. */
async function openTransactions(session: Session, now: string): Promise<OpenTransactions> {
  const [row] = await session.query(
    `with other as (
       select * from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and backend_type not in ('autovacuum worker', 'autovacuum launcher', 'walsender', 'logical replication launcher')
         and not (application_name = $2 and backend_xid is null)
     ), open as (
       select xact_start as since, 'pid ' || pid || ', ' || coalesce(nullif(application_name, ''), 'no application name') as by from other where xact_start is not null
       union all
       select prepared, 'prepared transaction ' || gid from pg_prepared_xacts where database = current_database()
     )
     select min(since) as oldest, extract(epoch from $1::timestamptz - min(since)) as seconds, (array_agg(by order by since))[1] as by,
       (select count(*) from other where xact_start is null and backend_xmin is not null) as hidden
     from open`,
    [now, `millrace ${readerPurpose}`],
  );
  return {
    oldest: row?.['oldest'] ?? null,
    seconds: Number(row?.['seconds'] ?? 0),
    by: row?.['by'] ?? '',
    hidden: Number(row?.['hidden'] ?? 0),
  };
}

/** Says what holds the window back, and what cannot be seen. */
function explain({ column }: Cursor, { lagMs }: Since, log: Log, seen: OpenTransactions & { readonly standby: boolean }): void {
  if (seen.standby && lagMs === 0) {
    log.warn(
      `A read replica does not show the transactions of the writer: set a lag longer than the longest of them, or rows with an earlier "${column}" may be missed.`,
    );
  }
  if (seen.hidden > 0) {
    log.warn(
      'This user cannot see since when other sessions have had a transaction open: grant it pg_read_all_stats, or set a lag longer than the longest.',
      { sessions: seen.hidden },
    );
  }
  if (seen.seconds - lagMs / 1000 > worthSayingSeconds) {
    log.warn(`A transaction has been open since ${seen.oldest} (${seen.by}): rows stamped from then on wait for the next run.`, {
      since: seen.oldest,
      by: seen.by,
    });
  }
}
