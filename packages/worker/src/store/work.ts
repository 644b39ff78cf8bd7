import { type Lease, type Priority, type RunId, type WakeUp, wakeUpPriority } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import { workerGone } from './liveness.ts';
import type { StateDatabase } from './schema.ts';
import { isOpen } from './splits.ts';

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

export async function ready(db: Db, queue: string, limit: number, plans?: readonly string[]): Promise<WakeUp[]> {
  const { rows } = await sql<OpenStage>`with ${open(queue)}
    select run, stage, priority, place from open where (at = 'ready' or ${isOpen(sql`open.run`, sql`open.stage`, sql`open.epoch`)}) and ${plans ? sql`fingerprint = any (${plans})` : sql`true`}`.execute(
    db,
  );
  return rows
    .map(urgent)
    .sort((a, b) => a.priority - b.priority)
    .slice(0, limit);
}

interface OpenStage {
  readonly run: string;
  readonly stage: string;
  readonly priority: Priority;
  /** int8 */
  readonly place: string;
}

/** A run that is to be looked at, or a stage that has been claimed meanwhile. */
interface NotOpen {
  readonly run: string;
  readonly stage: string | null;
  readonly place: null;
}

const urgent = ({ run, stage, priority, place }: OpenStage) => ({ run, stage, priority: wakeUpPriority(priority, Number(place)) });

/** Stages that run or are ready, with the place of each among those of its pipeline. */
const open = (queue: string) => sql`open as (
  select s.run, s.id as stage, s.at, s.epoch, r.fingerprint, r.priority,
    row_number() over (partition by r.pipeline order by s.at = 'running' desc, s.ready_at, s.run, s.ordinal) as place
  from millrace.stage s join millrace.run r on r.id = s.run
  where s.at in ('ready', 'running') and r.queue = ${queue} and r.at = 'running')`;

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
  const { rows } = await sql<OpenStage | NotOpen>`with taken as (
      delete from millrace.outbox where id in (
        select id from millrace.outbox where queue = ${queue} order by id limit ${limit} for update skip locked
      ) returning run, stage), ${open(queue)}
    select run, stage, priority, place from taken left join open using (run, stage)`.execute(db);
  return rows.map((row) => (row.place === null ? { run: row.run, stage: row.stage } : urgent(row)));
}
