import { limitKey, type RunRecord, stagesById } from '@millrace/core/runtime';
import { type Kysely, sql } from 'kysely';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Counted from the attempts that run, so that one that died frees its share with its lease. */
export async function granted(db: Db, keys?: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ key: string; sum: string }>`
    select g.key, sum(g.value::int) from millrace.stage s, json_each_text(s.state -> 'grants') g
    where s.at = 'running' and ${keys ? sql`g.key = any (${keys})` : sql`true`} group by g.key`.execute(db);
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
