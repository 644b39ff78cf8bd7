import { attemptResult, type RunEvent, type RunRecord, type StageRecord, type StoredEvent } from '@millrace/core/runtime';
import { json } from './json.ts';

/** A change of a run, ready to be written. */
export interface Change {
  readonly before: RunRecord;
  readonly after: RunRecord;
  readonly events: readonly StoredEvent[];
}

export interface Statement {
  readonly text: string;
  readonly values: readonly string[];
}

/**
 * Changes of runs in one statement: the runs with their stages, the log, attempts and wake-ups. Each counts on its `before`: of a run that
 * has moved on from there, or that somebody holds, it writes nothing. A row for each run that was changed, with the time. What begins an
 * attempt and what ends that same attempt do not go into one statement, which would not see its own row (see `writable`).
 *
 * `alone`: a statement that is a transaction, with runs that have nothing to do with each other: where it has to wait for a row that
 * somebody holds, it fails after two seconds, and the others need not wait with it.
 */
export function write(changes: readonly Change[], { alone }: { readonly alone: boolean }): Statement {
  const stages = changes.flatMap(({ before, after }) =>
    [...after.stages.values()].flatMap((stage) => (before.stages.get(stage.id) === stage ? [] : [stageRow(after.id, stage)])),
  );
  const events = changes.flatMap((change) => change.events);
  const rows = [
    changes.map(runRow),
    events.map(({ run, seq, at, event }) => ({ run, seq, at, type: event.type, body: event })),
    stages,
    changes.flatMap((change) => change.events.flatMap((one) => endedRow(change.before, one))),
    events.flatMap(begunRow),
    changes.flatMap(wakeUps),
  ];
  const few = rows.every(({ length }) => length <= fewRows);
  return { text: texts[`${few ? 'few' : 'many'} ${alone ? 'alone' : 'within'}`], values: rows.map(json) };
}

/** So many rows are looked up one by one, and the planner is told so: it would read all stages of a run to change two of them. */
const fewRows = 32;

/** A stage that runs has a lease by its worker's measure; no other has one. */
const text = (few: boolean, alone: boolean): string => {
  const rows = (parameter: string, columns: string): string =>
    `(select * from json_to_recordset(${parameter}::json) as rows(${columns})${few ? ` limit ${fewRows}` : ''})`;
  return `with ${alone ? "patience as materialized (select set_config('lock_timeout', '2s', true)), " : ''}wanted as materialized (
    select w.* from ${alone ? 'patience, ' : ''}${rows('$1', 'run text, before int, seq int, at text, state json, cancelled timestamptz')} w),
  held as (
    select r.id from wanted w join millrace.run r on r.id = w.run and r.seq = w.before for no key update of r skip locked),
  moved as (
    update millrace.run r set at = w.at, state = w.state, cancel_requested_at = w.cancelled, seq = w.seq
    from held join wanted w on w.run = held.id where r.id = held.id returning r.id, r.queue),
  logged as (
    insert into millrace.run_event (run, seq, at, type, body)
    select e.run, e.seq, e.at, e.type, e.body
    from ${rows('$2', 'run text, seq int, at timestamptz, type text, body json')} e join moved on moved.id = e.run),
  changed as (
    update millrace.stage s set at = c.at, state = c.state, epoch = c.epoch, attempts = c.attempts, losses = c.losses, redone = c.redone, settled = c.settled,
      ready_at = c.ready_at, retry_at = c.retry_at, rows = c.rows, worker = c.worker, progress = null,
      lease_until = case when c.worker is not null
        then clock_timestamp() + coalesce((select lease_ms from millrace.worker w where w.id = c.worker), 60000) * interval '1 ms' end
    from ${rows('$3', 'run text, id text, at text, state json, epoch int, attempts int, losses int, redone int, settled int, ready_at timestamptz, retry_at timestamptz, rows int8, worker text')} c
    join moved on moved.id = c.run
    where s.run = c.run and s.id = c.id),
  over as (
    update millrace.attempt a set ended_at = e.at, result = e.result, error = e.error
    from ${rows('$4', 'run text, stage text, epoch int, at timestamptz, result text, error json')} e join moved on moved.id = e.run
    where a.run = e.run and a.stage = e.stage and a.epoch = e.epoch and a.ended_at is null),
  begun as (
    insert into millrace.attempt (run, stage, epoch, attempt, worker, started_at, result)
    select b.run, b.stage, b.epoch, b.attempt, b.worker, b.at, 'running'
    from ${rows('$5', 'run text, stage text, epoch int, attempt int, worker text, at timestamptz')} b join moved on moved.id = b.run),
  told as (
    insert into millrace.outbox (queue, run, stage)
    select moved.queue, w.run, w.stage from ${rows('$6', 'run text, stage text')} w join moved on moved.id = w.run where moved.queue is not null)
  select id as run, clock_timestamp() as now from moved`;
};

