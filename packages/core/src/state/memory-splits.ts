import type { StagedPart } from '../connector/index.ts';
import type { RunRecord } from './run-state.ts';
import type { Share, SplitHolder, SplitStore } from './split-store.ts';
import { type Lease, leaseLost, type StageRef } from './store.ts';

/** What the store around it knows. */
export interface AroundSplits {
  now(): Date;
  run(id: string): RunRecord;
  holds(lease: Lease): boolean;
  leaseMs(worker: string): number;
  gone(worker: string): boolean;
  granted(): ReadonlyMap<string, number>;
  wake(ref: StageRef): void;
  /** What was granted is free again. */
  freed(before: ReadonlyMap<string, number>): void;
  storePart(run: string, stage: string, part: StagedPart): void;
}

export interface MemorySplits extends SplitStore {
  /** Whether there is something to join for. */
  isOpen(ref: StageRef): boolean;
  /** Of attempts that run. */
  shares(): readonly Share[];
}

interface Offered {
  readonly epoch: number;
  readonly splits: { readonly split: string; claims: number; holder: string | null; staged: boolean }[];
}

/** The id of the attempt itself among those who hold splits. */
const attempt = 'attempt';

export function memorySplits(around: AroundSplits): MemorySplits {
  const offers = new Map<string, Offered>();
  const shares = new Map<string, { readonly share: Share; until: number }>();
  let made = 0;

  const keyOf = ({ run, stage }: StageRef): string => `${run} ${stage}`;
  const epochOf = ({ run, stage }: StageRef): number | null => {
    const state = around.run(run).stages.get(stage)?.state;
    return state?.at === 'running' ? state.epoch : null;
  };
  const offered = (ref: StageRef): Offered | null => {
    const found = offers.get(keyOf(ref));
    return found && found.epoch === epochOf(ref) ? found : null;
  };
  const alive = (id: string): boolean => {
    const held = shares.get(id);
    return (
      held !== undefined &&
      epochOf(held.share) === held.share.epoch &&
      held.until > around.now().getTime() &&
      !around.gone(held.share.worker)
    );
  };
  const free = (ref: StageRef) =>
    offered(ref)?.splits.filter(({ holder, staged }) => !staged && (holder === null || (holder !== attempt && !alive(holder)))) ?? [];
  const holderOf = (holder: SplitHolder): string => {
    const id = 'id' in holder ? holder.id : attempt;
    if (id === attempt ? around.holds(holder) : alive(id)) return id;
    throw leaseLost(holder);
  };

  function leave(share: Share): void {
    const before = around.granted();
    if (!shares.delete(share.id)) return;
    around.freed(before);
    if (free(share).length > 0) around.wake(share);
  }

  return {
    isOpen: (ref) => free(ref).length > 0,
    shares: () => [...shares.values()].flatMap(({ share }) => (epochOf(share) === share.epoch ? [share] : [])),

    async offer(lease, splits) {
      if (!around.holds(lease)) throw leaseLost(lease);
      offers.set(keyOf(lease), {
        epoch: lease.epoch,
        splits: splits.map((split) => ({ split, claims: 0, holder: null, staged: false })),
      });
      if (splits.length > 0) around.wake(lease);
    },
    async join({ run, stage }, worker, grant) {
      const offer = offered({ run, stage });
      if (!offer || free({ run, stage }).length === 0) return null;
      const grants = grant(around.run(run), around.granted());
      if (grants === null) return null;
      const share: Share = { id: String(++made), run, stage, epoch: offer.epoch, worker, grants };
      shares.set(share.id, { share, until: around.now().getTime() + around.leaseMs(worker) });
      if (free({ run, stage }).length > 1) around.wake(share);
      return share;
    },
    free: async (ref) => ((offered(ref)?.splits.length ?? 0) === 0 ? null : free(ref).length),
    async renew(worker, ids) {
      return ids.filter((id) => {
        const held = shares.get(id);
        if (!held || held.share.worker !== worker || !alive(id)) return true;
        held.until = around.now().getTime() + around.leaseMs(worker);
        return false;
      });
    },
    async claim(holder, most) {
      const id = holderOf(holder);
      const taken = free(holder).slice(0, most);
      const left = offered(holder)?.splits.filter(({ staged }) => !staged).length ?? 0;
      for (const one of taken) {
        one.holder = id;
        one.claims++;
      }
      return { claims: taken.map(({ split, claims }) => ({ split, claim: claims })), left };
    },
    async store(holder, { split, claim }, part) {
      const id = holderOf(holder);
      const found = offered(holder)?.splits.find((one) => one.split === split);
      if (found?.holder !== id || found.claims !== claim) throw leaseLost(holder);
      found.staged = true;
      around.storePart(holder.run, holder.stage, part);
    },
    leave: async (share) => leave(share),
    async sweep() {
      for (const { share } of [...shares.values()]) if (around.gone(share.worker)) leave(share);
    },
  };
}
