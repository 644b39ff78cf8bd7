import {
  evolve,
  isEnded,
  type Plan,
  type RunEvent,
  type RunId,
  type RunRecord,
  runNotFound,
  type StoredEvent,
  type Transition,
} from '@millrace/core/runtime';
import { CompiledQuery, type Kysely, sql, type Transaction } from 'kysely';
import { json } from './json.ts';
import { type RunRow, recordOf, runColumns, stageColumns } from './record.ts';
import type { StateDatabase } from './schema.ts';
import { endsAttempt, writable, write } from './write.ts';

type Trx = Transaction<StateDatabase>;
export type PlanOf = (db: Trx, fingerprint: string) => Promise<Plan>;

/**
 * One change of a run, in one transaction: its row is locked first, so that there is one writer to a run and the log has no gaps.
 * Without that lock two stages that end at once would each see the other as unfinished, and nobody would start what waits for both.
 * `known` is the run as it was some time ago: what has happened since is added to it, instead of reading all of it again. Who calls this
 * tells others of the change once it is committed, see `Notices`.
 */
export async function transit(
  trx: Trx,
  id: RunId,
  planOf: PlanOf,
  decide: (run: RunRecord, now: Date) => readonly RunEvent[] | Promise<readonly RunEvent[]>,
  known?: RunRecord,
): Promise<Transition & { readonly now: Date }> {
  const row = await trx
    .selectFrom('run')
    .select([...runColumns, 'fingerprint'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!row) throw runNotFound(id);
  const { run, now } = (known && (await caughtUp(trx, known, row.seq))) ?? (await readAll(trx, row, planOf));
  const events = stored(run, await decide(run, now), now);
  if (events.length === 0) return { run, events, now };
  let after = run;
  for (const part of writable(events)) {
    const before = after;
    after = evolve(before, part);
    const { text, values } = write([{ before, after, events: part }], { alone: false });
    await trx.executeQuery(CompiledQuery.raw(text, [...values]));
  }
  if (isEnded(after.state)) await wakeQueued(trx, after.request.pipeline);
  await wakeWaiting(trx, freedLimits(run, events));
  return { run: after, events, now };
}

/** As they will come back from the log. */
export function stored(run: RunRecord, decided: readonly RunEvent[], now: Date): StoredEvent[] {
  if (decided.length === 0) return [];
  const events = JSON.parse(json(decided)) as RunEvent[];
  return events.map((event, i) => ({ run: run.id, seq: run.seq + i + 1, at: now.toISOString(), event }));
}

/** The time is read behind the lock: an event is never older than the one before it. */
async function readAll(trx: Trx, row: RunRow & { fingerprint: string }, planOf: PlanOf): Promise<{ run: RunRecord; now: Date }> {
  const stages = await trx.selectFrom('stage').select(stageColumns).where('run', '=', row.id).orderBy('ordinal').execute();
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(trx);
  return { run: recordOf(row, await planOf(trx, row.fingerprint), stages), now: (rows[0] as { now: Date }).now };
}

/** Undefined where the log does not lead from there to `seq`. */
async function caughtUp(trx: Trx, known: RunRecord, seq: number): Promise<{ run: RunRecord; now: Date } | undefined> {
  const { rows } = await sql<{ now: Date; at: Date | null; body: RunEvent }>`
    select t.now, e.at, e.body from (select clock_timestamp() as now) t
    left join millrace.run_event e on e.run = ${known.id} and e.seq > ${known.seq} order by e.seq`.execute(trx);
  const events = rows.flatMap(({ at, body }) => (at === null ? [] : [{ at: at.toISOString(), event: body }]));
  if (known.seq + events.length !== seq) return undefined;
  return { run: evolve(known, events), now: (rows[0] as { now: Date }).now };
}

/** Runs of the pipeline that may have waited for the end of another. */
async function wakeQueued(trx: Trx, pipeline: string): Promise<void> {
  await sql`with waiting as (
      insert into millrace.outbox (queue, run) select queue, id from millrace.run where pipeline = ${pipeline} and at = 'queued' and queue is not null returning run
    ) select pg_notify('millrace', run) from waiting`.execute(trx);
}

/** Limits of which these attempts had been granted a share. */
export function freedLimits(before: RunRecord, events: readonly StoredEvent[]): string[] {
  return events.flatMap(({ event }) => {
    const state = 'stage' in event && endsAttempt(event) ? before.stages.get(event.stage)?.state : undefined;
    return state?.at === 'running' || state?.at === 'elsewhere' ? Object.keys(state.grants ?? {}) : [];
  });
}

/** Stages that may have waited for what is free again; more than one, since one that is woken may not be able to. */
export async function wakeWaiting(trx: Kysely<StateDatabase>, free: readonly string[]): Promise<void> {
  if (free.length === 0) return;
  await sql`with waiting as (
      insert into millrace.outbox (queue, run, stage)
      select r.queue, s.run, s.id from millrace.stage s join millrace.run r on r.id = s.run
      where s.at = 'ready' and s.limits && ${free} and r.at = 'running' and r.queue is not null order by s.ready_at limit ${woken} returning run
    ) select pg_notify('millrace', run) from waiting`.execute(trx);
}

const woken = 4;
