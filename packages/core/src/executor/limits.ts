import type { PlanStage, StageLimit } from '../plan/index.ts';
import type { Grants } from '../state/index.ts';

/** What is left of the limits of a stage, at the moment it is claimed. */
export interface Room {
  /** What running attempts have been granted, by `limitKey`. */
  readonly used: ReadonlyMap<string, number>;
  /** Sizes of the environment's pools. */
  readonly pools: Readonly<Record<string, number>>;
  /** Connections that the worker would use for reading, where there is no limit. */
  readonly connections: number;
}

export const limitKey = ({ kind, name }: Pick<StageLimit, 'kind' | 'name'>): string => `${kind} ${name}`;

/** Null where nothing is left; a pool that the environment does not have is without a limit. */
export function grantsOf({ limits = [] }: PlanStage, { used, pools, connections }: Room): Grants | null {
  const grants: Record<string, number> = {};
  for (const limit of limits) {
    const most = limit.most ?? (Object.hasOwn(pools, limit.name) ? (pools[limit.name] as number) : null);
    if (most === null) continue;
    // One connection holds the snapshot that the others read from.
    const [least, wanted] = limit.kind === 'pool' ? [1, 1] : [Math.min(2, most), Math.min(connections + 1, most)];
    const left = most - (used.get(limitKey(limit)) ?? 0);
    if (left < least) return null;
    grants[limitKey(limit)] = Math.min(wanted, left);
  }
  return grants;
}

/** Splits that an attempt may read at once, of as many as the worker would. */
export function splitsGranted({ limits = [] }: PlanStage, grants: Grants | undefined, wanted: number): number {
  const connections = limits.flatMap((limit) => (limit.kind === 'connections' ? (grants?.[limitKey(limit)] ?? []) : []));
  return Math.max(1, Math.min(wanted, ...connections.map((granted) => granted - 1)));
}
