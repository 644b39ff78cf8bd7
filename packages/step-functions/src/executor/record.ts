import {
  decide,
  downstream,
  evolve,
  type Found,
  type GoesOnBy,
  isEnded,
  type Json,
  type LeaseState,
  machineBegan,
  machineEnded,
  machineLeft,
  machineRedriven,
  type RunEvent,
  type RunRecord,
  remoteOf,
  type StageRecord,
  type StageState,
  stepFunctionsWorker,
} from '@millrace/core/runtime';
import { type Failure, storedFailure } from './failure.ts';
import type { Happening } from './history.ts';

/** What a machine did becomes part of the run's record, by the rules that hold for everybody. Pure; nothing where the record has it. */
export function recorded(run: RunRecord, happening: Happening, link: string, now: Date): RunEvent[] {
  const { stage, attempt } = happening;
  const record = run.stages.get(stage);
  if (!record) return [];
  if (happening.type === 'began') return record.attempts < attempt ? machineBegan(run, stage, now) : [];
  // One that ended before, or that has been followed by another.
  if (record.attempts > attempt || (record.attempts === attempt && record.state.at !== 'elsewhere')) return [];
  if (happening.type === 'failed')
    return machineEnded(run, stage, { at: 'failed', error: storedFailure(happening.failure, happening.passes, link), over: true }, now);
  return machineEnded(run, stage, succeeded(run, stage, happening.output, link), now);
}

/** How an execution has ended, and what is known of those who worked for it. */
export interface End {
  readonly status: 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';
  readonly failure: Failure;
  /** The stage that brought it there; null where nobody knows. */
  readonly stage: string | null;
  readonly link: string;
  /** Of stages that the record has as running. */
  readonly leases: readonly LeaseState[];
  /** Workers that live. */
  readonly alive: ReadonlySet<string>;
}

/**
 * An execution has ended, so nothing follows by itself: the run ends with it. Only a task that is still being stopped has its time to say how
 * its stage ended; the same is asked again when it has.
 */
export function concluded(run: RunRecord, end: End, now: Date): RunEvent[] {
  return inTurn(run, now, [
    (record) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now),
    ...lost(end.leases, now),
    ...(end.status === 'ABORTED' ? [(record: RunRecord) => decide(record, { type: 'cancel' }, now)] : []),
    ...inOrder(run, end.stage).flatMap((id): Step[] => [(record) => left(record, id, end, now), (record) => closed(record, id, end, now)]),
  ]);
}

/** The execution was redriven by somebody who has not told the record. Nothing comes of it while attempts of before are being stopped. */
export function redriven(run: RunRecord, leases: readonly LeaseState[], now: Date): RunEvent[] {
  return inTurn(run, now, [...lost(leases, now), (record) => machineRedriven(record, now)]);
}

/** Work that a service has done natively. */
export interface Done {
  /** What it has answered. */
  readonly output: Json;
  readonly link: string;
}

/**
 * The run is to go on. What services have done is so in the record from here on, whoever has looked before, unless it is to be done again: it stands
 * behind `from`.
 */
export function reopened(
  run: RunRecord,
  { from, by, done }: { readonly from: readonly string[]; readonly by: GoesOnBy; readonly done: ReadonlyMap<string, Done> },
  now: Date,
): RunEvent[] {
  const events = decide(run, { type: 'reopen', from, by }, now);
  if (events.length === 0) return [];
  const again = downstream(run.plan, from);
  const known = run.plan.stages.flatMap(({ id }): Step[] => {
    const one = again.has(id) ? undefined : done.get(id);
    return one ? [(record) => machineEnded(record, id, succeeded(record, id, one.output, one.link), now)] : [];
  });
  return inTurn(run, now, [() => events, ...known]);
}

type Step = (run: RunRecord) => RunEvent[];

function inTurn(run: RunRecord, now: Date, steps: readonly Step[]): RunEvent[] {
  const events: RunEvent[] = [];
  let record = run;
  for (const step of steps) {
    const more = step(record);
    events.push(...more);
    record = evolve(
      record,
      more.map((event) => ({ event, at: now.toISOString() })),
    );
  }
  return events;
}

/** Attempts of which nobody hears any more. */
const lost = (leases: readonly LeaseState[], now: Date): Step[] =>
  leases
    .filter(({ workerGone, until }) => workerGone || Date.parse(until) < now.getTime())
    .map(
      ({ stage, epoch }): Step =>
        (record) =>
          decide(record, { type: 'lose', stage, epoch }, now),
    );

/** The stage that was in trouble comes first: what others are told depends on it. */
const inOrder = ({ plan }: RunRecord, first: string | null): string[] =>
  plan.stages.map(({ id }) => id).sort((a, b) => Number(b === first) - Number(a === first));

/** Work elsewhere that nobody watches any more, beside what was in trouble. */
function left(run: RunRecord, id: string, { status, stage, alive }: End, now: Date): RunEvent[] {
  const { state } = run.stages.get(id) as StageRecord;
  if (state.at !== 'elsewhere' || status === 'SUCCEEDED' || isWatched(state, alive)) return [];
  // What is known of its end is told as it is.
  if (run.cancelRequestedAt === null && (id === stage || state.worker !== stepFunctionsWorker)) return [];
  return machineLeft(run, id, now);
}

/** By a task of ours that lives: it says how the work ends, or goes. */
const isWatched = (state: StageState, alive: ReadonlySet<string>): boolean =>
  state.at === 'elsewhere' && state.worker !== null && alive.has(state.worker);

/** What the machine leaves open is done where it has come to its good end, and has failed for good elsewhere. */
function closed(run: RunRecord, id: string, { status, failure, link, alive }: End, now: Date): RunEvent[] {
  const { state } = run.stages.get(id) as StageRecord;
  if (isEnded(run.state) || run.cancelRequestedAt !== null || state.at === 'running' || isWatched(state, alive)) return [];
  const done = status === 'SUCCEEDED' ? machineEnded(run, id, succeeded(run, id, {}, link), now) : [];
  if (done.length > 0 || (state.at !== 'ready' && state.at !== 'retrying' && state.at !== 'elsewhere')) return done;
  return machineEnded(run, id, { at: 'failed', error: storedFailure(failure, false, link), over: true }, now);
}

function succeeded({ plan }: RunRecord, stage: string, output: Json, link: string): Extract<Found, { at: 'succeeded' }> {
  const label = remoteOf(plan, stage)?.label ?? stage;
  return { at: 'succeeded', output: { kind: 'remote', label, handle: { id: workIn(output) ?? link, link, detail: {} }, output: {} } };
}

/** Of what an integration of Step Functions answers when work has ended: what the service calls it. */
function workIn(output: Json): string | null {
  if (typeof output !== 'object' || output === null) return null;
  for (const [name, value] of Object.entries(output)) {
    if (typeof value === 'string' && /^(JobRunId|TaskArn|ExecutionArn|MessageId|Id)$/.test(name)) return value;
    const inside = name === 'Tasks' ? workIn((Array.isArray(value) ? value[0] : value) as Json) : null;
    if (inside !== null) return inside;
  }
  return null;
}
