import {
  type PlanStage,
  type RunRecord,
  remoteOf,
  type StageOutput,
  type StageProgress,
  type StageRecord,
  type StageState,
  type WatchEvent,
} from '@millrace/core/runtime';
import { tablesText } from '../stream/stream-lines.ts';
import { count, counted, saidText } from '../text/amount.ts';
import type { RunView, StageView } from './run-view.ts';

/** Follows the events of a run, so that its view is always that of the last one. */
export class RunFold {
  readonly #run: RunRecord;
  readonly #stages: Map<string, { plan: PlanStage; view: StageView }>;

  constructor(run: RunRecord) {
    this.#run = run;
    this.#stages = new Map(run.plan.stages.map((plan) => [plan.id, { plan, view: firstView(plan, run.stages.get(plan.id)) }]));
  }

  /** Answers a remark worth a line of its own, where the event is one. */
  apply(watched: WatchEvent): string | undefined {
    if (watched.kind === 'progress') return this.#progress(watched);
    if (watched.kind === 'log') return watched.level === 'info' ? undefined : `${watched.stage}: ${watched.message}`;
    const { event, at } = watched;
    const time = Date.parse(at);
    switch (event.type) {
      case 'stage.started':
        return this.#change(event.stage, () => ({ ...fresh, at: 'running', attempt: event.attempt, startedAt: time }));
      case 'stage.elsewhere':
        this.#change(event.stage, () => ({ at: 'running', ...this.#elsewhere(event.stage, undefined) }));
        return event.ends && `${event.stage}: gave up (${event.ends.code}), and ends what it may have left: ${event.ends.message}`;
      case 'stage.retrying':
        this.#change(event.stage, () => ({ at: 'retrying', attempt: event.attempt, endedAt: time, note: event.error.message }));
        return `${event.stage}: attempt ${event.attempt} failed (${event.error.code}): ${event.error.message}`;
      case 'stage.released':
        this.#change(event.stage, () => ({
          ...fresh,
          at: 'waiting',
          note: event.because === 'lost' ? 'its process was lost' : 'given back',
        }));
        return event.because === 'lost' ? `${event.stage}: the process that worked on it is gone; it begins again` : undefined;
      case 'stage.succeeded':
        return this.#change(event.stage, (view) => succeeded(event.output, view, time));
      case 'stage.failed':
        return this.#change(event.stage, () => ({ at: 'failed', attempt: event.attempt, endedAt: time, note: event.error.message }));
      case 'stage.cancelled':
        return this.#change(event.stage, () => ({ at: 'cancelled', endedAt: time }));
      case 'stage.skipped':
        return this.#change(event.stage, () => fromState({ at: 'skipped', because: event.because }, undefined));
      case 'run.reopened':
        for (const stage of event.stages) this.#change(stage, () => ({ ...fresh, at: 'waiting' }));
        return undefined;
      case 'run.queued':
        return event.because === null ? undefined : `Run ${this.#run.id} ${event.because}.`;
      case 'stage.ready':
      case 'run.started':
      case 'run.cancel-requested':
      case 'run.succeeded':
      case 'run.partial':
      case 'run.failed':
      case 'run.cancelled':
        return undefined;
      default:
        return event satisfies never;
    }
  }

  view(): RunView {
    const views = [...this.#stages.values()];
    const over = new Set(views.filter(({ view }) => view.at === 'succeeded' || view.at === 'skipped').map(({ view }) => view.id));
    return {
      id: this.#run.id,
      pipeline: this.#run.plan.pipeline,
      startedAt: Date.parse(this.#run.createdAt),
      stages: views.map(({ plan, view }) => {
        const needs = plan.needs.filter((need) => !over.has(need));
        return view.at === 'waiting' && !view.note && needs.length > 0 ? { ...view, note: `waits for ${needs.join(', ')}` } : view;
      }),
    };
  }

  /** Remarks on tables whose first copy is complete. */
  #progress(progress: StageProgress): string | undefined {
    const before = this.#stages.get(progress.stage)?.view.stream?.tables ?? {};
    this.#change(progress.stage, ({ at }) => {
      if (!progress.remote) return progressed(progress);
      // It may come after the end that it was on the way to.
      return at === 'running' ? this.#elsewhere(progress.stage, progress.remote) : {};
    });
    const copied = Object.entries(progress.stream?.tables ?? {}).filter(
      ([table, { at }]) => before[table]?.at === 'copying' && (at === 'catching-up' || at === 'ready'),
    );
    return copied.length > 0 ? `${progress.stage}: ${copied.map(([table]) => table).join(', ')} copied` : undefined;
  }

  /** What a service does, and what it says of it: `Glue job nightly: RUNNING 40 %, https://…` */
  #elsewhere(stage: string, remote: StageProgress['remote']): Partial<StageView> {
    const { status = null, progress = null, link = null, id = null } = remote ?? {};
    const label = remoteOf(this.#run.plan, stage)?.label ?? stage;
    const said = [...(status === null ? [] : [saidText(status, progress)]), ...((link ?? id) ? [link ?? id] : [])].join(', ');
    return { phase: 'elsewhere', note: said === '' ? label : `${label}: ${said}` };
  }

  #change(stage: string, change: (view: StageView) => Partial<StageView>): undefined {
    const entry = this.#stages.get(stage);
    if (entry) entry.view = { ...entry.view, ...change(entry.view) };
    return undefined;
  }
}

