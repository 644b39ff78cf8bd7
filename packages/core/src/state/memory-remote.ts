import type { RemoteHandle } from '../connector/index.ts';
import { elsewhereProgress, type StageProgress } from './progress.ts';
import { lookMs, type RemoteLook, type RemoteStore } from './remote-store.ts';
import { isEnded, type RunRecord, type StageRecord, type StageState } from './run-state.ts';
import { type Lease, leaseLost, type StageRef } from './store.ts';

/** What the store around it knows. */
export interface AroundRemote {
  now(): Date;
  run(id: string): RunRecord;
  /** Unfinished runs of a queue. */
  inQueue(queue: string): readonly RunRecord[];
  holds(lease: Lease): boolean;
  gone(worker: string): boolean;
}

export interface MemoryRemote extends RemoteStore {
  /** Of a run's stages that are elsewhere. */
  progress(run: RunRecord): StageProgress[];
}

interface Kept {
  readonly run: string;
  readonly stage: string;
  readonly work: number;
  intended: boolean;
  intendedAt: number | null;
  handle: RemoteHandle | null;
  startedAt: number | null;
  look: number;
  looker: { readonly worker: string; readonly until: number } | null;
  status: string | null;
  progress: number | null;
  lookedAt: number | null;
  nextAt: number | null;
  endingAt: number | null;
  /** The last look knew that the run is to be cancelled. */
  aware: boolean;
}

type Elsewhere = StageRecord & { readonly state: Extract<StageState, { at: 'elsewhere' }> };

export function memoryRemote(around: AroundRemote): MemoryRemote {
  const works = new Map<string, Kept>();
  const keyOf = ({ run, stage }: StageRef): string => `${run} ${stage}`;
  const nowMs = (): number => around.now().getTime();
  const settledOf = ({ run, stage }: StageRef): number => around.run(run).stages.get(stage)?.settled ?? 0;

  /** The row of the stage's present work, which is made where there is none. */
  function present(ref: StageRef): Kept {
    const found = works.get(keyOf(ref));
    const work = settledOf(ref);
    if (found?.work === work) return found;
    const nothing = {
      intendedAt: null,
      handle: null,
      startedAt: null,
      looker: null,
      status: null,
      progress: null,
      lookedAt: null,
      nextAt: null,
      endingAt: null,
    };
    const made: Kept = { run: ref.run, stage: ref.stage, work, intended: false, look: 0, aware: false, ...nothing };
    works.set(keyOf(ref), made);
    return made;
  }

  const elsewhere = (run: RunRecord): Elsewhere[] =>
    [...run.stages.values()].filter((stage): stage is Elsewhere => stage.state.at === 'elsewhere');
  const lookedAt = ({ looker }: Kept): boolean => looker !== null && looker.until > nowMs() && !around.gone(looker.worker);
  const dueIn = (kept: Kept, run: RunRecord): number =>
    run.cancelRequestedAt !== null && !kept.aware ? 0 : Math.max(0, (kept.nextAt ?? 0) - nowMs());

  return {
    async intend(lease) {
      if (!around.holds(lease)) throw leaseLost(lease);
      const kept = present(lease);
      const known = kept.intended;
      kept.intended = true;
      kept.intendedAt ??= nowMs();
      Object.assign(kept, { looker: null, endingAt: null, aware: false });
      kept.look++;
      return { work: kept.work, known, sinceMs: nowMs() - kept.intendedAt, handle: kept.handle };
    },
    async started(ref, work, handle, firstLookMs) {
      const kept = works.get(keyOf(ref));
      if (kept?.work !== work || settledOf(ref) !== work) return null;
      kept.startedAt ??= nowMs();
      kept.nextAt ??= nowMs() + firstLookMs;
      kept.handle ??= handle;
      return kept.handle;
    },
    async looks(queue, worker, most, plans, only) {
      const open = around
        .inQueue(queue)
        .filter(({ state, plan }) => !isEnded(state) && (plans?.includes(plan.fingerprint) ?? true))
        .flatMap((run) => elsewhere(run).map(({ id, epoch }) => ({ run, epoch, kept: present({ run: run.id, stage: id }) })))
        .filter(({ kept }) => !lookedAt(kept) && (only === undefined || keyOf(only) === keyOf(kept)))
        .sort((a, b) => dueIn(a.kept, a.run) - dueIn(b.kept, b.run));
      const due = open.filter(({ kept, run }) => dueIn(kept, run) === 0).slice(0, most);
      const looks = due.map(({ run, epoch, kept }): RemoteLook => {
        kept.look++;
        kept.looker = { worker, until: nowMs() + lookMs };
        const { stage, work, look, intended, handle, startedAt, endingAt } = kept;
        const since = (at: number | null): number => (at === null ? 0 : nowMs() - at);
        const times = { ageMs: since(startedAt), endingMs: endingAt === null ? null : since(endingAt) };
        return { run: run.id, stage, epoch, work, look, intended, handle, cancelled: run.cancelRequestedAt !== null, ...times };
      });
      const left = open.filter(({ kept }) => !due.some((taken) => taken.kept === kept));
      return { looks, nextMs: left.length === 0 ? null : Math.min(...left.map(({ kept, run }) => dueIn(kept, run))) };
    },
    async seen({ run, stage, work, look, cancelled }, { status, progress, handle, ending, nextMs }) {
      const kept = works.get(keyOf({ run, stage }));
      if (kept?.work !== work || kept.look !== look) return;
      Object.assign(kept, { aware: cancelled, status, progress, looker: null, lookedAt: nowMs(), nextAt: nowMs() + nextMs });
      if (handle) kept.startedAt ??= nowMs();
      kept.handle ??= handle;
      if (ending) kept.endingAt ??= nowMs();
    },
    async works(run) {
      const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
      return [...works.values()].flatMap((kept) => {
        const { stage, work, intended, handle, status, progress } = kept;
        const times = { startedAt: iso(kept.startedAt), lookedAt: iso(kept.lookedAt), nextAt: iso(kept.nextAt) };
        return kept.run === run && intended ? [{ stage, work, handle, status, progress, ...times, ending: kept.endingAt !== null }] : [];
      });
    },
    progress: (run) =>
      elsewhere(run).flatMap(({ id, epoch }) => {
        const { handle, status, progress, startedAt } = present({ run: run.id, stage: id });
        const elapsedMs = startedAt === null ? 0 : nowMs() - startedAt;
        return [elsewhereProgress({ run: run.id, stage: id, epoch, handle, status, progress, elapsedMs })];
      }),
  };
}
