import type { Definition, Parallel, Task, Test } from '../asl.ts';
import type { Block } from '../order/series-parallel.ts';
import { startGrants } from '../work/remote.ts';
import { anyFailed, gathered, leftBehind } from './flags.ts';
import { writePrologue } from './prologue.ts';
import { arnOf, endOr, integration, type Site, type States } from './site.ts';
import { writeStage } from './stage.ts';

/** A block in which parts of it have gone to machines of their own. */
export type Laid =
  | { readonly kind: 'stage'; readonly id: string }
  | { readonly kind: 'series' | 'parallel'; readonly parts: readonly Laid[] }
  | { readonly kind: 'machine'; readonly part: number; readonly of: Laid };

export const stagesIn = (block: Laid | Block): string[] =>
  block.kind === 'stage' ? [block.id] : block.kind === 'machine' ? stagesIn(block.of) : block.parts.flatMap(stagesIn);

/** The machine of the whole pipeline. */
export function writeMain(block: Laid | null, site: Site): Definition {
  const states: States = {};
  const outcome = writeOutcome(states, site);
  const first = block === null ? outcome : writeBlock(block, outcome, states, site);
  const start = writePrologue(states, site, first);
  return {
    Comment: `Millrace: ${site.plan.pipeline}, plan ${site.plan.fingerprint.slice(0, 12)}`,
    StartAt: start,
    States: inOrder(states, start),
  };
}

/** A part of it that has a history of its own; begins with the state that the main machine has made. `site` is that of another machine. */
export function writePart(block: Laid, site: Site): Definition {
  const [check, redriven] = [site.name('part check'), site.name('redriven')];
  const { StartAt, States } = writeScope(block, site);
  const anew: Test = {
    And: [
      { Variable: '$.redrives', IsPresent: true },
      { Variable: '$.redrives', NumericGreaterThanEquals: 1 },
    ],
  };
  return {
    Comment: `Millrace: a part of ${site.plan.pipeline}`,
    StartAt: check,
    States: {
      [check]: { Type: 'Choice', Choices: [{ ...anew, Next: redriven }], Default: StartAt },
      ...States,
      // Another one stands in its place, which knows nothing of what that one has done.
      [redriven]: {
        Type: 'Fail',
        Error: 'RUN_HELD',
        Cause: `This pipeline has parts, and a redrive would do all of a part again. Go on with its run: millrace runs retry.`,
      },
    },
  };
}

/**
 * States by themselves, that all begin with the same state and leave behind what has failed there, or nothing: results of scopes that run side by side
 * are one payload.
 */
function writeScope(block: Laid, site: Site): Definition {
  const states: States = {};
  const start = writeBlock(block, null, states, site);
  const OutputPath = leftBehind(stagesIn(block), site.flags);
  const ending = Object.entries(states).map(([name, state]) => [name, 'End' in state ? { ...state, OutputPath } : state] as const);
  return { StartAt: start, States: inOrder(Object.fromEntries(ending), start) };
}

/** Ends the execution as a whole: without success also where a stage has failed that was allowed to. */
function writeOutcome(states: States, site: Site): string {
  const done = site.name('done');
  states[done] = { Type: 'Succeed' };
  if (site.flags.size === 0) return done;
  const [all, partial] = [site.name('outcome'), site.name('partial')];
  states[all] = { Type: 'Choice', Choices: [{ ...anyFailed([...site.flags.keys()], site.flags), Next: partial }], Default: done };
  states[partial] = {
    Type: 'Fail',
    Error: 'PARTIAL',
    Cause:
      'A stage with onFailure "continue" has failed; what does not depend on it is done. "failed" in the input of this state says which.',
  };
  return all;
}

/** The states of a block, written into `states`; answers the first. Null for `next`: the scope ends there. */
export function writeBlock(block: Laid, next: string | null, states: States, site: Site): string {
  switch (block.kind) {
    case 'stage':
      return writeStage(block.id, next, states, site);
    case 'series':
      return block.parts.reduceRight<string | null>((onward, part) => writeBlock(part, onward, states, site), next) as string;
    case 'parallel':
      return writeParallel(block.parts, next, states, site);
    case 'machine':
      return writeStart(block, next, states, site);
    default:
      return block satisfies never;
  }
}

function writeParallel(parts: readonly Laid[], next: string | null, states: States, site: Site): string {
  const name = site.name(`parallel ${parts.map((part) => stagesIn(part)[0]).join(' ')}`);
  const Branches = parts.map((part) => writeScope(part, site));
  const failing = parts.flatMap((part, at) => (leftBehind(stagesIn(part), site.flags) === null ? [] : [`$[${at}]`]));
  states[name] = { Type: 'Parallel', Branches, ...resultOf(failing, name, next, states, site) } satisfies Parallel;
  return name;
}

/** What becomes of the result of scopes: `paths` are where those that may have failed say so. */
const resultOf = (paths: readonly string[], name: string, next: string | null, states: States, site: Site) =>
  paths.length === 0 ? { ResultPath: null, ...endOr(next) } : gathered(paths, name, next, states, site);

/** The name of a part among the pipeline's machines. */
export const partSuffix = (part: number): string => `-part-${part}`;

function writeStart({ part, of }: Extract<Laid, { kind: 'machine' }>, next: string | null, states: States, site: Site): string {
  const name = site.name(`part ${part}`);
  const failing = leftBehind(stagesIn(of), site.flags) === null ? [] : ['$.Output'];
  site.grants.push(...startGrants(partSuffix(part), site));
  states[name] = {
    Type: 'Task',
    Resource: integration(site, 'states:startExecution.sync:2'),
    Parameters: {
      StateMachineArn: arnOf(`Part${part}`),
      Input: {
        'run.$': '$.run',
        'time.$': '$.time',
        'date.$': '$.date',
        'window.$': '$.window',
        'params.$': '$.params',
        'done.$': '$.done',
        'reopened.$': '$.reopened',
        'redrives.$': '$$.Execution.RedriveCount',
        part: true,
        ...(site.flags.size > 0 ? { 'failed.$': '$.failed' } : {}),
        'AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$': '$$.Execution.Id',
      },
    },
    ...resultOf(failing, name, next, states, site),
  } satisfies Task;
  return name;
}

/** States in the order in which they are met, since they were written from the end. */
function inOrder(states: States, start: string): States {
  const ordered: States = {};
  const waiting = [start];
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const state = states[name];
    if (!state || ordered[name]) continue;
    ordered[name] = state;
    if ('Next' in state) waiting.unshift(state.Next);
    if (state.Type === 'Choice') waiting.unshift(...state.Choices.map(({ Next }) => Next), state.Default);
    if ('Catch' in state) waiting.push(...(state.Catch ?? []).map(({ Next }) => Next));
  }
  return ordered;
}
