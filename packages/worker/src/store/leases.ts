import {
  type EarlierAttempt,
  type HeldLease,
  type Lease,
  leaseLost,
  type ReadPlan,
  type RenewedLease,
  type StagedPart,
  type WorkerState,
} from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { json } from './json.ts';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** All leases of a worker in one statement, and the sign that it lives. Where a stream is stays known when its stage has ended. */
export async function renew(db: Db, worker: string, held: readonly HeldLease[]): Promise<RenewedLease[]> {
  await db.updateTable('worker').set({ seen_at: sql<Date>`clock_timestamp()` }).where('id', '=', worker).execute();
  if (held.length === 0) return [];
  const { rows } = await sql<{ run: string; stage: string; epoch: number; cancelled: boolean }>`
    with renewed as (
        update millrace.stage s set progress = coalesce(h.progress, s.progress),
          lease_until = clock_timestamp() + coalesce((select lease_ms from millrace.worker w where w.id = ${worker}), 60000) * interval '1 ms'
        from json_to_recordset(${json(held)}::json) as h(run text, stage text, epoch int, progress json), millrace.run r
        where s.run = h.run and s.id = h.stage and s.epoch = h.epoch and s.worker = ${worker} and s.at = 'running' and r.id = s.run
        returning s.run, s.id as stage, s.epoch, r.cancel_requested_at is not null as cancelled, r.pipeline, h.progress as news),
      kept as (
        insert into millrace.stream (pipeline, step, at, progress)
        select pipeline, stage, clock_timestamp(), news from renewed where news -> 'stream' is not null
        on conflict (pipeline, step) do update set at = excluded.at, progress = excluded.progress)
    select run, stage, epoch, cancelled from renewed`.execute(db);
  return held.map(({ run, stage, epoch }) => {
    const found = rows.find((row) => row.run === run && row.stage === stage && row.epoch === epoch);
    return { run, stage, epoch, fate: found === undefined ? 'lost' : found.cancelled ? 'cancel-requested' : 'held' };
  });
}

export async function workers(db: Db, queue: string): Promise<WorkerState[]> {
  const rows = await db
    .selectFrom('worker')
    .selectAll()
    .select(workerGone(sql`worker.id`).as('gone'))
    .where('queue', '=', queue)
    .orderBy('gone')
    .orderBy('started_at')
    .execute();
  return rows.map(({ id, label, lease_ms, plans, started_at, seen_at, gone }) => ({
    id,
    label,
    leaseMs: lease_ms,
    queue,
    ...(plans && { plans }),
    startedAt: started_at.toISOString(),
    seenAt: seen_at.toISOString(),
    gone,
  }));
}

export async function earlier(db: Db, run: string, stage: string): Promise<EarlierAttempt> {
  const row = await db.selectFrom('stage').select('read_plan').where('run', '=', run).where('id', '=', stage).executeTakeFirst();
  const parts = await db.selectFrom('part').select('part').where('run', '=', run).where('stage', '=', stage).execute();
  return { plan: row?.read_plan ?? null, parts: parts.map(({ part }) => part) };
}

export async function storePlan(db: Db, lease: Lease, plan: ReadPlan): Promise<void> {
  const { run, stage, epoch, worker } = lease;
  const { rows } = await sql<{ held: boolean }>`
    with stored as (
        update millrace.stage set read_plan = ${json(plan)}::json
        where run = ${run} and id = ${stage} and epoch = ${epoch} and worker = ${worker} and at = 'running' returning 1),
      gone as (
        delete from millrace.part where run = ${run} and stage = ${stage} and not ${plan.continuesEarlier}::bool and exists (select from stored))
    select exists (select from stored) as held`.execute(db);
  if (!rows[0]?.held) throw leaseLost(lease);
}

export async function storePart(db: Db, lease: Lease, part: StagedPart): Promise<void> {
  const { numAffectedRows } = await sql`
    insert into millrace.part (run, stage, split, part) select ${lease.run}, ${lease.stage}, ${part.split}, ${json(part)}::json ${whereHeld(lease)}
    on conflict (run, stage, split) do update set part = excluded.part`.execute(db);
  if (numAffectedRows === 0n) throw leaseLost(lease);
}

export async function forgetParts(db: Db, lease: Lease): Promise<void> {
  const { rows } = await sql<{ held: boolean }>`
    with held as (select 1 ${whereHeld(lease)}),
      gone as (delete from millrace.part where run = ${lease.run} and stage = ${lease.stage} and exists (select from held))
    select exists (select from held) as held`.execute(db);
  if (!rows[0]?.held) throw leaseLost(lease);
}

/** One row where the lease is held, and it stays so until the transaction ends. */
const whereHeld = ({ run, stage, epoch, worker }: Lease) =>
  sql`from millrace.stage where run = ${run} and id = ${stage} and epoch = ${epoch} and worker = ${worker} and at = 'running' for share`;