const texts = {
  'few alone': text(true, true),
  'few within': text(true, false),
  'many alone': text(false, true),
  'many within': text(false, false),
} as const;

function runRow({ before, after }: Change) {
  const { id, seq, state, cancelRequestedAt } = after;
  return { run: id, before: before.seq, seq, at: state.at, state, cancelled: cancelRequestedAt };
}

function stageRow(run: string, { id, state, epoch, attempts, losses, redone, settled }: StageRecord) {
  return {
    run,
    id,
    at: state.at,
    state,
    epoch,
    attempts,
    losses,
    redone,
    settled,
    ready_at: state.at === 'ready' ? state.since : null,
    retry_at: state.at === 'retrying' ? state.next : null,
    rows: state.at === 'succeeded' && state.output.kind === 'load' ? state.output.receipt.rows : null,
    worker: state.at === 'running' ? state.worker : null,
  };
}

function begunRow({ run, at, event }: StoredEvent) {
  if (event.type !== 'stage.started') return [];
  const { stage, epoch, attempt, worker } = event;
  return [{ run, stage, epoch, attempt, worker, at }];
}

/** Nothing where no attempt was under way: a stage that is cancelled before it begins has none. */
function endedRow(before: RunRecord, { run, at, event }: StoredEvent) {
  const state = 'stage' in event && endsAttempt(event) ? before.stages.get(event.stage)?.state : undefined;
  if (!('stage' in event) || (state?.at !== 'running' && state?.at !== 'elsewhere')) return [];
  return [{ run, stage: event.stage, epoch: state.epoch, at, result: attemptResult(event), error: 'error' in event ? event.error : null }];
}

export const endsAttempt = ({ type }: RunEvent): boolean =>
  type === 'stage.succeeded' ||
  type === 'stage.failed' ||
  type === 'stage.retrying' ||
  type === 'stage.released' ||
  type === 'stage.cancelled';

/** Whom this may concern: stages that can be claimed, and runs to admit. A stage that was claimed in the same breath concerns nobody. */
function wakeUps({ after, events }: Change): { run: string; stage: string | null }[] {
  const ready = events.flatMap(({ event }) => (event.type === 'stage.ready' || event.type === 'stage.released' ? [event.stage] : []));
  const admit = events.some(({ event }) => event.type === 'run.queued' || event.type === 'run.reopened');
  const open = [...new Set(ready)].filter((stage) => after.stages.get(stage)?.state.at === 'ready');
  const run = after.id;
  return [...open.map((stage) => ({ run, stage })), ...(admit ? [{ run, stage: null }] : [])];
}

/** Parts of these events that can each be written in one statement; hardly ever more than one. */
export function writable(events: readonly StoredEvent[]): StoredEvent[][] {
  const parts: StoredEvent[][] = [[]];
  let begun = new Set<string>();
  for (const one of events) {
    const { event } = one;
    if ('stage' in event && endsAttempt(event) && begun.has(event.stage)) {
      parts.push([]);
      begun = new Set();
    }
    if (event.type === 'stage.started') begun.add(event.stage);
    (parts.at(-1) as StoredEvent[]).push(one);
  }
  return parts;
}
