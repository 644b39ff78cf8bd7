import type { StoredError } from '../error/index.ts';
import { type PlanStage, remoteOf } from '../plan/index.ts';
import { evolve, type Found, isFinal, type RunEvent, type RunRecord, type StageRecord, type StageState } from '../state/index.ts';
import { type Command, decide } from './decide.ts';
import { stagesById } from './downstream.ts';

/*
 * A run whose stages a state machine orders. What its tasks do they report themselves; what the machine does without any of them (work that a
 * service does natively, a task that never came to its first line) is recorded here, by the same commands, as that of a worker of its own.
 * All of it is safe to repeat: what is recorded already stays as it is.
 */

/** The queue of runs that belong to an execution of Step Functions: no worker takes anything from it unasked. */
export const stepFunctionsQueue = 'step-functions';

/** Who has begun what Step Functions does by itself. */
export const stepFunctionsWorker = 'step-functions';

/** The machine has begun work at a service. */
export function machineBegan(run: RunRecord, stage: string, now: Date): RunEvent[] {
  return kindOf(run, stage) === 'remote' ? inTurn(run, begins(stage), now) : [];
}

/**
 * What has become of a stage that no task reports. A success is taken for work at a service alone; a failure is one for good, with a code that
 * says so, and ends also an attempt that still runs somewhere. What a task has begun at a service may go on all the same: it is taken up again by
 * the next attempt, and nothing is started beside it.
 */
export function machineEnded(run: RunRecord, stage: string, found: Exclude<Found, { at: 'nothing' }>, now: Date): RunEvent[] {
  if (found.at === 'succeeded' && kindOf(run, stage) !== 'remote') return [];
  const told = found.at === 'failed' && leftByTask(run, stage) ? { ...found, error: mayGoOn(found.error), over: false } : found;
  return inTurn(run, [...begins(stage), parks(stage), (record) => ends(stage, stateOf(record, stage), told)], now);
}

/** Work elsewhere that nobody watches any more is not known to go on where the machine has done it, and may where a task has begun it. */
export function machineLeft(run: RunRecord, stage: string, now: Date): RunEvent[] {
  return inTurn(run, [leaves(stage)], now);
}

/**
 * The execution was redriven, and the run has not been opened again for it: what was open has ended with the execution, and all that has not
 * succeeded begins anew. Attempts that still run are asked to stop; when they have, the same is asked again.
 */
export function machineRedriven(run: RunRecord, now: Date): RunEvent[] {
  const stages = run.plan.stages.map(({ id }) => leaves(id));
  return inTurn(run, [() => ({ type: 'cancel' }), ...stages, () => ({ type: 'reopen', from: [] }), admitted], now);
}

/**
 * The machine has come to a stage: what is before it is over, also where nobody has said so. `failed`: those that have, and may, wherever they
 * stand.
 */
export function machineReached(run: RunRecord, stage: string, failed: ReadonlySet<string>, now: Date): RunEvent[] {
  const events = inTurn(run, [admitted], now);
  let record = after(run, events, now);
  for (const id of settledBy(run, stage, failed)) {
    const more = failed.has(id)
      ? machineEnded(record, id, { at: 'failed', error: gaveUp(id), over: true }, now)
      : onlyNative(record, id)
        ? machineEnded(record, id, { at: 'succeeded', output: outputOf(record, id) }, now)
        : [];
    events.push(...more);
    record = after(record, more, now);
  }
  return events;
}

type Step = (run: RunRecord) => Command | null;

const admitted: Step = () => ({ type: 'admit', rivals: [], limit: 1 });

const begins = (stage: string): readonly Step[] => [
  admitted,
  () => ({ type: 'due', stage }),
  () => ({ type: 'claim', stage, worker: stepFunctionsWorker }),
  (run) => {
    const state = stateOf(run, stage);
    return state?.at === 'running' && state.worker === stepFunctionsWorker ? { type: 'park', stage, epoch: state.epoch } : null;
  },
];

