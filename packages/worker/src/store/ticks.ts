import type { NewTick, RunId, StoredError, Tick } from '@millrace/core/runtime';
import { type Kysely, type Selectable, sql } from 'kysely';
import { json } from './json.ts';
import type { TickTable } from './schedule-schema.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Rows of ticks, see core's `ScheduleStore`. */

/** Those that are there already stay as they are. Answers how many were new. */
export async function addTicks(db: Db, pipeline: string, ticks: readonly NewTick[]): Promise<number> {
  if (ticks.length === 0) return 0;
  const rows = ticks.map(({ key, cause, logicalTime, window, params, onTime, state, because }) => ({
    key,
    cause,
    logical_time: logicalTime,
    window_start: window?.start ?? null,
    window_end: window?.end ?? null,
    params,
    on_time: onTime,
    state,
    because,
  }));
  const { numAffectedRows } = await sql`
    insert into millrace.tick (pipeline, key, cause, logical_time, window_start, window_end, params, on_time, state, because)
    select ${pipeline}, key, cause, coalesce(logical_time, date_trunc('milliseconds', clock_timestamp())), window_start, window_end, params, on_time, state, because
    from json_to_recordset(${json(rows)}::json) as t(key text, cause text, logical_time timestamptz, window_start timestamptz,
      window_end timestamptz, params json, on_time boolean, state text, because text)
    on conflict (pipeline, key) do nothing`.execute(db);
  return Number(numAffectedRows ?? 0n);
}

export async function tick(db: Db, pipeline: string, key: string): Promise<Tick | null> {
  const row = await db.selectFrom('tick').selectAll().where('pipeline', '=', pipeline).where('key', '=', key).executeTakeFirst();
  return row ? tickOf(row) : null;
}

export async function ticks(db: Db, pipeline: string, limit: number): Promise<Tick[]> {
  const rows = await db.selectFrom('tick').selectAll().where('pipeline', '=', pipeline).orderBy('ordinal', 'desc').limit(limit).execute();
  return rows.map(tickOf);
}

/** More than this are looked at when some of them are done. */
const openLimit = 2_000;

export async function openTicks(db: Db, pipeline: string, states: readonly Tick['state'][] = ['waiting', 'launching']): Promise<Tick[]> {
  const rows = await db
    .selectFrom('tick')
    .selectAll()
    .where('pipeline', '=', pipeline)
    .where('state', 'in', states)
    .orderBy('ordinal')
    .limit(openLimit)
    .execute();
  return rows.map(tickOf);
}

/** Unfinished runs of the pipeline that a tick has made. */
export async function activeRuns(db: Db, pipeline: string): Promise<RunId[]> {
  const { rows } = await sql<{ id: string }>`
    select r.id from millrace.run r where r.pipeline = ${pipeline} and r.at in ('queued', 'running')
      and exists (select from millrace.tick t where t.run = r.id) order by r.id`.execute(db);
  return rows.map(({ id }) => id);
}

export async function settle(
  db: Db,
  pipeline: string,
  key: string,
  outcome: { readonly run: RunId } | { readonly refused: StoredError },
): Promise<void> {
  await db
    .updateTable('tick')
    .set(
      'run' in outcome
        ? { state: 'started', run: outcome.run }
        : { state: 'refused', because: `${outcome.refused.message} ${outcome.refused.remedy}` },
    )
    .where('pipeline', '=', pipeline)
    .where('key', '=', key)
    .where('state', '=', 'launching')
    .execute();
}

export async function forgetTicks(db: Db, days: number): Promise<void> {
  await sql`delete from millrace.tick where made_at < clock_timestamp() - ${days} * interval '1 day'
    and cause <> 'file' and state not in ('waiting', 'launching')`.execute(db);
}

/**
 * The time of a success is taken before its transaction ends, so that a later one may be seen first: each look goes back some way
 * behind the newest it knows, and the key keeps each run from counting twice.
 */
export async function offerSuccesses(db: Db, pipeline: string, upstream: string): Promise<number> {
  const { numAffectedRows } = await sql`
    insert into millrace.tick (pipeline, key, cause, logical_time, window_start, window_end, params, on_time, state)
    select s.pipeline, 'success:' || r.id, 'success', (r.request->>'logicalTime')::timestamptz,
      (r.request->'window'->>'start')::timestamptz, (r.request->'window'->>'end')::timestamptz, '{}', true, 'waiting'
    from millrace.schedule s join millrace.run r on r.pipeline = ${upstream} and r.at = 'succeeded'
      and r.state->>'since' > to_char(greatest(s.since, s.evaluated_at - interval '15 minutes') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    where s.pipeline = ${pipeline} and not s.paused
    order by r.state->>'since'
    on conflict (pipeline, key) do nothing`.execute(db);
  await sql`update millrace.schedule set evaluated_at = clock_timestamp()
    where pipeline = ${pipeline} and not paused and evaluated_at < clock_timestamp() - interval '1 minute'`.execute(db);
  return Number(numAffectedRows ?? 0n);
}

function tickOf(row: Selectable<TickTable>): Tick {
  const { pipeline, key, cause, logical_time, window_start, window_end, params, on_time, state, because, run, made_at } = row;
  return {
    pipeline,
    key,
    cause,
    logicalTime: logical_time.toISOString(),
    window: window_start && window_end ? { start: window_start.toISOString(), end: window_end.toISOString() } : null,
    params,
    onTime: on_time,
    state,
    because,
    run,
    madeAt: made_at.toISOString(),
  };
}
