import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pipeline } from '../author/index.ts';
import type { Context, RemoteHandle, RemoteRequest, RemoteState, RemoteTask } from '../connector/index.ts';
import { isMillraceError, MillraceError, restoreError, type StoredError } from '../error/index.ts';
import type { Found, RemoteLook, StageOutput } from '../state/index.ts';
import { notThisPipeline, stepOf } from './chain.ts';
import { passing } from './failpoints.ts';
import type { Meter } from './meter.ts';
import { endsWork, mayPass } from './retry.ts';
import { bindParameters } from './run-value.ts';
import type { StageJob, StagePorts } from './stage-job.ts';

/*
 * Work elsewhere, begun by one process and watched by any. What is true where one dies:
 *
 *   intend ─▶ (adopt) ─▶ start ─▶ record ─▶ look … look ─▶ report
 *
 *   before intend    nothing is written down, and nothing was started
 *   before record    it is known that something may have been started: the next attempt asks the service for it (`adopt`), and starts under
 *                    the same request only where that knows of nothing, and would
 *   after record     the handle is known: the next attempt starts nothing
 *   during a look    somebody else looks; what ends the stage is reported under its epoch, once
 *
 * A request keeps its id until its work is over. A zombie that comes back with a start that counts no more ends what it has started.
 */

export type Begun = { readonly at: 'elsewhere'; readonly handle: RemoteHandle } | { readonly at: 'ended'; readonly output: StageOutput };

/** Begins the stage's work, or finds that it was begun. What a service does while we wait for its answer has ended then. */
export async function beginRemote(job: StageJob, pipeline: Pipeline, ports: StagePorts, context: Context, meter: Meter): Promise<Begun> {
  const { remote } = ports;
  if (!remote) throw withoutRecord(job.stage.id);
  const { task, request: requestOf } = workOf(job, pipeline);
  const { watched, pollMs, label } = task.description;
  requestOf(0); // what it lacks is said before anything is written down
  meter.enter('executing');
  const { work, known, sinceMs, handle: recorded } = await remote.intend();
  passing('engine.remote.intended');
  const request = requestOf(work);
  const adopted = recorded ?? (known ? await task.adopt(request, context) : null);
  if (known && !adopted && sinceMs > (task.tellsForMs ?? Number.POSITIVE_INFINITY)) throw startedOrNot(label, sinceMs);
  const made = adopted ?? named(await task.start(request, context), label);
  if (!recorded) passing('engine.remote.started');
  const handle = recorded ?? (await remote.started(work, made, firstLook(job, pollMs)));
  if (handle?.id !== made.id) await endStray(task, made, context);
  if (!handle) throw overMeanwhile(job.stage.id);
  passing('engine.remote.recorded');
  context.log.info(`${label} ${recorded ? 'goes on' : adopted ? 'was found again' : 'was started'}: ${handle.id}`, {
    handle: handle.id,
    link: handle.link,
  });
  if (watched) return { at: 'elsewhere', handle };
  const found = foundIn(await task.poll(handle, context), task, handle, null);
  if (found.at === 'running') return { at: 'elsewhere', handle };
  if (found.at === 'succeeded') return { at: 'ended', output: found.output };
  throw restoreError(found.error);
}

const startedOrNot = (label: string, sinceMs: number): MillraceError =>
  new MillraceError('REMOTE_FAILED', {
    message: `${label}: whether it was started is not known. An attempt died when it was about to, ${Math.floor(sinceMs / 3_600_000)} hours ago, and the service does not tell of starts for so long.`,
    remedy: 'Look whether its work is done. "millrace runs retry" starts it, for the second time if it is.',
  });

/** Without an id it can be neither watched nor ended; the next attempt asks for it. */
function named(handle: RemoteHandle, label: string): RemoteHandle {
  if (handle.id) return handle;
  throw new MillraceError('REMOTE_UNAVAILABLE', {
    message: `${label}: the service has taken the start, and does not say what it has started.`,
    remedy: 'Nothing to do: it is asked for it.',
  });
}

