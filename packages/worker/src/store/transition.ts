import {
  attemptResult,
  evolve,
  isEnded,
  type Plan,
  type RunEvent,
  type RunId,
  type RunRecord,
  runNotFound,
  type StageRecord,
  type StoredEvent,
  type Transition,
} from '@millrace/core/runtime';
import { type Kysely, sql, type Transaction } from 'kysely';
import { json } from './json.ts';
import { recordOf, runColumns, type StageRow } from './record.ts';
import type { StateDatabase } from './schema.ts';

type Trx = Transaction<StateDatabase>;
export type PlanOf = (db: Trx, fingerprint: string) => Promise<Plan>;

/**
 * One change of a run, in one transaction: its row is locked first, so that there is one writer to a run and the log has no gaps.
 * Without that lock two stages that end at once would each see the other as unfinished, and nobody would start what waits for both.
 */
export async function transit(
  trx: Trx,
  id: RunId,
  planOf: PlanOf,
  decide: (run: RunRecord, now: Date) => readonly RunEvent[] | Promise<readonly RunEvent[]>,
): Promise<Transition> {
  const row = await trx
    .selectFrom('run')
    .select([...runColumns, 'fingerprint', 'queue', 'pipeline'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!row) throw runNotFound(id);
  const { now, stages } = await lockedStages(trx, id);
  const run = recordOf(row, await planOf(trx, row.fingerprint), stages);
  const decided = await decide(run, now);
  const events = decided.map((event, i): StoredEvent => ({ run: id, seq: run.seq + i + 1, at: now.toISOString(), event }));
  if (events.length === 0) return { run, events };
  const after = evolve(run, events);
  await appendEvents(trx, events);
  await writeStages(trx, run, after);
  await writeAttempts(trx, events);
  await trx
    .updateTable('run')
    .set({ at: after.state.at, state: json(after.state), cancel_requested_at: after.cancelRequestedAt, seq: after.seq })
    .where('id', '=', id)
    .execute();
  await writeOutbox(trx, after, row.queue, events);
  await wakeWaiting(trx, freedLimits(run, events));
  await sql`select pg_notify('millrace', ${id})`.execute(trx);
  return { run: after, events };
}

/** The time is read behind the lock: an event is never older than the one before it. */
async function lockedStages(trx: Trx, id: RunId): Promise<{ now: Date; stages: StageRow[] }> {
  const { rows } = await sql<StageRow & { now: Date; id: string | null }>`
    select t.now, s.id, s.state, s.epoch, s.attempts, s.losses, s.redone
    from (select clock_timestamp() as now) t left join millrace.stage s on s.run = ${id} order by s.ordinal`.execute(trx);
  const { now } = rows[0] as { now: Date };
  const stages = rows.flatMap(({ now: _, ...stage }) => (stage.id === null ? [] : [stage]));
  return { now, stages };
}

async function appendEvents(trx: Trx, events: readonly StoredEvent[]): Promise<void> {
  const rows = events.map(({ run, seq, at, event }) => ({ run, seq, at, type: event.type, body: event }));
  await sql`insert into millrace.run_event (run, seq, at, type, body)
    select run, seq, at, type, body from json_to_recordset(${json(rows)}::json) as e(run text, seq int, at timestamptz, type text, body json)`.execute(
    trx,
  );
}

/** Those that have changed. A stage that runs has a lease by its worker's measure; no other has one. */
async function writeStages(trx: Trx, before: RunRecord, after: RunRecord): Promise<void> {
  const changed = [...after.stages.values()].filter((stage) => before.stages.get(stage.id) !== stage);
  if (changed.length === 0) return;
  await sql`update millrace.stage s set at = c.at, state = c.state, epoch = c.epoch, attempts = c.attempts, losses = c.losses, redone = c.redone,
      ready_at = c.ready_at, retry_at = c.retry_at, rows = c.rows, worker = c.worker, progress = null,
      lease_until = case when c.worker is not null then clock_timestamp() + coalesce((select lease_ms from millrace.worker w where w.id = c.worker), 60000) * interval '1 ms' end
    from json_to_recordset(${json(changed.map(stageRow))}::json) as c(id text, at text, state json, epoch int, attempts int, losses int, redone int,
      ready_at timestamptz, retry_at timestamptz, rows int8, worker text)
    where s.run = ${after.id} and s.id = c.id`.execute(trx);
}

function stageRow({ id, state, epoch, attempts, losses, redone }: StageRecord) {
  return {
    id,
    at: state.at,
    state,
    epoch,
    attempts,
    losses,
    redone,
    ready_at: state.at === 'ready' ? state.since : null,
    retry_at: state.at === 'retrying' ? state.next : null,
    rows: state.at === 'succeeded' && state.output.kind === 'load' ? state.output.receipt.rows : null,
    worker: state.at === 'running' ? state.worker : null,
  };
}

async function writeAttempts(trx: Trx, events: readonly StoredEvent[]): Promise<void> {
  for (const { run, at, event } of events) {
    if (event.type === 'stage.started') {
      const { stage, epoch, attempt, worker } = event;
      await trx.insertInto('attempt').values({ run, stage, epoch, attempt, worker, started_at: at, result: 'running' }).execute();
    } else if ('stage' in event && endsAttempt(event)) {
      await trx
        .updateTable('attempt')
        .set({ ended_at: at, result: attemptResult(event), error: 'error' in event ? json(event.error) : null })
        .where('run', '=', run)
        .where('stage', '=', event.stage)
        .where('ended_at', 'is', null)
        .execute();
    }
  }
}

const endsAttempt = ({ type }: RunEvent): boolean =>
  type === 'stage.succeeded' ||
  type === 'stage.failed' ||
  type === 'stage.retrying' ||
  type === 'stage.released' ||
  type === 'stage.cancelled';

/** Whom this may concern: claimable stages, runs to admit, and those that waited for this one to end. */
async function writeOutbox(trx: Trx, run: RunRecord, queue: string | null, events: readonly StoredEvent[]): Promise<void> {
  const stages = events.flatMap(({ event }) => (event.type === 'stage.ready' || event.type === 'stage.released' ? [event.stage] : []));
  const wakeUps = [
    ...[...new Set(stages)].map((stage) => ({ stage })),
    ...(events.some(({ event }) => event.type === 'run.queued' || event.type === 'run.reopened') ? [{ stage: null }] : []),
  ];
  if (queue !== null && wakeUps.length > 0)
    await trx
      .insertInto('outbox')
      .values(wakeUps.map(({ stage }) => ({ queue, run: run.id, stage })))
      .execute();
  if (!isEnded(run.state)) return;
  await sql`with waiting as (
      insert into millrace.outbox (queue, run) select queue, id from millrace.run where pipeline = ${run.request.pipeline} and at = 'queued' and queue is not null returning run
    ) select pg_notify('millrace', run) from waiting`.execute(trx);
}

/** Limits of which these attempts had been granted a share. */
function freedLimits(before: RunRecord, events: readonly StoredEvent[]): string[] {
  return events.flatMap(({ event }) => {
    const state = 'stage' in event && endsAttempt(event) ? before.stages.get(event.stage)?.state : undefined;
    return state?.at === 'running' ? Object.keys(state.grants ?? {}) : [];
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
