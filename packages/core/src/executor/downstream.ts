import type { Plan, PlanStage } from '../plan/index.ts';

const indexes = new WeakMap<Plan, ReadonlyMap<string, PlanStage>>();

export function stagesById(plan: Plan): ReadonlyMap<string, PlanStage> {
  const known = indexes.get(plan);
  if (known) return known;
  const index = new Map(plan.stages.map((stage) => [stage.id, stage]));
  indexes.set(plan, index);
  return index;
}

/** These stages and all that need them, directly or not. */
export function downstream(plan: Plan, from: readonly string[]): ReadonlySet<string> {
  const found = new Set(from);
  for (const { id, needs } of plan.stages) if (needs.some((need) => found.has(need))) found.add(id);
  return found;
}