/** Of what a service does, an attempt that still runs has only begun it. */
const parks =
  (stage: string): Step =>
  (run) => {
    const state = stateOf(run, stage);
    return state?.at === 'running' && kindOf(run, stage) === 'remote' ? { type: 'park', stage, epoch: state.epoch } : null;
  };

const leaves =
  (stage: string): Step =>
  (run) => {
    const state = stateOf(run, stage);
    if (state?.at !== 'elsewhere') return null;
    const found: Found =
      state.worker === stepFunctionsWorker ? { at: 'nothing' } : { at: 'failed', error: mayGoOn(gaveUp(stage)), over: false };
    return { type: 'found', stage, epoch: state.epoch, found, random: 0 };
  };

function ends(stage: string, state: StageState | undefined, found: Exclude<Found, { at: 'nothing' }>): Command | null {
  if (state?.at === 'elsewhere') return { type: 'found', stage, epoch: state.epoch, found, random: 0 };
  if (state?.at !== 'running' || found.at === 'succeeded') return null;
  return { type: 'fail', stage, epoch: state.epoch, error: found.error, random: 0 };
}

function inTurn(run: RunRecord, steps: readonly Step[], now: Date): RunEvent[] {
  const events: RunEvent[] = [];
  let record = run;
  for (const step of steps) {
    const command = step(record);
    const more = command ? decide(record, command, now) : [];
    events.push(...more);
    record = after(record, more, now);
  }
  return events;
}

const after = (run: RunRecord, events: readonly RunEvent[], now: Date): RunRecord =>
  evolve(
    run,
    events.map((event) => ({ event, at: now.toISOString() })),
  );

/** What has failed, and all that a stage needs, directly or not, in the order of the plan, where it is not over. */
function settledBy({ plan, stages }: RunRecord, stage: string, failed: ReadonlySet<string>): string[] {
  const found = new Set([stage]);
  for (const { id, needs } of [...plan.stages].reverse()) if (found.has(id)) for (const need of needs) found.add(need);
  found.delete(stage);
  return plan.stages.flatMap(({ id }) =>
    (found.has(id) || failed.has(id)) && !isFinal((stages.get(id) as StageRecord).state) ? [id] : [],
  );
}

/** Work at a service that none of our tasks has begun: the machine has done it. */
function onlyNative(run: RunRecord, id: string): boolean {
  if (kindOf(run, id) !== 'remote') return false;
  const { state, epoch, settled } = run.stages.get(id) as StageRecord;
  if (state.at === 'elsewhere') return state.worker === stepFunctionsWorker;
  // Nobody need have seen the attempt that followed the one that failed.
  return (state.at === 'ready' || state.at === 'retrying') && epoch === settled;
}

/** Work at a service that one of our tasks has begun, or may have, and of which nobody knows that it is over. */
function leftByTask(run: RunRecord, id: string): boolean {
  if (kindOf(run, id) !== 'remote') return false;
  const { state, epoch, settled } = run.stages.get(id) as StageRecord;
  return state.at === 'elsewhere' ? state.worker !== stepFunctionsWorker : epoch > settled;
}

function outputOf({ id: run, plan }: RunRecord, stage: string): Extract<Found, { at: 'succeeded' }>['output'] {
  const label = remoteOf(plan, stage)?.label ?? stage;
  return { kind: 'remote', label, handle: { id: run, link: null, detail: {} }, output: {} };
}

const gaveUp = (stage: string): StoredError => ({
  code: 'REMOTE_FAILED',
  message: `Step Functions has given stage "${stage}" up, and nobody has said why.`,
  remedy: "Look at the execution's history, and at the log of the stage's last task.",
  facts: { stage },
});

const mayGoOn = (error: StoredError): StoredError => ({
  ...error,
  message: `${error.message} What a task has begun at its service may go on.`,
  remedy: 'Look whether it goes on, and end it there if it is not wanted. "millrace runs retry" takes it up again.',
});

const stateOf = (run: RunRecord, stage: string): StageState | undefined => run.stages.get(stage)?.state;

const kindOf = ({ plan }: RunRecord, stage: string): PlanStage['kind'] | undefined => stagesById(plan).get(stage)?.kind;
