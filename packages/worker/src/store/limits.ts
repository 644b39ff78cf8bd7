import { limitKey, type RunRecord, stagesById } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/**
 * Counted from the attempts that run, from those whose work goes on elsewhere and from who helps, so that whoever dies frees what it had with
 * its lease.
 */
export async function granted(db: Db, keys?: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ key: string; sum: string }>`
    select g.key, sum(g.value::int) from (
      select s.state -> 'grants' as grants from millrace.stage s where s.at = 'running'
      union all
      select s.state -> 'grants' from millrace.stage s where s.at = 'elsewhere'
      union all
      select h.grants from millrace.share h join millrace.stage s on s.run = h.run and s.id = h.stage and s.epoch = h.epoch and s.at = 'running'
      where h.lease_until > clock_timestamp()
    ) of_running, json_each_text(grants) g
    where ${keys ? sql`g.key = any (${keys})` : sql`true`} group by g.key`.execute(db);
  return new Map(rows.map(({ key, sum }) => [key, Number(sum)]));
}

/** The same for the limits of one stage. Until the transaction ends nobody else looks at these. */
export async function grantedBeside(trx: Db, run: RunRecord, stage: string): Promise<ReadonlyMap<string, number>> {
  const keys = (stagesById(run.plan).get(stage)?.limits ?? []).map(limitKey).sort();
  if (keys.length === 0) return new Map();
  // In the same order everywhere, and after the run's own row: two claims never wait for each other.
  for (const key of keys) await sql`select pg_advisory_xact_lock(hashtextextended(${`millrace limit ${key}`}, 0))`.execute(trx);
  return granted(trx, keys);
}
