import type { ScheduleChange, ScheduleView, StoredSchedule } from '@millrace/core/runtime';
import { type Kysely, type Selectable, sql } from 'kysely';
import { json } from './json.ts';
import type { ScheduleTable } from './schedule-schema.ts';
import type { StateDatabase } from './schema.ts';
import { activeRuns, addTicks, openTicks } from './ticks.ts';

type Db = Kysely<StateDatabase>;

/** Rows of schedules, see core's `ScheduleStore`. */

export async function change(
  db: Db,
  pipeline: string,
  decide: (view: ScheduleView, now: Date) => ScheduleChange,
): Promise<ScheduleView | null> {
  await sql`insert into millrace.schedule (pipeline, definition, evaluated_at, since, served_at)
    values (${pipeline}, '{"kind":"manual"}', clock_timestamp(), clock_timestamp(), clock_timestamp())
    on conflict do nothing`.execute(db);
  return reserving(db, async (trx) => {
    const row = await trx.selectFrom('schedule').selectAll().where('pipeline', '=', pipeline).forUpdate().skipLocked().executeTakeFirst();
    if (!row) return null;
    const view = { schedule: scheduleOf(row), open: await openTicks(trx, pipeline), active: await activeRuns(trx, pipeline) };
    // Behind the lock: what another one has looked at lies before.
    const decided = decide(view, await clock(trx));
    await store(trx, pipeline, decided);
    const after = await trx.selectFrom('schedule').selectAll().where('pipeline', '=', pipeline).executeTakeFirstOrThrow();
    return { schedule: scheduleOf(after), open: await openTicks(trx, pipeline), active: view.active };
  });
}

/**
 * A transaction that holds a row while nobody else may. Where the process is stopped in the middle of it, the server ends its session,
 * so that the row is free again.
 */
export function reserving<T>(db: Db, work: (trx: Db) => Promise<T>): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await sql`set local idle_in_transaction_session_timeout = '15s'`.execute(trx);
    return work(trx);
  });
}

export async function clock(db: Db): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  return (rows[0] as { now: Date }).now;
}

async function store(db: Db, pipeline: string, { deployed, evaluatedAt, nextAt, ticks, launch, skip }: ScheduleChange): Promise<void> {
  const set = {
    ...(deployed && {
      fingerprint: deployed.fingerprint,
      definition: json(deployed.schedule),
      since: deployed.since,
      served_at: sql<Date>`clock_timestamp()`,
    }),
    ...(evaluatedAt && { evaluated_at: evaluatedAt }),
    ...(nextAt !== undefined && { next_at: nextAt }),
  };
  if (Object.keys(set).length > 0) await db.updateTable('schedule').set(set).where('pipeline', '=', pipeline).execute();
  await addTicks(db, pipeline, ticks ?? []);
  const waiting = db.updateTable('tick').where('pipeline', '=', pipeline).where('state', '=', 'waiting');
  if (launch && launch.length > 0) await waiting.set({ state: 'launching' }).where('key', 'in', launch).execute();
  for (const { key, because } of skip ?? []) await waiting.set({ state: 'skipped', because }).where('key', '=', key).execute();
}

export async function serve(
  db: Db,
  deployed: readonly { readonly pipeline: string; readonly fingerprint: string }[],
  deadMs: number,
): Promise<string[]> {
  if (deployed.length === 0) return [];
  const given = sql`json_to_recordset(${json(deployed)}::json) as d(pipeline text, fingerprint text)`;
  // In one order, so that two that do this at once wait for each other and never for ever.
  await sql`update millrace.schedule set served_at = clock_timestamp() where pipeline in (
    select s.pipeline from millrace.schedule s join ${given} on s.pipeline = d.pipeline and s.fingerprint = d.fingerprint
    order by s.pipeline for update of s)`.execute(db);
  const { rows } = await sql<{ pipeline: string }>`
    select d.pipeline from ${given} left join millrace.schedule s on s.pipeline = d.pipeline
    where s.fingerprint is distinct from d.fingerprint
      and (s.fingerprint is null or s.served_at < clock_timestamp() - ${deadMs} * interval '1 ms')`.execute(db);
  return rows.map(({ pipeline }) => pipeline);
}

export async function due(db: Db, pipelines: readonly string[]): Promise<{ pipelines: string[]; nextMs: number | null }> {
  const { rows } = await sql<{ pipeline: string; open: boolean; ms: number | null }>`
    select s.pipeline,
      exists (select from millrace.tick t where t.pipeline = s.pipeline and t.state in ('waiting', 'launching')) as open,
      case when not s.paused then extract(epoch from s.next_at - clock_timestamp())::float8 * 1000 end as ms
    from millrace.schedule s where s.pipeline = any(${[...pipelines]})`.execute(db);
  const later = rows.flatMap(({ ms }) => (ms !== null && ms > 0 ? [ms] : []));
  return {
    pipelines: rows.filter(({ open, ms }) => open || (ms !== null && ms <= 0)).map(({ pipeline }) => pipeline),
    nextMs: later.length === 0 ? null : Math.min(...later),
  };
}

export async function schedules(db: Db): Promise<StoredSchedule[]> {
  return (await db.selectFrom('schedule').selectAll().orderBy('pipeline').execute()).map(scheduleOf);
}

export async function pause(db: Db, pipeline: string, paused: boolean): Promise<StoredSchedule | null> {
  const row = await db.updateTable('schedule').set({ paused }).where('pipeline', '=', pipeline).returningAll().executeTakeFirst();
  return row ? scheduleOf(row) : null;
}

export async function forget(db: Db, pipeline: string, servedMs: number): Promise<'forgotten' | 'served' | 'unknown'> {
  return db.transaction().execute(async (trx) => {
    // Whoever is at it this instant is waited for, and what it has written goes with the rest.
    const { rows } = await sql<{ served: boolean }>`
      select served_at > clock_timestamp() - ${servedMs} * interval '1 ms' as served from millrace.schedule
      where pipeline = ${pipeline} for update`.execute(trx);
    const [found] = rows;
    if (!found) return 'unknown';
    if (found.served) return 'served';
    await trx.deleteFrom('tick').where('pipeline', '=', pipeline).execute();
    await trx.deleteFrom('schedule').where('pipeline', '=', pipeline).execute();
    return 'forgotten';
  });
}

function scheduleOf(row: Selectable<ScheduleTable>): StoredSchedule {
  return {
    pipeline: row.pipeline,
    fingerprint: row.fingerprint,
    schedule: row.definition,
    paused: row.paused,
    evaluatedAt: row.evaluated_at.toISOString(),
    nextAt: row.next_at?.toISOString() ?? null,
    since: row.since.toISOString(),
    servedAt: row.served_at.toISOString(),
  };
}
