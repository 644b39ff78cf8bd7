import {
  type Lease,
  type Looks,
  leaseLost,
  lookMs,
  type RemoteHandle,
  type RemoteIntent,
  type RemoteLook,
  type RemoteSeen,
  type RemoteStore,
  type RemoteWork,
  requestId,
  type StageRef,
} from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { json, storable } from './json.ts';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;
type Guard = <T>(work: (db: Db) => Promise<T>) => Promise<T>;

/** `RemoteStore` in Postgres: a row for each stage that has had work at a service, of its last work. */
export function remoteStore(guard: Guard): RemoteStore {
  return {
    intend: (lease) => guard((db) => intend(db, lease)),
    started: (ref, work, handle, firstLookMs) => guard((db) => started(db, ref, work, handle, firstLookMs)),
    looks: (queue, worker, most, plans, only) => guard((db) => looks(db, queue, worker, most, plans, only)),
    seen: (look, seen) => guard((db) => keepSeen(db, look, seen)),
    works: (run) => guard((db) => works(db, run)),
  };
}

/** Under the lease: what the request is called depends on the number of the work, which begins after the epoch that has settled the one before. */
async function intend(db: Db, lease: Lease): Promise<RemoteIntent> {
  const { run, stage, epoch, worker } = lease;
  return db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ work: number }>`select settled as work from millrace.stage
      where run = ${run} and id = ${stage} and epoch = ${epoch} and worker = ${worker} and at = 'running' for share`.execute(trx);
    const [held] = rows;
    if (!held) throw leaseLost(lease);
    const { work } = held;
    const before = await sql<{ request: string | null; handle: RemoteHandle | null }>`
      select request, handle from millrace.remote where run = ${run} and stage = ${stage} and work = ${work} for update`.execute(trx);
    const found = before.rows[0];
    const first = await sql<{ ms: number }>`
      select coalesce(extract(epoch from clock_timestamp() - min(started_at))::float8 * 1000, 0) as ms
      from millrace.attempt where run = ${run} and stage = ${stage} and epoch > ${work}`.execute(trx);
    await sql`insert into millrace.remote as m (run, stage, work, request, look) values (${run}, ${stage}, ${work}, ${requestId(run, stage, work)}, 1)
      on conflict (run, stage) do update set request = excluded.request, look = m.look + 1, looker = null, look_until = null,
        ${afresh}, ending_at = null, aware = null`.execute(trx);
    return { work, known: (found?.request ?? null) !== null, sinceMs: first.rows[0]?.ms ?? 0, handle: found?.handle ?? null };
  });
}

/** Of a row `m` that gets another work: nothing of the one before is true of it. */
const afresh = sql`work = excluded.work, ${sql.join(
  ['handle', 'started_at', 'looked_at', 'next_at', 'status', 'progress'].map(
    (column) => sql`${sql.ref(column)} = case when m.work = excluded.work then m.${sql.ref(column)} end`,
  ),
)}`;

async function started(
  db: Db,
  { run, stage }: StageRef,
  work: number,
  handle: RemoteHandle,
  firstLookMs: number,
): Promise<RemoteHandle | null> {
  const { rows } = await sql<{ handle: RemoteHandle }>`
    update millrace.remote m set handle = coalesce(m.handle, ${json(handle)}::json), started_at = coalesce(m.started_at, clock_timestamp()),
      next_at = coalesce(m.next_at, clock_timestamp() + ${firstLookMs}::float8 * interval '1 ms')
    from millrace.stage s
    where m.run = ${run} and m.stage = ${stage} and m.work = ${work} and s.run = m.run and s.id = m.stage and s.settled = ${work}
    returning m.handle`.execute(db);
  return rows[0]?.handle ?? null;
}

