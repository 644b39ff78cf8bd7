import { type Kysely, sql } from 'kysely';
import type { StateDatabase } from './schema.ts';

type Db = Kysely<StateDatabase>;

/** Where the spans of attempts are, so that those of other processes can point at them. */

export async function storeTrace(db: Db, run: string, stage: string, epoch: number, traceparent: string): Promise<void> {
  await sql`insert into millrace.trace (run, stage, epoch, traceparent) select ${run}, ${stage}, ${epoch}, ${traceparent}
    where exists (select from millrace.run where id = ${run}) on conflict do nothing`.execute(db);
}

/** The newest attempts at these stages of a run, or at all of its stages, at most 128: more links no span may have. */
export async function traces(
  db: Db,
  run: string,
  stages: readonly string[] | null,
): Promise<{ stage: string; epoch: number; traceparent: string }[]> {
  let found = db.selectFrom('trace').select(['stage', 'epoch', 'traceparent']).where('run', '=', run).orderBy('epoch', 'desc').limit(128);
  if (stages) found = found.where('stage', 'in', stages);
  return stages?.length === 0 ? [] : found.execute();
}
