import type { Plan, Problem } from './plan.ts';

/**
 * Pools that stages name and the environment does not have: nothing would limit them. Of an environment without any pools nothing is
 * said; a laptop has none.
 */
export function missingPools({ stages }: Pick<Plan, 'stages'>, pools: Readonly<Record<string, number>>): Problem[] {
  const known = Object.keys(pools);
  if (known.length === 0) return [];
  return stages.flatMap(({ id, limits = [] }) =>
    limits
      .filter(({ kind, name }) => kind === 'pool' && !Object.hasOwn(pools, name))
      .map(({ name }) => ({
        step: id,
        message: `"${id}" names the pool "${name}", which the environment does not have: nothing limits it.`,
        remedy: `Add "${name}" to "pools" in millrace.config.ts, or name one that is there: ${known.join(', ')}.`,
      })),
  );
}
