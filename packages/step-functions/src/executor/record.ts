import {
  decide,
  evolve,
  type Found,
  isEnded,
  type Json,
  type LeaseState,
  machineBegan,
  machineEnded,
  type RunEvent,
  type RunRecord,
  remoteOf,
  type StageRecord,
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
  const gone = end.leases.filter(({ workerGone, until }) => workerGone || Date.parse(until) < now.getTime());
  const steps: Step[] = [
    (record) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now),
    ...gone.map(
      ({ stage, epoch }): Step =>
        (record) =>
          decide(record, { type: 'lose', stage, epoch }, now),
    ),
    ...(end.status === 'ABORTED' ? [(record: RunRecord) => decide(record, { type: 'cancel' }, now)] : []),
    ...inOrder(run, end.stage).flatMap((id): Step[] => [(record) => left(record, id, end, now), (record) => closed(record, id, end, now)]),
  ];
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

type Step = (run: RunRecord) => RunEvent[];

/** The stage that was in trouble comes first: what others are told depends on it. */
const inOrder = ({ plan }: RunRecord, first: string | null): string[] =>
  plan.stages.map(({ id }) => id).sort((a, b) => Number(b === first) - Number(a === first));

/** Work elsewhere that nobody watches any more, beside what was in trouble. */
function left(run: RunRecord, id: string, { status, stage, alive }: End, now: Date): RunEvent[] {
  const { state } = run.stages.get(id) as StageRecord;
  if (state.at !== 'elsewhere' || status === 'SUCCEEDED' || (id === stage && run.cancelRequestedAt === null)) return [];
  if (state.worker !== null && alive.has(state.worker)) return [];
  return decide(run, { type: 'found', stage: id, epoch: state.epoch, found: { at: 'nothing' }, random: 0 }, now);
}

/** What the machine leaves open is done where it has come to its good end, and has failed for good elsewhere. */
function closed(run: RunRecord, id: string, { status, failure, link }: End, now: Date): RunEvent[] {
  const { state } = run.stages.get(id) as StageRecord;
  if (isEnded(run.state) || run.cancelRequestedAt !== null || state.at === 'running') return [];
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
    const inside = name === 'job' || name === 'Tasks' ? workIn((Array.isArray(value) ? value[0] : value) as Json) : null;
    if (inside !== null) return inside;
  }
  return null;
}
