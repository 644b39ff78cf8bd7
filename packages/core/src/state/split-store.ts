import type { StagedPart } from '../connector/index.ts';
import type { Grants, RunRecord } from './run-state.ts';
import type { Lease, StageRef } from './store.ts';

/**
 * The splits of a running attempt, where it lets other workers help with them. The attempt plans, offers and commits; those who join it
 * stage splits under its epoch. All of it belongs to the attempt: once that has ended, whoever helped has lost his share.
 */
export interface SplitStore {
  /** Lets others help with these splits, and wakes somebody. What was offered before is forgotten. @throws LEASE_LOST */
  offer(lease: Lease, splits: readonly string[]): Promise<void>;
  /**
   * Takes a share in a running stage that has splits which nobody stages, and wakes the next one where there are more. `grant` is told the
   * run and what has been granted of the limits of this stage; null where there is no room, nothing is left or nothing was offered.
   */
  join(ref: StageRef, worker: string, grant: (run: RunRecord, used: ReadonlyMap<string, number>) => Grants | null): Promise<Share | null>;
  /** Of the splits that the running attempt has offered, those that nobody stages; null where it has offered none. */
  free(ref: StageRef): Promise<number | null>;
  /** Prolongs shares. Answers the ids of those that are lost: their attempt has ended, or they were not prolonged in time. */
  renew(worker: string, shares: readonly string[]): Promise<string[]>;
  /** Takes splits that nobody stages any more, in the order in which they were offered. @throws LEASE_LOST */
  claim(holder: SplitHolder, most: number): Promise<SplitClaims>;
  /** Remembers the part for the attempt and for later ones. @throws LEASE_LOST, also where somebody else has the split by now */
  store(holder: SplitHolder, claim: SplitClaim, part: StagedPart): Promise<void>;
  /** Splits that are claimed and not staged are free at once; who helps may go on at once. Safe to repeat. */
  leave(share: Share): Promise<void>;
  /** Leaves for those whose worker is gone. Their leases would be over some time, too. */
  sweep(): Promise<void>;
}

/** The attempt itself, or somebody who helps it. */
export type SplitHolder = Lease | Share;

export interface Share extends Lease {
  readonly id: string;
  readonly grants: Grants;
}

export interface SplitClaim {
  readonly split: string;
  /** From 1 on: how often this attempt's split has been claimed. What an earlier claim has staged, or still stages, has another name. */
  readonly claim: number;
}

export interface SplitClaims {
  readonly claims: readonly SplitClaim[];
  /** Splits that were not staged yet when this was asked, these claims among them. */
  readonly left: number;
}
