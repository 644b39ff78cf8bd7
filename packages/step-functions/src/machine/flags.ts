import type { Plan } from '@millrace/core/runtime';
import type { Pass, Template, Test } from '../asl.ts';
import { endOr, type Site, type States } from './site.ts';

/**
 * A stage with `onFailure: 'continue'` that has failed is remembered in the state: `$.failed` has its key. Stages behind it look there and are
 * skipped, tasks are told, and what runs side by side or elsewhere leaves nothing else behind. In the beginning it is empty.
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
  const tests = stages.map((stage): Test => ({ Variable: `$.failed.${flags.get(stage)}`, IsPresent: true }));
  return tests.length === 1 ? (tests[0] as Test) : { Or: tests };
}

/** What the end of a scope with these stages leaves behind. */
export const leftBehind = (stages: readonly string[], flags: ReadonlyMap<string, string>): string | null =>
  stages.some((stage) => flags.has(stage)) ? '$.failed' : null;

/**
 * Brings what has failed in several places together under `$.failed`. `paths` say where it is in the result of a state, which becomes what is
 * answered: the template of its result, and where it goes then. A field holds ten functions at the most, so that many are brought together in rounds.
 */
export function gathered(
  paths: readonly string[],
  name: string,
  next: string | null,
  states: States,
  site: Site,
): { readonly ResultSelector: Template; readonly ResultPath: '$.failed'; readonly Next: string } {
  const onward = site.name(`${name} failed`);
  if (paths.length <= mostMerged) {
    states[onward] = { Type: 'Pass', InputPath: '$.failed.all', ResultPath: '$.failed', ...endOr(next) } satisfies Pass;
    return { ResultSelector: { 'all.$': merged(paths) }, ResultPath: '$.failed', Next: onward };
  }
  const groups = Array.from({ length: Math.ceil(paths.length / mostMerged) }, (_, at) =>
    paths.slice(at * mostMerged, (at + 1) * mostMerged),
  );
  const { ResultSelector: Parameters, ...rest } = gathered(
    groups.map((_, at) => `$.failed.some_${at + 1}`),
    name,
    next,
    states,
    site,
  );
  states[onward] = { Type: 'Pass', Parameters, ...rest } satisfies Pass;
  const some = groups.map((group, at) => [`some_${at + 1}.$`, merged(group)]);
  return { ResultSelector: Object.fromEntries(some), ResultPath: '$.failed', Next: onward };
}

/** Objects that ten functions make one, with room to spare. */
const mostMerged = 10;

const merged = (paths: readonly string[]): string => paths.reduce((sum, path) => `States.JsonMerge(${sum}, ${path}, false)`);

/** Stages that have failed, as the state of an execution says it under `$.failed`. */
export const failedStages = (plan: Pick<Plan, 'stages'>, failed: Readonly<Record<string, unknown>>): string[] =>
  [...flagsOf(plan)].flatMap(([stage, flag]) => (failed[flag] === true ? [stage] : []));