/** What a look needs to know, as plain data. `end`: why the work is to end. */
export interface LookJob extends Pick<RemoteLook, 'work' | 'intended' | 'handle' | 'endingMs'> {
  readonly end: StoredError | null;
}

export type Looked =
  | { readonly at: 'running'; readonly handle: RemoteHandle; readonly status: string; readonly progress: number | null }
  | Found
  /** The service could not be asked; it may be later. */
  | { readonly at: 'unanswered'; readonly error: StoredError };

/** One look at the work, which is asked to end where it is to. @throws what the service says where it cannot be asked, see `failedLook` */
export async function lookRemote(job: StageJob, look: LookJob, pipeline: Pipeline, context: Context): Promise<Looked> {
  const { task, request } = workOf(job, pipeline);
  const handle = look.handle ?? (look.intended ? await task.adopt(request(look.work), context) : null);
  if (handle === null) return { at: 'nothing' };
  const { end, endingMs } = look;
  const refusal = end ? await endingRefused(task, handle, context) : null;
  const found = foundIn(await task.poll(handle, context), task, handle, end);
  passing('engine.remote.polled');
  if (found.at !== 'running' || !end) return found;
  if (refusal) throw refusal;
  if (endingMs === null || endingMs < endsWithin) return found;
  return leftAlone(end, `${task.description.label} (${handle.id}) did not end within ${endsWithin / 60_000} minutes.`);
}

/** Asks for the end, at every look: a service may not have heard it. What it will always refuse may have ended all the same. */
async function endingRefused(task: RemoteTask, handle: RemoteHandle, context: Context): Promise<unknown> {
  try {
    await task.cancel(handle, context);
    passing('engine.remote.cancelled');
    return null;
  } catch (error) {
    if (!isMillraceError(error) || mayPass(error)) throw error;
    return error;
  }
}

/**
 * What follows from a look that failed. Work that is to end and cannot be asked for any more is left alone, as is that of a service which
 * does not answer for too long.
 */
export function failedLook(error: StoredError, { end, endingMs }: Pick<LookJob, 'end' | 'endingMs'>): Looked {
  if (mayPass(error) && (!end || (endingMs ?? 0) < answersWithin)) return { at: 'unanswered', error };
  if (endsWork(error)) return { at: 'failed', error: end ?? error, over: true };
  return end ? leftAlone(end, error.message) : { at: 'failed', error, over: false };
}

/** It may go on, so nothing is started beside it: a person retries the run, which goes on with this same work or finds that it has ended. */
function leftAlone(end: StoredError, why: string): Found {
  const message = `${end.message} Its work at the service was not ended: ${why}`;
  return {
    at: 'failed',
    error: {
      ...end,
      message,
      remedy:
        'Look whether it goes on, and end it there. "millrace runs retry" takes it up again; with --from a step before it, other work is started.',
    },
    over: false,
  };
}

/** So long work that was asked to end is waited for, in milliseconds: services take their time to stop. */
const endsWithin = 5 * 60_000;
/** And so long a service that does not answer while work is to end. */
const answersWithin = 60 * 60_000;

/** Milliseconds until the next look, after so many. */
export function lookPause(pollMs: number, looks: number): number {
  return pollMs * Math.min(15, 2 ** Math.max(0, looks - 1));
}

/** A timeout is noticed in time. */
export function firstLook({ stage: { timeoutMs } }: Pick<StageJob, 'stage'>, pollMs: number): number {
  return Math.min(pollMs, timeoutMs ?? Number.POSITIVE_INFINITY);
}

