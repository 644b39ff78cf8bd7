import type { Context, FilesRef, Log, ReadPlan, RemoteHandle, RunFacts, StagedPart } from '../connector/index.ts';
import type { StoredError } from '../error/index.ts';
import type { PlanStage } from '../plan/index.ts';
import type { EarlierAttempt, RemoteIntent, SplitClaim, SplitClaims, StageProgress, StreamRequest } from '../state/index.ts';

/** One attempt at a stage, as plain data: it goes to the process that runs it. */
export interface StageJob {
  readonly run: RunFacts;
  /** When the run was made: sorts as the runs of the pipeline do. */
  readonly runAt: string;
  readonly fullRefresh: boolean;
  readonly until?: 'caught-up';
  readonly stage: PlanStage;
  /** Grows with every attempt; later ones fence off earlier ones. */
  readonly epoch: number;
  /** How often a person has asked for this stage again after it had succeeded. */
  readonly redone: number;
  /** What the loads have left whose files this stage reads, by step. */
  readonly files: Readonly<Record<string, FilesRef>>;
  readonly earlier: EarlierAttempt;
  /** Set where other workers may help with the splits (`StagePorts.splits`), and for those who do. */
  readonly shared?: true;
  /** Splits that are staged side by side, where the memory allows it. */
  readonly concurrency: number;
  /** Bytes that they may use together. */
  readonly memoryBudget: number;
}

/** What an attempt needs from where it runs. */
export interface StagePorts extends Pick<Context, 'secret' | 'now' | 'spool'> {
  /** Aborts on cancel, shutdown and a lost lease, with a MillraceError as the reason. */
  readonly signal: AbortSignal;
  /**
   * Aborts before `signal` where there is time to come to a good end: a stage that follows changes then makes durable what it has
   * applied, and rejects with the reason. Other stages take no notice.
   */
  readonly ending?: AbortSignal;
  readonly log: Log;
  /** Called as often as something moves; whoever listens takes what it needs. */
  progress(state: AttemptProgress): void;
  /** Kept for later attempts before anything is read. @throws LEASE_LOST */
  storePlan(plan: ReadPlan): Promise<void>;
  /** @throws LEASE_LOST */
  storePart(part: StagedPart): Promise<void>;
  /** What was staged is about to be thrown away. @throws LEASE_LOST */
  forgetParts(): Promise<void>;
  /** What people have asked of a stream while it runs. Asked every second or so. */
  streamRequests?(): Promise<readonly StreamRequest[]>;
  /** The request was done, or why not. */
  answerRequest?(id: string, error: StoredError | null): Promise<void>;
  /** Where other workers may help with the splits, and for those who do. */
  readonly splits?: SharedSplits;
  /** For work of a service: where its handle is kept. */
  readonly remote?: RemotePort;
}

/** The attempt's part of `RemoteStore`. */
export interface RemotePort {
  /** @throws LEASE_LOST */
  intend(): Promise<RemoteIntent>;
  started(work: number, handle: RemoteHandle, firstLookMs: number): Promise<RemoteHandle | null>;
}

/** Splits that several workers stage side by side: see `SplitStore`. */
export interface SharedSplits {
  /** @throws LEASE_LOST */
  offer(splits: readonly string[]): Promise<void>;
  /** @throws LEASE_LOST */
  claim(most: number): Promise<SplitClaims>;
  /** @throws LEASE_LOST */
  store(claim: SplitClaim, part: StagedPart): Promise<void>;
  /** What has been staged so far, by whomever. */
  staged(): Promise<readonly StagedPart[]>;
}

export type AttemptProgress = Pick<StageProgress, 'phase' | 'rows' | 'bytes' | 'splits' | 'estimate' | 'stream'>;
