import type { Plan, PlanStage, Problem, StepFunctionsSettings } from '@millrace/core/runtime';
import type { Definition, Onward, State, Test } from '../asl.ts';
import type { Grant } from '../policy/grant.ts';
import { uniqueNames } from './names.ts';

/** What is known while a machine is written: the same for all its branches. */
export interface Site {
  readonly plan: Plan;
  readonly settings: StepFunctionsSettings;
  readonly stages: ReadonlyMap<string, PlanStage>;
  /** Of stages that may fail without ending the run: where the state keeps whether they have. */
  readonly flags: ReadonlyMap<string, string>;
  /** Of stages that are skipped when such a one has failed: which. */
  readonly gates: ReadonlyMap<string, readonly string[]>;
  /** Of stages that have a state of their own and no task of ours: where the input says that they are done. */
  readonly native: ReadonlyMap<string, string>;
  /** The states of this machine that belong to a stage. */
  readonly states: Map<string, StagePart>;
  readonly name: (wanted: string) => string;
  /** Machines that this one starts, by their ids. */
  readonly helpers: Map<string, Helper>;
  readonly grants: Grant[];
  readonly remarks: Problem[];
  /** Stages whose work is elsewhere, and which a task of ours watches. */
  readonly watched: Set<string>;
  readonly day: Day;
}

/** How the states come to know which day a run is for, and whether one of them asks. */
export interface Day {
  /**
   * `utc`: it is the day of its time. `local`: so it is for every time of the schedule, whatever its time zone, but not for any time.
   * `worker`: only code that knows time zones can tell.
   */
  readonly kind: 'utc' | 'local' | 'worker';
  used: boolean;
}

/** What a state is to its stage: for whoever reads the history of an execution. */
export interface StagePart {
  readonly stage: string;
  /** It does the stage's work by itself, and these of its errors may pass; null for every other state. */
  readonly passing: readonly string[] | null;
  /** Of ends of that work that only look like success. */
  readonly guard?: Test;
}

/** A machine that watches work at a service; stages of one kind share it. */
export interface Helper {
  /** Letters and digits: names its resource in the template. */
  readonly id: string;
  readonly suffix: string;
  readonly definition: Definition;
}

/** States of one scope: a machine, or a branch of one. */
export type States = Record<string, State>;

/** The same knowledge for another machine, whose names begin anew. */
export const anotherMachine = (site: Site): Site => ({ ...site, name: uniqueNames(), states: new Map() });

export function partition(region: string): string {
  return region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

/** `arn:aws:states:::ecs:runTask.sync` */
export const integration = (site: Pick<Site, 'settings'>, call: string): string =>
  `arn:${partition(site.settings.region)}:states:::${call}`;

/** What a template fills in: the ARN of what it makes under this id. */
export const arnOf = (id: string): string => `\${${id}Arn}`;

export const endOr = (next: string | null): Onward => (next === null ? { End: true } : { Next: next });
