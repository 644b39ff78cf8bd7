import type { WakeUp } from '@millrace/core/runtime';

/**
 * Carries wake-ups to workers: hints, never state. They may be lost, late or doubled; whoever gets one looks into the store. The
 * in-process one is here; a queue between machines has the same face.
 */
export interface Dispatch extends AsyncDisposable {
  /** Afterwards somebody will hear of it, unless something is lost. */
  send(wakeUps: readonly WakeUp[]): Promise<void>;
  /** Begins to deliver: as many at a time as there are places, each until `handle` has settled. Called once. */
  receive(places: number, handle: (wakeUp: WakeUp) => Promise<void>): void;
  /** Delivers nothing more; what is being handled goes on. */
  pause(): void;
}
