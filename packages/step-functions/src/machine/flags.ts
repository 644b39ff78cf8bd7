import type { Plan } from '@millrace/core/runtime';
import type { Template, Test } from '../asl.ts';

/**
 * A stage with `onFailure: 'continue'` that has failed is remembered in the state, under `$.failed`; stages behind it look there and are skipped.
 * The keys are there from the beginning, all false.
 */
export function flagsOf({ stages }: Pick<Plan, 'stages'>): ReadonlyMap<string, string> {
  const flags = new Map<string, string>();
  for (const [at, { id, onFailure }] of stages.entries()) {
    if (onFailure === 'continue') flags.set(id, flagOf(id, at));
  }
  return flags;
}

/** A key that a path can name. */
export const flagOf = (stage: string, at: number): string => (/^[A-Za-z_]\w{0,39}$/.test(stage) ? stage : `stage_${at + 1}`);

/** True in an execution that was started for a run in which this stage, which has no task of ours to ask, is done already. */
export const alreadyDone = (flag: string): Test => ({
  And: [
    { Variable: `$.done.${flag}`, IsPresent: true },
    { Variable: `$.done.${flag}`, BooleanEquals: true },
  ],
});

/** For each stage behind such a one, however far: which they are. */
export function gatesOf({ stages }: Pick<Plan, 'stages'>, flags: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const gates = new Map<string, readonly string[]>();
  for (const { id, needs } of stages) {
    const behind = new Set(needs.flatMap((need) => [...(flags.has(need) ? [need] : []), ...(gates.get(need) ?? [])]));
    if (behind.size > 0) gates.set(id, [...behind]);
  }
  return gates;
}

/** True in an execution where one of them has failed. */
export function anyFailed(stages: readonly string[], flags: ReadonlyMap<string, string>): Test {
  const tests = stages.map((stage): Test => ({ Variable: `$.failed.${flags.get(stage)}`, BooleanEquals: true }));
  return tests.length === 1 ? (tests[0] as Test) : { Or: tests };
}

/** Brings the flags of what ran side by side, or elsewhere, back together: `placeOf` says where that of a stage is. */
export const gathered = (flags: ReadonlyMap<string, string>, placeOf: (stage: string) => string): Template =>
  Object.fromEntries([...flags].map(([stage, flag]) => [`${flag}.$`, `${placeOf(stage)}.failed.${flag}`]));

/** Stages that have failed, as the state of an execution says it under `$.failed`. */
export const failedStages = (plan: Pick<Plan, 'stages'>, failed: Readonly<Record<string, unknown>>): string[] =>
  [...flagsOf(plan)].flatMap(([stage, flag]) => (failed[flag] === true ? [stage] : []));
