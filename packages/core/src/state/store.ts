import type { Priority } from '../author/index.ts';
import type { ReadPlan, StagedPart } from '../connector/index.ts';
import { MillraceError, type StoredError } from '../error/index.ts';
import type { Plan } from '../plan/index.ts';
import type { LogLine, StageProgress } from './progress.ts';
import type { RemoteStore } from './remote-store.ts';
import type { RunEvent, StoredEvent } from './run-event.ts';
import type { RunId, RunRecord, RunRequest, StageOutput } from './run-state.ts';
import type { SplitStore } from './split-store.ts';
import type { StoredStream, StoredStreamRequest, StreamKey, StreamRequest } from './stream-request.ts';
import type { AttemptDetail, RunFilter, RunSummary } from './summary.ts';

/**
 * The only truth about runs. Any number of processes use one store at the same time; its clock is the only clock.
 *
 * A run belongs to a queue, which names those who work on it: `local:<worker>` for the process that runs it here, a fleet's name
 * elsewhere, `step-functions` where a state machine orders its stages, null where nobody does. The methods that look for work take a queue and see that queue's runs only.
 *
 * All methods reject with STATE_UNAVAILABLE where the store cannot be reached; nothing has changed then, or the same call
 * repeated finds what it did.
 */
export interface RunStore extends AsyncDisposable {
  readonly splits: SplitStore;
  readonly remote: RemoteStore;
  /** The store's time. */
  now(): Promise<Date>;
  /**
   * Stores a new run, queued, with its plan. Where a run has the same id, or one of this pipeline the same idempotency key, that one is
   * answered and nothing is stored.
   */
  create(run: NewRun): Promise<{ readonly run: RunRecord; readonly created: boolean }>;
  /** @throws RUN_NOT_FOUND */
  read(run: RunId): Promise<RunRecord>;
  /**
   * The only way in which a run changes. `decide` is called with the run and the store's time, and what it returns is appended to the log,
   * all or nothing. Where somebody else has changed the run meanwhile it is called again; the last call counts. A stage that `decide` starts
   * is leased to its worker; one that it ends or gives back loses the lease. Without events nothing changes. @throws RUN_NOT_FOUND and whatever `decide` throws
   */
  transition(run: RunId, decide: Decision): Promise<Transition>;
  /**
   * As `transition`, for a stage that is to be started: `decide` is also told what running attempts have been granted of the limits of
   * this stage, by key. Of claims that share a limit one looks at a time.
   */
  claim(ref: StageRef, decide: (run: RunRecord, now: Date, used: ReadonlyMap<string, number>) => readonly RunEvent[]): Promise<Transition>;
  /** What running attempts, those whose work goes on elsewhere, and those who help have been granted, by limit. */
  granted(): Promise<ReadonlyMap<string, number>>;
  /** As `transition`, one at a time for a pipeline: `decide` is also told which other runs of the pipeline are running. */
  admission(run: RunId, decide: (run: RunRecord, now: Date, rivals: readonly Rival[]) => readonly RunEvent[]): Promise<Transition>;

  /**
   * Moves a run to another queue. Done only where nobody works on it: it has ended, its queue is null, or the queue of a worker that
   * is gone, or `queue` itself. Afterwards the stages of gone workers are among `expired()` at once. Answers whether it was done.
   */
  adopt(run: RunId, queue: string): Promise<boolean>;
  /** The queue that the run belongs to. @throws RUN_NOT_FOUND */
  queueOf(run: RunId): Promise<string | null>;
  /** Nobody works on these runs any more: each of the queue's unfinished runs goes to no queue. */
  abandon(queue: string): Promise<void>;

  /** Runs that wait for admission, oldest first. */
  queued(queue: string): Promise<RunId[]>;
  /** Stages that can be claimed or joined, by their `priority`; of runs of these plans (fingerprints) where they are given. */
  ready(queue: string, limit: number, plans?: readonly string[]): Promise<WakeUp[]>;
  /** Runs with a stage whose retry is due, and when the next one after those is. */
  due(queue: string): Promise<{ readonly runs: readonly RunId[]; readonly nextMs: number | null }>;
  /** Running stages of any queue whose lease is over or whose worker is gone. To be lost by `transition`, by whoever sees them first. */
  expired(): Promise<Lease[]>;
  /** Wake-ups written by transitions since the last call, each handed out once: what has changed in this queue's runs. */
  drainOutbox(queue: string, limit: number): Promise<WakeUp[]>;

  /**
   * Announces a worker. While the returned hold is kept and its process lives, the worker counts as alive; the store notices its
   * end (at once where it can, else when its leases are over).
   */
  register(worker: WorkerInfo): Promise<WorkerHold>;
  /** The workers of a queue that have been heard of in the last days, those that live first. */
  workers(queue: string): Promise<WorkerState[]>;
  /** Prolongs leases and stores their progress. Answers what has become of each: `lost` ones must stop and commit nothing. */
  renew(worker: string, held: readonly HeldLease[]): Promise<RenewedLease[]>;

  /** What earlier attempts at this stage have fixed and staged. */
  earlier(run: RunId, stage: string): Promise<EarlierAttempt>;
  /**
   * Parts that were staged under another plan are forgotten in the same instant, unless this plan continues that one: they hold
   * other rows under the same names. @throws LEASE_LOST where the lease is not held any more; nothing is stored then
   */
  storePlan(lease: Lease, plan: ReadPlan): Promise<void>;
  /** Remembers a part for later attempts. @throws LEASE_LOST */
  storePart(lease: Lease, part: StagedPart): Promise<void>;
  /** The staged parts are gone. @throws LEASE_LOST */
  forgetParts(lease: Lease): Promise<void>;

