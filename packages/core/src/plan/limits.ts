import type { Step } from '../author/index.ts';
import type { StageLimit } from './plan.ts';

/** What a stage of these steps takes a share of while it runs: the connections of what it reads from, and the pools its steps name. */
export function limitsOf(steps: readonly Step[]): { readonly limits?: readonly StageLimit[] } {
  const limits = new Map<string, StageLimit>();
  for (const { work, options } of steps) {
    if (options.pool !== undefined) limits.set(`pool ${options.pool}`, { kind: 'pool', name: options.pool, most: null });
    const connection = work.kind === 'extract' ? work.selection.connection : undefined;
    if (connection?.maxConnections === undefined) continue;
    const { label, maxConnections } = connection;
    const known = limits.get(`connections ${label}`)?.most ?? maxConnections;
    limits.set(`connections ${label}`, { kind: 'connections', name: label, most: Math.min(known, maxConnections) });
  }
  return limits.size === 0 ? {} : { limits: [...limits.values()] };
}
