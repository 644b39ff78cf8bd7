import type { AlertKind, RunRequest, StoredError } from '@millrace/core/runtime';
import { type Kysely, sql, type Transaction } from 'kysely';
import { type Alert, type AlertBody, type ExpectedRun, failure, lateness, recovery } from '../observe/alerts/alert.ts';
import { json } from './json.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Who is told, as the rows know him. */
export interface Recipient {
  /** Under it is remembered what he was told. */
  readonly target: string;
  readonly kinds: readonly AlertKind[];
  /** All where null. */
  readonly pipelines: readonly string[] | null;
}

/** Ends of runs that are looked at in one go. */
const page = 1_000;

/**
 * True for the one process whose turn it is: it was nobody's in the last `everyMs`. What happens after the first call is what
 * will be found; what was before is not told.
 */
export async function takeTurn(db: Db, name: string, everyMs: number): Promise<boolean> {
  const { rows } = await sql`
    with made as (insert into millrace.look (name) values (${name}) on conflict do nothing returning name)
    update millrace.look set looked_at = clock_timestamp()
    where name = ${name} and looked_at <= clock_timestamp() - ${everyMs}::float8 * interval '1 ms' returning name`.execute(db);
  return rows.length > 0;
}

/**
 * An alert for each run that has ended badly, and for each pipeline that succeeds again, since the last look. Looked at again and
 * again, by any number of processes, an end is one alert: its cause is unique. Answers whether there is more to look at.
 */
export async function raiseEnds(db: Db, recipient: Recipient): Promise<boolean> {
  // No transaction that is still to be seen has written an event older than this: an event's time is read while its transaction
  // holds the lock of a run, which it has an id for. The seconds are for the server's own bookkeeping.
  const { rows: horizons } = await sql<{ horizon: string }>`
    select (least(clock_timestamp(), min(xact_start)) - interval '5 seconds')::text as horizon
    from pg_stat_activity where datname = current_database() and backend_xid is not null`.execute(db);
  const horizon = (horizons[0] as { horizon: string }).horizon;
  return db.transaction().execute(async (trx) => {
    const ends = await endsOf(trx, recipient.target);
    for (const end of ends) {
      if (recipient.pipelines && !recipient.pipelines.includes(end.pipeline)) continue;
      await (end.type === 'run.succeeded' ? raiseRecovery(trx, recipient, end) : raiseFailure(trx, recipient, end));
    }
    const last = ends.length === page ? ends[page - 1] : undefined;
    await sql`update millrace.look set done_to = greatest(done_to, ${last?.at ?? horizon}::timestamptz) where name = ${turnOf(recipient)}`.execute(
      trx,
    );
    return last !== undefined;
  });
}

export const turnOf = ({ target }: Pick<Recipient, 'target'>): string => `alerts:${target}`;

interface End {
  readonly run: string;
  readonly seq: number;
  /** In full: a Date has no microseconds. */
  readonly at: string;
  readonly type: 'run.succeeded' | 'run.partial' | 'run.failed';
  readonly error: StoredError | null;
  readonly pipeline: string;
  readonly request: RunRequest;
}

async function endsOf(trx: Transaction<StateDatabase>, target: string): Promise<End[]> {
  const { rows } = await sql<End>`
    select e.run, e.seq, e.at::text as at, e.type, e.body -> 'error' as error, r.pipeline, r.request
    from millrace.look l
    join millrace.run_event e on e.type in ('run.succeeded', 'run.partial', 'run.failed') and e.at >= l.done_to and e.at >= l.since
    join millrace.run r on r.id = e.run
    where l.name = ${turnOf({ target })}
    order by e.at, e.run limit ${page}`.execute(trx);
  return rows;
}

async function raiseFailure(trx: Transaction<StateDatabase>, recipient: Recipient, { run, seq, at, type, error, pipeline, request }: End) {
  if (error === null) return;
  const { logicalTime } = request;
  const body = failure({ run, pipeline, logicalTime, result: type === 'run.failed' ? 'failed' : 'partial', error });
  await insert(trx, recipient, { cause: `failed:${run}:${seq}`, kind: 'failed', pipeline, run, body, since: at });
}

/** Only where there was something to recover from, and only once: whoever ends the trouble tells of it. */
async function raiseRecovery(trx: Transaction<StateDatabase>, recipient: Recipient, { run, seq, at, pipeline, request }: End) {
  const { rows } = await sql<{ since: Date }>`
    update millrace.alert set over_at = ${at}::timestamptz
    where target = ${recipient.target} and pipeline = ${pipeline} and over_at is null and kind in ('failed', 'late')
      and since < ${at}::timestamptz returning since`.execute(trx);
  if (rows.length === 0) return;
  const trouble = new Date(Math.min(...rows.map(({ since }) => since.getTime())));
  const body = recovery({ run, pipeline, logicalTime: request.logicalTime }, trouble);
  await insert(trx, recipient, { cause: `recovered:${run}:${seq}`, kind: 'recovered', pipeline, run, body, since: at });
}