  appendLogs(lines: readonly LogLine[]): Promise<void>;
  /** Oldest first. `cursor` is handed back for the next page. */
  logs(run: RunId, options: { readonly stage?: string; readonly after?: number; readonly limit: number }): Promise<LogPage>;
  events(run: RunId, after: number, limit: number): Promise<StoredEvent[]>;
  list(filter: RunFilter): Promise<RunSummary[]>;
  /** Whether an unfinished run is worked on by nobody, or by a worker that is gone. */
  abandoned(run: RunId): Promise<boolean>;
  attempts(run: RunId): Promise<(AttemptDetail & { readonly stage: string })[]>;
  /** The last stored progress of the stages that run, here or elsewhere. */
  progress(run: RunId): Promise<StageProgress[]>;
  /** The last progress of every stage that follows changes, of all pipelines or of one: it outlives the attempt, and the run. */
  streams(pipeline?: string): Promise<StoredStream[]>;
  /** Asks something of a stream; whoever follows it finds it within a second or so, or when it is followed again. */
  requestStream(stream: StreamKey, request: Omit<StreamRequest, 'id'>): Promise<StoredStreamRequest>;
  /** What was asked of a stream and not answered, oldest first. */
  openRequests(stream: StreamKey): Promise<StreamRequest[]>;
  /** The first answer counts. */
  answerRequest(id: string, error: StoredError | null): Promise<void>;
  streamRequest(id: string): Promise<StoredStreamRequest | null>;
  /** When the lease of each running stage is over, and whether its worker is gone. */
  leases(run: RunId): Promise<LeaseState[]>;
  /** What a stage did in the newest run of the pipeline in which it succeeded. */
  lastOutput(pipeline: string, stage: string): Promise<StageOutput | null>;
  /** Calls back when a run may have changed, also by another process. A hint: it may come late, twice or never. */
  subscribe(listener: (run: RunId) => void): () => void;
}

export type Decision = (run: RunRecord, now: Date) => readonly RunEvent[];

export interface NewRun {
  readonly id: RunId;
  readonly request: RunRequest;
  readonly plan: Plan;
  readonly queue: string;
}

export interface Transition {
  /** Afterwards. */
  readonly run: RunRecord;
  readonly events: readonly StoredEvent[];
}

export interface Rival {
  readonly run: RunId;
  readonly abandoned: boolean;
}

export interface StageRef {
  readonly run: RunId;
  readonly stage: string;
}

/** One worker's hold on one attempt. */
export interface Lease extends StageRef {
  readonly epoch: number;
  readonly worker: string;
}

export interface HeldLease extends StageRef {
  readonly epoch: number;
  /** Null where nothing new is to be stored. */
  readonly progress: StageProgress | null;
}

export interface RenewedLease extends StageRef {
  readonly epoch: number;
  readonly fate: 'held' | 'cancel-requested' | 'lost';
}

export interface LeaseState extends Lease {
  readonly until: string;
  readonly workerGone: boolean;
}

/** `stage` is null where the run itself is to be looked at. */
export interface WakeUp {
  readonly run: RunId;
  readonly stage: string | null;
  /**
   * From 1 on, the lower the sooner: by the priority of the run, and within it fair to the pipelines: the first stage of one that has
   * nothing running comes before the second of another.
   */
  readonly priority?: number;
}

/** Stages of one priority are told apart up to here. */
const places = 500_000;

/** `place` counts the stages of the pipeline that run or are ready, from 1 on: those that run first, then those that have waited longest. */
export const wakeUpPriority = (priority: Priority, place: number): number =>
  ['high', 'normal', 'low'].indexOf(priority) * places + Math.min(place, places);

export interface WorkerInfo {
  readonly id: string;
  /** `pid 4711 on build-3` */
  readonly label: string;
  /** How long a lease holds without a heartbeat. */
  readonly leaseMs: number;
  /** Whose runs it works on. */
  readonly queue?: string;
  /** Fingerprints of the plans that it can run; left out where it can run whatever it is given. */
  readonly plans?: readonly string[];
}

export interface WorkerState extends WorkerInfo {
  readonly startedAt: string;
  readonly seenAt: string;
  readonly gone: boolean;
}

/** Disposing it ends the worker: what it still holds is free at once. */
export type WorkerHold = AsyncDisposable;

export interface EarlierAttempt {
  readonly plan: ReadPlan | null;
  readonly parts: readonly StagedPart[];
}

export interface LogPage {
  readonly lines: readonly LogLine[];
  readonly cursor: number;
}

export function runNotFound(id: RunId): MillraceError {
  return new MillraceError('RUN_NOT_FOUND', {
    message: `There is no run "${id}".`,
    remedy: 'Look for it with "millrace runs list".',
    facts: { run: id },
  });
}

export function leaseLost(lease: Lease): MillraceError {
  return new MillraceError('LEASE_LOST', {
    message: `Attempt ${lease.epoch} at stage "${lease.stage}" of run ${lease.run} is not ours any more.`,
    remedy: 'Nothing to do: another attempt goes on, or the run has been cancelled.',
    facts: { ...lease },
  });
}