const fresh = {
  phase: null,
  attempt: 0,
  rows: 0,
  bytes: 0,
  expectedRows: null,
  splits: null,
  startedAt: null,
  endedAt: null,
  stream: null,
  note: null,
} as const;

function firstView(plan: PlanStage, record: StageRecord | undefined): StageView {
  const base: StageView = { id: plan.id, lane: plan.lane, at: 'waiting', ...fresh };
  return record ? { ...base, ...fromState(record.state, record) } : base;
}

/** The view of a state in which a stage is found, without the events that led there. */
function fromState(state: StageState, record: StageRecord | undefined): Partial<StageView> {
  switch (state.at) {
    case 'waiting':
    case 'ready':
      return { at: 'waiting', attempt: record?.attempts ?? 0 };
    case 'running':
      return { at: 'running', attempt: state.attempt, startedAt: Date.parse(state.since) };
    case 'elsewhere':
      return { at: 'running', phase: 'elsewhere', attempt: state.attempt, startedAt: Date.parse(state.since) };
    case 'retrying':
      return { at: 'retrying', attempt: state.attempt, note: state.error.message };
    case 'succeeded':
      return { ...succeeded(state.output, undefined, Date.parse(state.since)), attempt: state.attempt };
    case 'failed':
      return { at: 'failed', attempt: state.attempt, note: state.error.message };
    case 'cancelled':
      return { at: 'cancelled' };
    case 'skipped':
      return { at: 'skipped', note: skipText(state.because) };
    default:
      return state satisfies never;
  }
}

export function skipText(because: Extract<StageState, { at: 'skipped' }>['because']): string | null {
  switch (because.kind) {
    case 'not-selected':
      return null;
    case 'upstream':
      return `${because.stage} did not succeed`;
    case 'stopped':
      return `the run ended with ${because.stage}`;
    default:
      return because satisfies never;
  }
}

function progressed({ phase, rows, bytes, splits, estimate, stream }: StageProgress): Partial<StageView> {
  return { phase, rows, bytes, splits: splits.total > 0 ? splits : null, expectedRows: estimate.rows, stream: stream ?? null };
}

function succeeded(output: StageOutput, view: StageView | undefined, endedAt: number): Partial<StageView> {
  return {
    at: 'succeeded',
    endedAt,
    rows: rowsOf(output),
    bytes: output.kind === 'load' ? output.receipt.bytes : 0,
    splits: output.kind === 'load' && output.splits > 0 ? { done: output.splits, total: output.splits } : null,
    ...(view === undefined ? { startedAt: null } : {}),
    stream: output.kind === 'changes' ? output.stream : null,
    note: outputNote(output),
  };
}

function rowsOf(output: StageOutput): number {
  switch (output.kind) {
    case 'load':
      return output.receipt.rows;
    case 'changes':
      return output.stream.changes;
    case 'execute':
      return output.rowsAffected.reduce<number>((sum, rows) => sum + (rows ?? 0), 0);
    case 'remote':
      return 0;
    default:
      return output satisfies never;
  }
}

/** What a person should see of a success: what was set aside, what a check found, that nothing had to be done. */
export function outputNote(output: StageOutput): string | null {
  if (output.kind === 'remote') return null;
  const notes: string[] = [];
  if (output.kind === 'load') {
    if (output.alreadyApplied) notes.push('an earlier attempt had committed it');
    for (const [step, rows] of Object.entries(output.rejected))
      if (rows > 0) notes.push(`${counted(rows, 'bad row')} of ${step} set aside`);
  } else if (output.kind === 'changes') {
    notes.push(`caught up: ${tablesText(output.stream.tables)}`);
    const setAside = output.stream.sinks.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
    if (setAside > 0) notes.push(`${counted(setAside, 'change')} among the dead letters`);
  } else if (output.alreadyDone) notes.push('an earlier attempt had done it');
  const failed = output.checks.filter(({ passed }) => !passed);
  for (const { check, found } of failed) notes.push(`${check}: ${found}`);
  if (failed.length === 0 && output.checks.length > 0) notes.push(`${count(output.checks.length)} checks hold`);
  return notes.length > 0 ? notes.join('; ') : null;
}