/** Two that ask at once see the same looks due: the number of the look tells who has it. */
async function looks(db: Db, queue: string, worker: string, most: number, plans?: readonly string[], only?: StageRef): Promise<Looks> {
  const { rows } = await sql<(RemoteLook & { readonly nextMs: null }) | { readonly run: null; readonly nextMs: number | null }>`
    with open as (
        select s.run, s.id as stage, s.epoch, s.settled as work, coalesce(m.look, 0) as look, r.cancel_requested_at is not null as cancelled,
          case when r.cancel_requested_at is not null and not coalesce(m.aware, false) then '-infinity' else coalesce(m.next_at, '-infinity') end as due_at
        from millrace.stage s join millrace.run r on r.id = s.run
        left join millrace.remote m on m.run = s.run and m.stage = s.id and m.work = s.settled
        where s.at = 'elsewhere' and r.queue = ${queue} and r.at = 'running' and ${plans ? sql`r.fingerprint = any (${plans})` : sql`true`}
          and ${only ? sql`s.run = ${only.run} and s.id = ${only.stage}` : sql`true`}
          and (m.looker is null or m.look_until < clock_timestamp() or ${workerGone(sql`m.looker`)})),
      due as (select * from open where due_at <= clock_timestamp() order by due_at limit ${most}),
      taken as (
        insert into millrace.remote as m (run, stage, work, look, looker, look_until)
        select run, stage, work, look + 1, ${worker}, clock_timestamp() + ${lookMs} * interval '1 ms' from due order by run, stage
        on conflict (run, stage) do update set look = excluded.look, looker = excluded.looker, look_until = excluded.look_until,
          request = case when m.work = excluded.work then m.request end, ${afresh},
          ending_at = case when m.work = excluded.work then m.ending_at end, aware = case when m.work = excluded.work then m.aware end
        where m.work < excluded.work or (m.work = excluded.work and m.look = excluded.look - 1)
        returning m.*)
    select t.run, t.stage, d.epoch, t.work, t.look, t.request is not null as intended, t.handle, d.cancelled,
      coalesce(extract(epoch from clock_timestamp() - t.started_at)::float8 * 1000, 0) as "ageMs",
      extract(epoch from clock_timestamp() - t.ending_at)::float8 * 1000 as "endingMs", null::float8 as "nextMs"
    from taken t join due d using (run, stage)
    union all
    select null, null, null, null, null, null, null, null, null, null,
      (select case when count(*) > 0 then greatest(0, extract(epoch from greatest(min(due_at), clock_timestamp()) - clock_timestamp()))::float8 * 1000 end
       from open where (run, stage) not in (select run, stage from due))`.execute(db);
  return {
    looks: rows.flatMap((row) => {
      if (row.run === null) return [];
      const { nextMs: _, ...look } = row;
      return [look];
    }),
    nextMs: rows.find((row) => row.run === null)?.nextMs ?? null,
  };
}

async function keepSeen(
  db: Db,
  { run, stage, work, look, cancelled }: RemoteLook,
  { status, progress, handle, ending, nextMs }: RemoteSeen,
): Promise<void> {
  await sql`
    update millrace.remote set status = ${status && storable(status)}, progress = ${progress}, aware = ${cancelled}, looked_at = clock_timestamp(), looker = null, look_until = null,
      next_at = clock_timestamp() + ${nextMs}::float8 * interval '1 ms', handle = coalesce(handle, ${handle && json(handle)}::json),
      started_at = coalesce(started_at, case when ${handle !== null}::bool then clock_timestamp() end),
      ending_at = coalesce(ending_at, case when ${ending}::bool then clock_timestamp() end)
    where run = ${run} and stage = ${stage} and work = ${work} and look = ${look}`.execute(db);
}

async function works(db: Db, run: string): Promise<RemoteWork[]> {
  const rows = await db.selectFrom('remote').selectAll().where('run', '=', run).where('request', 'is not', null).execute();
  const iso = (at: Date | null): string | null => at?.toISOString() ?? null;
  return rows.map(({ stage, work, handle, status, progress, started_at, looked_at, next_at, ending_at }) => ({
    stage,
    work,
    handle,
    status,
    progress,
    startedAt: iso(started_at),
    lookedAt: iso(looked_at),
    nextAt: iso(next_at),
    ending: ending_at !== null,
  }));
}