/** Begins and watches in one go, for executors that do not watch. On cancel and timeout the work is asked to end. */
export async function runRemote(
  job: StageJob,
  pipeline: Pipeline,
  ports: StagePorts,
  context: Context,
  meter: Meter,
): Promise<StageOutput> {
  const begun = await beginRemote(job, pipeline, ports, context, meter);
  if (begun.at === 'ended') return begun.output;
  const { handle } = begun;
  const { task } = workOf(job, pipeline);
  meter.enter('elsewhere');
  try {
    for (let looks = 1; ; looks++) {
      await sleep(lookPause(task.description.pollMs, looks), undefined, { signal: context.signal });
      const found = await task.poll(handle, context).then(
        (state) => foundIn(state, task, handle, null),
        (error: unknown) => (isMillraceError(error) && mayPass(error) && !context.signal.aborted ? null : Promise.reject(error)),
      );
      if (found?.at === 'succeeded') return found.output;
      if (found?.at === 'failed') throw restoreError(found.error);
    }
  } catch (error) {
    const { reason } = context.signal as { readonly reason: unknown };
    const ends = isMillraceError(reason) && (reason.code === 'RUN_CANCELLED' || reason.code === 'STAGE_TIMEOUT');
    if (ends) await endStray(task, handle, context);
    throw error;
  }
}

/** Nobody will look at it: it is asked to end, as well as that can be done. */
async function endStray(task: RemoteTask, handle: RemoteHandle, context: Context): Promise<void> {
  try {
    await task.cancel(handle, { ...context, signal: AbortSignal.timeout(10_000) });
  } catch (error) {
    context.log.warn(
      `${task.description.label} ${handle.id} could not be ended: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function foundIn(
  state: RemoteState,
  { description: { label } }: RemoteTask,
  handle: RemoteHandle,
  end: StoredError | null,
): Extract<Looked, { at: 'running' | 'succeeded' | 'failed' }> {
  switch (state.at) {
    case 'running':
      return { at: 'running', handle, status: state.status, progress: state.progress };
    case 'succeeded':
      return { at: 'succeeded', output: { kind: 'remote', label, handle, output: state.output } };
    case 'failed':
      return { at: 'failed', error: end ?? endedBadly(label, handle, state), over: true };
    default:
      return state satisfies never;
  }
}

function endedBadly(label: string, handle: RemoteHandle, { reason, again }: Extract<RemoteState, { at: 'failed' }>): StoredError {
  const where = handle.link === null ? '' : ` at ${handle.link}`;
  return {
    code: again ? 'REMOTE_INTERRUPTED' : 'REMOTE_FAILED',
    message: `${label} (${handle.id}) ended without success: ${reason}`,
    remedy: again ? 'Nothing to do while it is started again.' : `Look at its log${where}, mend the cause, then "millrace runs retry".`,
    facts: { handle: handle.id, link: handle.link, reason },
  };
}

interface Work {
  readonly task: RemoteTask;
  /** @throws CONFIG_INVALID where the run lacks a value */
  readonly request: (work: number) => RemoteRequest;
}

function workOf({ stage, run }: StageJob, pipeline: Pipeline): Work {
  const { work } = stepOf(pipeline, stage.id);
  if (work.kind !== 'remote') throw notThisPipeline(pipeline, stage);
  const { task, parameters } = work;
  return { task, request: (number) => ({ id: requestId(run.id, stage.id, number), parameters: bindParameters(parameters, run) }) };
}

/** Readable, unique and of at most 64 characters of those that client tokens may have. */
export function requestId(run: string, stage: string, work: number): string {
  const [of, at] = [run, stage].map((name) => name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 22));
  const unique = createHash('sha256')
    .update(JSON.stringify([run, stage]))
    .digest('hex')
    .slice(0, 10);
  return `${of}-${at}-${unique}-${work}`.replace(/^-+/, '').replace(/-{2,}/g, '-');
}

const withoutRecord = (stage: string): MillraceError =>
  new MillraceError('INTERNAL', {
    message: `"${stage}" is work of a service, and nothing keeps its handle here.`,
    remedy: 'Please report this: an executor has to say where handles are kept.',
  });

const overMeanwhile = (stage: string): MillraceError =>
  new MillraceError('LEASE_LOST', {
    message: `The work of "${stage}" is over: another attempt has seen to it.`,
    remedy: 'Nothing to do.',
    facts: { stage },
  });
