import type { StoredError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';
import { endsWork, judge, refusesStart } from '../run/retry.ts';
import {
  apply,
  type Found,
  type GoesOnBy,
  type Grants,
  isEnded,
  isFinal,
  type Rival,
  type RunEvent,
  type RunRecord,
  type StageOutput,
  type StageRecord,
  type StageState,
} from '../state/index.ts';
import { downstream, stagesById } from './downstream.ts';
import { grantsOf, type Room } from './limits.ts';

/** What somebody wants of a run. Commands about an attempt carry its epoch: those of an older one change nothing. */
export type Command =
  /** The run may start, unless so many others of its pipeline run. */
  | { readonly type: 'admit'; readonly rivals: readonly Rival[]; readonly limit: number }
  /** Without `room` the stage's limits are not looked at. */
  | { readonly type: 'claim'; readonly stage: string; readonly worker: string; readonly room?: Room }
  /** Retries that are due become ready. */
  | { readonly type: 'wake' }
  /** Whoever orders the stages of this run has made the pause before a retry: it is due. */
  | { readonly type: 'due'; readonly stage: string }
  | { readonly type: 'succeed'; readonly stage: string; readonly epoch: number; readonly output: StageOutput }
  /** `random` in [0, 1) spreads the retries. */
  | { readonly type: 'fail'; readonly stage: string; readonly epoch: number; readonly error: StoredError; readonly random: number }
  /** The attempt has begun work at a service, which goes on without it. */
  | { readonly type: 'park'; readonly stage: string; readonly epoch: number }
  /** What a look at work elsewhere has found. */
  | { readonly type: 'found'; readonly stage: string; readonly epoch: number; readonly found: Found; readonly random: number }
  /** The worker gives the attempt back before its end: shutdown. */
  | { readonly type: 'release'; readonly stage: string; readonly epoch: number }
  /** Nobody has heard of the attempt's worker for too long. */
  | { readonly type: 'lose'; readonly stage: string; readonly epoch: number }
  | { readonly type: 'cancel' }
  /** A person wants an ended run to go on: what has not succeeded begins anew, and what has from the stages `from` on. `by`: how a state machine goes on. */
  | { readonly type: 'reopen'; readonly from: readonly string[]; readonly by?: GoesOnBy };

/** A stage that kills its process each time would go round for ever. */
export const lossesAllowed = 5;
/** A stream goes on for months, through restarts of everything below it. */
export const streamLossesAllowed = 100;
/** Milliseconds after which an attempt at a stream counts as a fresh start: what went wrong before it is over. */
export const streamRunsWell = 60_000;

/**
 * What follows from a command: the rules of runs, all of them. Pure: it gets the run and the time and returns events, none
 * where the command changes nothing (too late, twice, of an older epoch).
 */
export function decide(run: RunRecord, command: Command, now: Date): RunEvent[] {
  const at = now.toISOString();
  const events: RunEvent[] = [];
  const draft = { ...run, stages: new Map(run.stages) };
  const emit = (event: RunEvent): void => {
    events.push(event);
    apply(draft, event, at);
  };
  obey(draft, command, now, emit);
  if (events.length > 0) settle(draft, emit);
  return events;
}

function obey(run: RunRecord, command: Command, now: Date, emit: (event: RunEvent) => void): void {
  switch (command.type) {
    case 'admit': {
      if (run.state.at !== 'queued') return;
      if (command.rivals.length < command.limit) return emit({ type: 'run.started' });
      const because = waitingFor(command.rivals);
      if (because !== run.state.because) emit({ type: 'run.queued', because });
      return;
    }
    case 'claim': {
      const stage = run.stages.get(command.stage);
      if (run.state.at !== 'running' || stage?.state.at !== 'ready') return;
      const { attempts, epoch } = stage;
      const grants = command.room ? grantsOf(planStage(run, stage.id), command.room) : {};
      if (grants === null) return;
      return emit({
        type: 'stage.started',
        stage: stage.id,
        attempt: attempts + 1,
        epoch: epoch + 1,
        worker: command.worker,
        ...(Object.keys(grants).length > 0 && { grants }),
      });
    }
    case 'wake':
      for (const { id, state } of run.stages.values()) {
        if (state.at === 'retrying' && Date.parse(state.next) <= now.getTime()) emit({ type: 'stage.ready', stage: id });
      }
      return;
    case 'due':
      if (run.stages.get(command.stage)?.state.at === 'retrying') emit({ type: 'stage.ready', stage: command.stage });
      return;
    case 'cancel':
      if (isEnded(run.state) || run.cancelRequestedAt !== null) return;
      emit({ type: 'run.cancel-requested' });
      for (const { id, state } of run.stages.values()) {
        if (leftElsewhere(run, id)) emit(looksElsewhere(run, id));
        else if (state.at === 'waiting' || state.at === 'ready' || state.at === 'retrying') emit({ type: 'stage.cancelled', stage: id });
      }
      return;
    case 'reopen':
      return reopen(run, command, emit);
    case 'found': {
      const stage = run.stages.get(command.stage);
      if (stage?.state.at === 'elsewhere' && stage.state.epoch === command.epoch) afterLook(run, stage, stage.state, command, now, emit);
      return;
    }
    default: {
      const running = attemptOf(run, command.stage, command.epoch);
      if (running) afterAttempt(run, running, command, now, emit);
    }
  }
}

function waitingFor(rivals: readonly Rival[]): string {
  const [first] = rivals as [Rival, ...Rival[]];
  return first.abandoned
    ? `waits for run ${first.run} of the same pipeline, which nobody works on: resume or cancel that one`
    : `waits for run ${first.run} of the same pipeline to end`;
}

interface Running {
  readonly stage: StageRecord;
  readonly attempt: number;
}

function attemptOf(run: RunRecord, id: string, epoch: number): Running | undefined {
  const stage = run.stages.get(id);
  return stage?.state.at === 'running' && stage.state.epoch === epoch ? { stage, attempt: stage.state.attempt } : undefined;
}

type AttemptCommand = Extract<Command, { type: 'succeed' | 'fail' | 'park' | 'release' | 'lose' }>;

function afterAttempt(
  run: RunRecord,
  { stage, attempt }: Running,
  command: AttemptCommand,
  now: Date,
  emit: (event: RunEvent) => void,
): void {
  const { id } = stage;
  const { kind, retry } = planStage(run, id);
  const over =
    kind === 'remote' && (command.type === 'succeed' || (command.type === 'fail' && leavesNothing(stage, command.error))) && isOver;
  const giveUp = (error: StoredError): void =>
    emit(kind === 'remote' && !over ? elsewhere(stage, attempt, error) : { type: 'stage.failed', stage: id, attempt, error, ...over });
  if (command.type === 'succeed') return emit({ type: 'stage.succeeded', stage: id, attempt, output: command.output, ...over });
  if (command.type === 'park') {
    if (kind === 'remote') emit(elsewhere(stage, attempt));
    return;
  }
  // Whatever else has become of it: it was to stop, and it has. What it has started elsewhere has not.
  if (run.cancelRequestedAt !== null)
    return emit(kind === 'remote' && !over ? elsewhere(stage, attempt) : { type: 'stage.cancelled', stage: id, ...over });
  switch (command.type) {
    case 'fail': {
      const { error } = command;
      const counted = afresh(run, stage, now) ? 1 : attempt;
      const verdict = judge(error, counted, retry, command.random);
      // Ours is the newest attempt of this run: whoever has fenced it off belongs to another one, and will not give way.
      const taken = kind === 'changes' && error.code === 'ATTEMPT_FENCED';
      if (taken) return emit({ type: 'stage.failed', stage: id, attempt, error: { ...error, remedy: twinRemedy } });
      if (verdict.kind === 'give-up') return giveUp(error);
      if (verdict.kind === 'lost') return lose(run, stage, now, emit, giveUp);
      const next = new Date(now.getTime() + verdict.delayMs).toISOString();
      return emit({ type: 'stage.retrying', stage: id, attempt: counted, next, error, ...over });
    }
    case 'release':
      return emit({ type: 'stage.released', stage: id, epoch: stage.epoch, because: 'released' });
    case 'lose':
      return lose(run, stage, now, emit, giveUp);
    default:
      return command satisfies never;
  }
}

const isOver = { over: true } as const;

/** Whether an attempt that ended with this has left nothing at a service: its work has ended, or the only start there was has been refused. */
function leavesNothing({ epoch, settled }: StageRecord, error: StoredError): boolean {
  return epoch === settled + 1 ? endsWork(error) || refusesStart(error) : endsWork(error) && !refusesStart(error);
}

/** `ends`: the stage has given up with this. */
function elsewhere({ id, state, epoch }: StageRecord, attempt: number, ends?: StoredError): RunEvent {
  const { worker = null, grants }: { readonly worker?: string | null; readonly grants?: Grants } = state.at === 'running' ? state : {};
  return { type: 'stage.elsewhere', stage: id, attempt, epoch, worker, ...(grants && { grants }), ...(ends && { ends }) };
}

/** True where the stage waits for an attempt, and one before may have left work at a service. */
function leftElsewhere(run: RunRecord, id: string): boolean {
  const { state } = run.stages.get(id) as StageRecord;
  return (state.at === 'ready' || state.at === 'retrying') && mayGoOn(run, id);
}

/** True where an attempt may have left work at a service. */
function mayGoOn(run: RunRecord, id: string): boolean {
  const { epoch, settled } = run.stages.get(id) as StageRecord;
  return epoch > settled && planStage(run, id).kind === 'remote';
}

/** There will be no attempt that would find it: somebody has to look. */
function looksElsewhere(run: RunRecord, id: string): RunEvent {
  const stage = run.stages.get(id) as StageRecord;
  return elsewhere(stage, stage.attempts);
}

function afterLook(
  run: RunRecord,
  { id, epoch }: StageRecord,
  { attempt, ends }: Extract<StageState, { at: 'elsewhere' }>,
  { found, random }: Extract<Command, { type: 'found' }>,
  now: Date,
  emit: (event: RunEvent) => void,
): void {
  if (found.at === 'succeeded') return emit({ type: 'stage.succeeded', stage: id, attempt, output: found.output, ...isOver });
  const over = (found.at === 'nothing' || found.over) && isOver;
  if (run.cancelRequestedAt !== null) return emit({ type: 'stage.cancelled', stage: id, ...over });
  if (ends) return emit({ type: 'stage.failed', stage: id, attempt, error: found.at === 'failed' ? found.error : ends, ...over });
  if (found.at === 'nothing') {
    const stopped = stopper(run);
    if (stopped !== undefined) return emit({ type: 'stage.skipped', stage: id, because: { kind: 'stopped', stage: stopped }, ...over });
    return emit({ type: 'stage.released', stage: id, epoch, because: 'released', ...over });
  }
  const { error } = found;
  const verdict = judge(error, attempt, planStage(run, id).retry, random);
  // A start beside one that goes on would be a second one.
  if (!over || verdict.kind !== 'retry') return emit({ type: 'stage.failed', stage: id, attempt, error, ...over });
  const next = new Date(now.getTime() + verdict.delayMs).toISOString();
  emit({ type: 'stage.retrying', stage: id, attempt, next, error, ...over });
}

const twinRemedy = 'Another process, with a state database of its own, follows this stream now: let one of the two do it.';

/** True for an attempt at a stream that had run well for a while. */
function afresh(run: RunRecord, { id, state }: StageRecord, now: Date): boolean {
  return planStage(run, id).kind === 'changes' && state.at === 'running' && now.getTime() - Date.parse(state.since) >= streamRunsWell;
}

function lose(run: RunRecord, stage: StageRecord, now: Date, emit: (event: RunEvent) => void, giveUp: (error: StoredError) => void): void {
  const { id, epoch, losses } = stage;
  const allowed = planStage(run, id).kind === 'changes' ? streamLossesAllowed : lossesAllowed;
  if (afresh(run, stage, now)) return emit({ type: 'stage.released', stage: id, epoch, because: 'lost', afresh: true });
  if (losses + 1 < allowed) return emit({ type: 'stage.released', stage: id, epoch, because: 'lost' });
  giveUp({
    code: 'STAGE_CRASHED',
    message: `The worker of stage "${id}" has gone away without a word ${allowed} times in a row.`,
    remedy: 'Look whether the machine ran out of memory; lower the concurrency or the memory of the environment, then retry the run.',
    facts: { stage: id },
  });
}

function reopen(run: RunRecord, { from, by }: Extract<Command, { type: 'reopen' }>, emit: (event: RunEvent) => void): void {
  if (!isEnded(run.state)) return;
  const again = downstream(run.plan, from);
  const stages: string[] = [];
  const redone: string[] = [];
  for (const { id, state } of run.stages.values()) {
    const omitted = state.at === 'skipped' && state.because.kind === 'not-selected';
    if (state.at === 'succeeded' ? again.has(id) : !omitted) stages.push(id);
    if (state.at === 'succeeded' && again.has(id)) redone.push(id);
  }
  if (stages.length === 0) return;
  const behind = downstream(run.plan, redone);
  const closed = stages.filter((id) => behind.has(id) && mayGoOn(run, id));
  emit({ type: 'run.reopened', stages, redone, ...(closed.length > 0 && { closed }), ...(by && { by }) });
}

/** Draws the conclusions: what can start, what never will, whether all is done. One pass will do, since inputs come first in a plan. */
function settle(run: RunRecord, emit: (event: RunEvent) => void): void {
  if (isEnded(run.state)) return;
  const stopped = stopper(run);
  for (const stage of run.plan.stages) {
    const { state } = run.stages.get(stage.id) as StageRecord;
    if (stopped !== undefined && leftElsewhere(run, stage.id)) {
      emit(looksElsewhere(run, stage.id));
    } else if (stopped !== undefined && (state.at === 'waiting' || state.at === 'ready' || state.at === 'retrying')) {
      emit({ type: 'stage.skipped', stage: stage.id, because: { kind: 'stopped', stage: stopped } });
    } else if (state.at === 'waiting' && run.state.at === 'running') {
      const hindered = stage.needs.find((need) => isLost(run.stages.get(need) as StageRecord));
      if (hindered !== undefined) emit({ type: 'stage.skipped', stage: stage.id, because: { kind: 'upstream', stage: hindered } });
      else if (stage.needs.every((need) => isDone(run.stages.get(need) as StageRecord))) emit({ type: 'stage.ready', stage: stage.id });
    }
  }
  const ends = ending(run);
  if (ends) emit(ends);
}

function stopper(run: RunRecord): string | undefined {
  return run.plan.stages.find(({ id, onFailure }) => onFailure === 'stop' && run.stages.get(id)?.state.at === 'failed')?.id;
}

/** For those who need it: it has succeeded, or was left out on purpose. */
export function isDone({ state }: StageRecord): boolean {
  return state.at === 'succeeded' || (state.at === 'skipped' && state.because.kind === 'not-selected');
}

function isLost(stage: StageRecord): boolean {
  return isFinal(stage.state) && !isDone(stage);
}

function ending(run: RunRecord): RunEvent | undefined {
  const stages = [...run.stages.values()];
  if (!stages.every(({ state }) => isFinal(state))) return undefined;
  // A run of no stages at all ends as soon as it is admitted.
  if (run.state.at === 'queued' && run.cancelRequestedAt === null) return undefined;
  if (run.cancelRequestedAt !== null && (stages.length === 0 || stages.some(({ state }) => state.at === 'cancelled'))) {
    return { type: 'run.cancelled' };
  }
  const failed = stages.flatMap(({ id, state }) => (state.at === 'failed' ? [{ stage: planStage(run, id), error: state.error }] : []));
  const fatal = failed.find(({ stage }) => stage.onFailure === 'stop');
  if (fatal) return { type: 'run.failed', error: fatal.error };
  const first = failed[0];
  return first ? { type: 'run.partial', error: first.error } : { type: 'run.succeeded' };
}

function planStage(run: RunRecord, id: string): PlanStage {
  return stagesById(run.plan).get(id) as PlanStage;
}
