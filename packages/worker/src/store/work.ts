import type { Lease, RunId, StageRef, WakeUp } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** What there is to do: reads of `RunStore` that look for work. */

export async function queued(db: Db, queue: string): Promise<RunId[]> {
  const rows = await db
    .selectFrom('run')
    .select('id')
    .where('queue', '=', queue)
    .where('at', '=', 'queued')
    .orderBy('created_at')
    .execute();
  return rows.map(({ id }) => id);
}

export async function ready(db: Db, queue: string, limit: number, plans?: readonly string[]): Promise<StageRef[]> {
  let found = db
    .selectFrom('stage')
    .innerJoin('run', 'run.id', 'stage.run')
    .select(['stage.run', 'stage.id as stage'])
    .where('run.queue', '=', queue)
    .where('run.at', '=', 'running')
    .where('stage.at', '=', 'ready')
    .orderBy('stage.ready_at')
    .limit(limit);
  if (plans) found = found.where('run.fingerprint', '=', sql<string>`any (${plans})`);
  return found.execute();
}

export async function due(db: Db, queue: string): Promise<{ runs: RunId[]; nextMs: number | null }> {
  const { rows } = await sql<{ run: string; ms: number }>`
    select s.run, extract(epoch from min(s.retry_at) - clock_timestamp())::float8 * 1000 as ms
    from millrace.stage s join millrace.run r on r.id = s.run
    where r.queue = ${queue} and r.at = 'running' and s.at = 'retrying' group by s.run`.execute(db);
  const later = rows.filter(({ ms }) => ms > 0).map(({ ms }) => ms);
  return { runs: rows.filter(({ ms }) => ms <= 0).map(({ run }) => run), nextMs: later.length === 0 ? null : Math.min(...later) };
}

export async function expired(db: Db): Promise<Lease[]> {
  const { rows } = await sql<Lease>`
    select s.run, s.id as stage, s.epoch, s.worker from millrace.stage s
    where s.at = 'running' and (s.lease_until < clock_timestamp() or ${workerGone(sql`s.worker`)})
    order by s.lease_until limit 1000`.execute(db);
  return rows;
}

export async function drainOutbox(db: Db, queue: string, limit: number): Promise<WakeUp[]> {
  const { rows } = await sql<WakeUp>`
    delete from millrace.outbox where id in (
      select id from millrace.outbox where queue = ${queue} order by id limit ${limit} for update skip locked
    ) returning run, stage`.execute(db);
  return rows;
}
