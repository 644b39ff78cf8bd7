import type { WakeUp } from '@millrace/core/runtime';

/** A wake-up as it travels: ids, and how urgent it is beside others. What is to be done stands in the store alone. */
export interface Hint extends WakeUp {
  /** 0, or absent: before all others. From 1 on, the lower the sooner, up to `lastPriority`. */
  readonly priority?: number;
}

/** The largest that BullMQ can order; what is above counts as this. */
export const lastPriority = 2 ** 21 - 1;

/** Whether wake-ups travel at this moment. Where they do not, a worker is told what its own looks at the store find. */
export type DispatchHealth = { readonly at: 'connected' } | { readonly at: 'away'; readonly since: Date; readonly why: string };

/**
 * Carries wake-ups to workers: hints, never state. They may be lost, late, doubled and in another order; whoever gets one looks into
 * the store. The in-process one is here; a queue between machines has the same face.
 *
 * One that waits is not queued again for the same run and stage. One that is sent while the same is being handled is delivered anew:
 * what the handler has seen may be older than it.
 */
export interface Dispatch extends AsyncDisposable {
  /**
   * Afterwards somebody will hear of it, unless something is lost. Settles within seconds, whatever the other side does. Where the queue
   * is away, whoever receives here hears of as many as there are free places.
   * @throws DISPATCH_UNAVAILABLE where that were not all: nothing is kept for later, the next look at the store sends it again
   */
  send(hints: readonly Hint[]): Promise<void>;
  /**
   * Begins to deliver: as many at a time as there are places, each until `handle` has settled. Called once. One that `handle` fails
   * is not delivered again.
   */
  receive(places: number, handle: (wakeUp: WakeUp) => Promise<void>): void;
  /** Delivers nothing more here; what is being handled goes on, and others may be sent something still. */
  pause(): void;
  /** How many wait, in the whole fleet. @throws DISPATCH_UNAVAILABLE */
  depth(): Promise<number>;
  readonly health: DispatchHealth;
  /** Disposing delivers nothing more and lets go of every connection, within seconds; it does not wait for handlers. */
}
