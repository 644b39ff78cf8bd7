import type { LogLine, RunRecord, RunStore, StageProgress, StoredEvent, Transition } from '@millrace/core/runtime';
import { type Happening, happenings } from './happenings.ts';

/** Who looks on while a process uses its store. What it throws is not the store's business. */
export interface StoreWatcher {
  happened(happening: Happening): void;
  /** The main loop looks for work again: it turns. */
  turned(): void;
  /** The worker's heartbeat, with what it has lost since the last one. */
  beat(held: readonly HeldAttempt[]): void;
  logged(lines: readonly LogLine[]): void;
  failed(error: unknown): void;
}

export interface HeldAttempt {
  readonly run: string;
  readonly stage: string;
  readonly epoch: number;
  readonly progress: StageProgress | null;
  readonly lost: boolean;
}

/**
 * The store, watched: every transition that this process makes is told once, when it is committed. Each event of a run is written by
 * exactly one process, so what all processes of a fleet count adds up to what has happened.
 */
export function watchStore(store: RunStore, watcher: StoreWatcher): RunStore {
  const tell = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      watcher.failed(error);
    }
  };

  /** `decide` may be called again where Postgres broke the first transaction off: the last call is the one that counts. */
  const told = async (transit: (see: (run: RunRecord) => void) => Promise<Transition>): Promise<Transition> => {
    let before: RunRecord | undefined;
    const transition = await transit((run) => {
      before = run;
    });
    tell(() => tellEvents(before, transition.events, watcher));
    return transition;
  };

  const watched: Pick<RunStore, Transits | 'due' | 'renew' | 'appendLogs'> = {
    transition: (run, decide) =>
      told((see) =>
        store.transition(run, (record, now) => {
          see(record);
          return decide(record, now);
        }),
      ),
    admission: (run, decide) =>
      told((see) =>
        store.admission(run, (record, ...rest) => {
          see(record);
          return decide(record, ...rest);
        }),
      ),
    claim: (ref, decide) =>
      told((see) =>
        store.claim(ref, (record, ...rest) => {
          see(record);
          return decide(record, ...rest);
        }),
      ),
    due(queue) {
      watcher.turned();
      return store.due(queue);
    },
    async renew(worker, held) {
      const renewed = await store.renew(worker, held);
      const lost = new Set(
        renewed.filter(({ fate }) => fate === 'lost').map(({ run, stage, epoch }) => JSON.stringify([run, stage, epoch])),
      );
      tell(() =>
        watcher.beat(
          held.map(({ run, stage, epoch, progress }) => ({
            run,
            stage,
            epoch,
            progress,
            lost: lost.has(JSON.stringify([run, stage, epoch])),
          })),
        ),
      );
      return renewed;
    },
    async appendLogs(lines) {
      tell(() => watcher.logged(lines));
      await store.appendLogs(lines);
    },
  };
  return { ...store, ...watched };
}

/** Every way in which a run changes: one that is added to the store has to be watched as well. */
type Transits = {
  [Name in keyof RunStore]: RunStore[Name] extends (...given: never[]) => Promise<Transition> ? Name : never;
}[keyof RunStore];

function tellEvents(before: RunRecord | undefined, events: readonly StoredEvent[], watcher: StoreWatcher): void {
  if (before === undefined || events.length === 0) return;
  for (const one of happenings(before, events)) watcher.happened(one);
}
