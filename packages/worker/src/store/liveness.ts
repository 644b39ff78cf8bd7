import { type RawBuilder, sql } from 'kysely';

/** First key of the advisory locks that workers hold; an arbitrary number. */
export const workerLocks = 7_731_502;

/**
 * True where the worker of this id (an SQL expression) has gone: its session has let go of its lock, which the server does by
 * itself when a process dies, or it has not been heard of for two leases (stopped, cut off).
 */
export function workerGone(worker: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select 1 from millrace.worker w
    join pg_locks l on l.locktype = 'advisory' and l.classid = ${sql.lit(workerLocks)} and l.objid = w.lock_key and l.objsubid = 2 and l.granted
      and l.database = (select oid from pg_database where datname = current_database())
    where w.id = ${worker} and w.seen_at > clock_timestamp() - 2 * w.lease_ms * interval '1 ms')`;
}

/** True where nobody works on a run of this queue (an SQL expression). */
export function unheld(queue: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(${queue} is null or (${queue} like 'local:%' and ${workerGone(sql`substr(${queue}, 7)`)}))`;
}
