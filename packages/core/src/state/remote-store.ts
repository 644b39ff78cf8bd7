import type { RemoteHandle } from '../connector/index.ts';
import type { StoredError } from '../error/index.ts';
import type { RunId, StageOutput } from './run-state.ts';
import type { Lease, StageRef } from './store.ts';

/**
 * Work elsewhere. Before it is started it is written down that it is about to be, and then its handle: whoever comes after an attempt that
 * died finds one or both and goes by them. A work is known by its stage and by `settled`, the epoch after which it was begun
 * (`StageRecord.settled`): when it is over the next one has another number.
 *
 * While a stage is `elsewhere` nobody has a lease of it. Whoever looks next takes that one look, and what he has seen is kept.
 */
export interface RemoteStore {
  /** Writes down that the attempt is about to start its work, where that was not done before. Ends the looks of an earlier time, and that it was to end. @throws LEASE_LOST */
  intend(lease: Lease): Promise<RemoteIntent>;
  /**
   * The first handle of a work counts, whoever brings it, also one who has lost his lease meanwhile. It is answered; null where the work is
   * over, so that what was started is nobody's. The first look is due `firstLookMs` later.
   */
  started(ref: StageRef, work: number, handle: RemoteHandle, firstLookMs: number): Promise<RemoteHandle | null>;
  /**
   * Takes looks that are due, for stages that are elsewhere in runs of a queue and of these plans (fingerprints) where they are given. Each is
   * the worker's for a minute, or until that is gone. Of a run that is to be cancelled one is due at once. `nextMs`: when to ask again; null
   * where nothing is elsewhere. With `only`, nothing but that stage counts.
   */
  looks(queue: string, worker: string, most: number, plans?: readonly string[], only?: StageRef): Promise<Looks>;
  /** The work goes on. Changes nothing where the look is somebody else's by now. */
  seen(look: RemoteLook, seen: RemoteSeen): Promise<void>;
  /** Of all stages of a run that have had any, the last work of each. */
  works(run: RunId): Promise<RemoteWork[]>;
}

export interface RemoteIntent {
  /** Its number. */
  readonly work: number;
  /** True where it was written down before: it may have been started. */
  readonly known: boolean;
  /** Milliseconds since then, or since the attempt that did so began. */
  readonly sinceMs: number;
  readonly handle: RemoteHandle | null;
}

export interface Looks {
  readonly looks: readonly RemoteLook[];
  readonly nextMs: number | null;
}

/** One look at a work. */
export interface RemoteLook extends StageRef {
  readonly epoch: number;
  readonly work: number;
  /** Counts the looks at this work. */
  readonly look: number;
  /** False where nobody was about to start anything. */
  readonly intended: boolean;
  readonly handle: RemoteHandle | null;
  readonly cancelled: boolean;
  /** Milliseconds since its handle was stored. */
  readonly ageMs: number;
  /** Milliseconds since a look has wanted it to end; null where none has. */
  readonly endingMs: number | null;
}

export interface RemoteSeen {
  /** What the service says, in a word. */
  readonly status: string;
  readonly progress: number | null;
  /** Found by asking for it. */
  readonly handle: RemoteHandle | null;
  /** It is to end. */
  readonly ending: boolean;
  /** When it is to be looked at again, from now. */
  readonly nextMs: number;
}

/** What a look has found where the stage need not be looked at again. */
export type Found =
  | { readonly at: 'succeeded'; readonly output: StageOutput }
  /** The work has ended without success; or, where it is not `over`, nobody can say any more how it fares. */
  | { readonly at: 'failed'; readonly error: StoredError; readonly over: boolean }
  /** Nobody has started any. */
  | { readonly at: 'nothing' };

/** As people see it. Times are ISO 8601, by the store's clock. */
export interface RemoteWork {
  readonly stage: string;
  readonly work: number;
  readonly handle: RemoteHandle | null;
  readonly startedAt: string | null;
  readonly status: string | null;
  readonly progress: number | null;
  readonly lookedAt: string | null;
  readonly nextAt: string | null;
  /** It is to end. */
  readonly ending: boolean;
}

/** How long a look is the worker's, in milliseconds; longer than any look takes. */
export const lookMs = 60_000;