/**
 * An alert for each expected run whose deadline has passed without success. A run is looked for among those made since the day before
 * the time it is for.
 */
export async function raiseLate(db: Db, recipient: Recipient, expected: readonly ExpectedRun[]): Promise<void> {
  const ours = expected.filter(({ pipeline }) => recipient.pipelines?.includes(pipeline) ?? true);
  if (ours.length === 0) return;
  const { rows } = await sql<{ place: number; now: string; id: string | null; at: string | null }>`
    select x.place, clock_timestamp()::text as now, r.id, r.at
    from json_to_recordset(${json(ours.map((one, place) => ({ place, cause: causeOf(one), ...one })))}::json)
        as x(place int, cause text, pipeline text, "logicalTime" timestamptz, deadline timestamptz)
      join millrace.look l on l.name = ${turnOf(recipient)} and x.deadline >= l.since and x.deadline < clock_timestamp()
      left join lateral (
        select r.id, r.at from millrace.run r
        where r.pipeline = x.pipeline and r.created_at >= x."logicalTime" - interval '1 day'
          and (r.request ->> 'logicalTime')::timestamptz = x."logicalTime"
        order by r.at = 'succeeded' desc, r.created_at desc, r.id desc limit 1) r on true
    where r.at is distinct from 'succeeded'
      and not exists (select from millrace.alert a where a.cause = x.cause and a.target = ${recipient.target})`.execute(db);
  for (const { place, now, id, at } of rows) {
    const late = ours[place] as ExpectedRun;
    const body = lateness(late, id === null || at === null ? null : { id, at });
    await insert(db, recipient, { cause: causeOf(late), kind: 'late', pipeline: late.pipeline, run: id, body, since: now });
  }
}

const causeOf = ({ pipeline, logicalTime }: ExpectedRun): string => `late:${new Date(logicalTime).toISOString()}:${pipeline}`;

interface NewAlert {
  readonly cause: string;
  readonly kind: AlertKind;
  readonly pipeline: string;
  readonly run: string | null;
  readonly body: AlertBody;
  readonly since: string;
}

async function insert(db: Db, { target, kinds }: Recipient, { cause, kind, pipeline, run, body, since }: NewAlert): Promise<void> {
  await db
    .insertInto('alert')
    .values({ cause, target, kind, pipeline, run, body: json(body), since, at: kinds.includes(kind) ? 'open' : 'silent' })
    .onConflict((conflict) => conflict.columns(['cause', 'target']).doNothing())
    .execute();
}

/** An alert that this process has taken to send: it has until the claim ends, then anybody else may. */
export interface Claim {
  readonly alert: Alert;
  readonly target: string;
  /** Which try this is, from 1; it tells this claim from a later one. */
  readonly tries: number;
  readonly row: string;
}

/** The alert of a target that is due longest, if there is one: taken by compare-and-set, so that one process sends it. */
export async function claimAlert(db: Db, target: string, claimMs: number): Promise<Claim | null> {
  const { rows } = await sql<{
    id: string;
    cause: string;
    kind: AlertKind;
    pipeline: string;
    run: string | null;
    body: AlertBody;
    since: Date;
    tries: number;
  }>`
    update millrace.alert set tries = tries + 1, next_at = clock_timestamp() + ${claimMs}::float8 * interval '1 ms'
    where at = 'open' and id = (
      select id from millrace.alert where target = ${target} and at = 'open' and next_at <= clock_timestamp()
      order by next_at, id limit 1 for update skip locked)
    returning id, cause, kind, pipeline, run, body, since, tries`.execute(db);
  const row = rows[0];
  if (!row) return null;
  const { id, cause, kind, pipeline, run, body, since, tries } = row;
  return { alert: { id: cause, kind, pipeline, run, since: since.toISOString(), ...body }, target, tries, row: id };
}

export async function alertSent(db: Db, { row, tries }: Claim): Promise<void> {
  await sql`update millrace.alert set at = 'sent', sent_at = clock_timestamp(), error = null
    where id = ${row} and tries = ${tries} and at = 'open'`.execute(db);
}

/** Tried again after the pause, or given up where it has been due for a day. Answers which. */
export async function alertFailed(db: Db, { row, tries }: Claim, error: string, pauseMs: number): Promise<'open' | 'given-up'> {
  const { rows } = await sql<{ at: 'open' | 'given-up' }>`
    update millrace.alert set error = ${error}, next_at = clock_timestamp() + ${pauseMs}::float8 * interval '1 ms',
      at = case when raised_at < clock_timestamp() - interval '1 day' then 'given-up' else 'open' end
    where id = ${row} and tries = ${tries} and at = 'open' returning at`.execute(db);
  return rows[0]?.at ?? 'open';
}

/** Alerts that have been over for three months are history. */
export async function forgetAlerts(db: Db): Promise<void> {
  await sql`delete from millrace.alert where since < clock_timestamp() - interval '90 days'`.execute(db);
}
