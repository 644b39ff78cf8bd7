import type { PlanStage, PlanStep } from '@millrace/core/runtime';
import type { Catcher, Choice, MapState, Pass, Task, Test } from '../asl.ts';
import { isRemote } from '../work/is-remote.ts';
import { type Native, nativeTask, type Watched } from '../work/remote.ts';
import { qualityErrors } from '../work/retry.ts';
import { container, workerTask } from '../work/worker.ts';
import { alreadyDone, anyFailed, flagOf } from './flags.ts';
import { endOr, type Site, type States } from './site.ts';

/**
 * The states of one stage; answers the name of the first.
 *
 *     gate ──▶ stage ──▶ next            failed for good, and the run is to go on: ──▶ stage failed ──▶ next
 *       └───────────────▶ next            a check did not hold: ──▶ why ──▶ quality ──▶ Fail CHECK_FAILED
 *
 * The gate lets a stage out whose needs have failed, and one without a task of ours that is done already: a task finds that in the record.
 */
export function writeStage(id: string, next: string | null, states: States, site: Site): string {
  const stage = site.stages.get(id) as PlanStage;
  const own = { ...site, name: (wanted: string) => nameOf(stage, wanted, site) };
  const name = own.name(id);
  writeWork(stage, name, next, states, own);
  return writeGate(stage, name, next, states, own);
}

function nameOf({ id }: PlanStage, wanted: string, site: Site): string {
  const name = site.name(wanted);
  site.states.set(name, { stage: id, passing: null });
  return name;
}

/** What catches the stage's last error; nothing where that ends the execution as it is. */
interface Failure {
  readonly Catch?: readonly Catcher[];
  /** Where an end goes that only looks like success. */
  readonly next: () => string;
}

function failureOf(stage: PlanStage, name: string, next: string | null, states: States, site: Site): Failure {
  const flag = site.flags.get(stage.id);
  if (flag !== undefined) {
    const failed = site.name(`${name} failed`);
    states[failed] = { Type: 'Pass', Result: true, ResultPath: `$.failed.${flag}`, ...endOr(next) } satisfies Pass;
    return { Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: null, Next: failed }], next: () => failed };
  }
  const fail = (): string => {
    const ended = site.name(`${name} failed`);
    states[ended] = {
      Type: 'Fail',
      Error: 'REMOTE_INTERRUPTED',
      Cause: `Stage "${stage.id}" was stopped from outside before it was done.`,
    };
    return ended;
  };
  if (isRemote(stage) || !checks(stage, site)) return { next: fail };
  return { Catch: qualityCatch(stage, name, states, site), next: fail };
}

/** True for a stage with checks: that data is not as it should be ends the execution under a name of its own. */
function checks(stage: PlanStage, { plan }: Site): boolean {
  return plan.steps.some(
    (step) => stage.steps.includes(step.name) && (step.kind === 'execute' ? step.description['kind'] === 'check' : holdsRows(step)),
  );
}

const holdsRows = ({ kind, does, description }: PlanStep): boolean =>
  kind === 'transform' && does === 'check' && Array.isArray(description['expectations']);

function qualityCatch(stage: PlanStage, name: string, states: States, site: Site): Catcher[] {
  const [why, read, quality, refused, failed] = ['why', 'read', 'quality', 'check failed', 'failed'].map((part) =>
    site.name(`${name} ${part}`),
  ) as [string, string, string, string, string];
  states[refused] = {
    Type: 'Fail',
    Error: 'CHECK_FAILED',
    Cause: `A check of stage "${stage.id}" did not hold, so its load was not committed. "millrace runs show" has the check and a sample.`,
  };
  const { work = 'task' } = site.settings;
  // Whoever reports itself says its error's code.
  if (work !== 'task') return [{ ErrorEquals: qualityErrors, ResultPath: null, Next: refused }];
  // Of a task that has ended the cause is its description, as JSON; of one that was not started it is a sentence.
  const cause = '$.error.Cause';
  const isJson: Test = {
    And: [
      { Variable: cause, IsPresent: true },
      { Variable: cause, StringMatches: '{*}' },
    ],
  };
  states[why] = { Type: 'Choice', Choices: [{ ...isJson, Next: read }], Default: failed } satisfies Choice;
  states[read] = {
    Type: 'Pass',
    Parameters: { 'task.$': `States.StringToJson(${cause})` },
    ResultPath: '$.error',
    Next: quality,
  };
  states[quality] = { Type: 'Choice', Choices: [{ Or: [0, 1, 2].map(foundWanting), Next: refused }], Default: failed } satisfies Choice;
  states[failed] = {
    Type: 'Fail',
    Error: 'STAGE_FAILED',
    Cause: `Stage "${stage.id}" ended without success. "millrace runs show" says why; "error" in the input of this state is how its task ended.`,
  };
  return [{ ErrorEquals: ['States.TaskFailed'], ResultPath: '$.error', Next: why }];
}

/** Our container among those of the task, which may have others beside it that AWS has put there. */
function foundWanting(at: number): Test {
  const [name, code] = [`$.error.task.Containers[${at}].Name`, `$.error.task.Containers[${at}].ExitCode`];
  return {
    And: [
      { Variable: name, IsPresent: true },
      { Variable: name, StringEquals: container },
      { Variable: code, IsPresent: true },
      { Variable: code, NumericEquals: qualityExit },
    ],
  };
}

/** The exit code of `run-step` for data that is not good. */
const qualityExit = 5;

/** Work elsewhere, and whether a state can do it by itself; undefined for stages of ours. */
function workOf(stage: PlanStage, site: Site): Native | Watched | undefined {
  const step = site.plan.steps.find((step) => isRemote(step) && step.name === stage.steps.at(-1));
  return step && nativeTask(step, stage, site);
}

/** Stages that are states by themselves, with the flags under which the state of an execution knows that they are done. */
export function nativeStages(site: Site): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [at, stage] of site.plan.stages.entries())
    if (workOf(stage, site)?.kind === 'native') found.set(stage.id, flagOf(stage.id, at));
  return found;
}

function writeWork(stage: PlanStage, name: string, next: string | null, states: States, site: Site): void {
  const native = workOf(stage, site);
  if (native?.kind === 'native') return writeNative(stage, name, next, native, states, site);
  if (native) {
    site.watched.add(stage.id);
    site.remarks.push({
      step: stage.id,
      message: `"${stage.id}" is watched by a task of ours, not by Step Functions itself: ${native.because}.`,
      remedy:
        "It does the same; the task costs what Fargate costs for as long as the work goes on, and its role needs the service's permissions.",
    });
  }
  const places = site.settings.splits?.[stage.id] ?? 1;
  if (places > 1 && stage.kind === 'rows' && !stage.whole) return writePlaces(stage, name, next, places, states, site);
  const { Catch } = failureOf(stage, name, next, states, site);
  states[name] = {
    Type: 'Task',
    ...workerTask(stage, site, null),
    ResultPath: null,
    ...(Catch && { Catch }),
    ...endOr(next),
  } satisfies Task;
}

function writeNative(stage: PlanStage, name: string, next: string | null, native: Native, states: States, site: Site): void {
  const failure = failureOf(stage, name, next, states, site);
  const task = { Type: 'Task' as const, ...native.task, ...(failure.Catch && { Catch: failure.Catch }) };
  const passing = native.task.Retry?.flatMap(({ ErrorEquals }) => ErrorEquals) ?? [];
  site.states.set(name, { stage: stage.id, passing, ...(native.guard && { guard: native.guard }) });
  if (native.guard === undefined) {
    states[name] = { ...task, ...endOr(next) };
    return;
  }
  const [done, onward] = [site.name(`${name} ended`), next ?? site.name(`${name} done`)];
  if (next === null) states[onward] = { Type: 'Pass', End: true };
  states[done] = { Type: 'Choice', Choices: [{ ...native.guard, Next: failure.next() }], Default: onward };
  states[name] = { ...task, Next: done };
}

/** So many iterations run at once in the history of the machine itself; with more, each is an execution of its own. */
export const mostInline = 40;

/** Outputs of all iterations together are one payload, of which nothing is needed. */
const quietly = { End: true, OutputPath: null } as const;

/**
 * Tasks that share the splits of a stage, which are known when it runs only. The first makes the attempt and commits it; the others stage what
 * nobody stages yet and end when there is nothing left, so that losing one of them loses nothing.
 */
function writePlaces(stage: PlanStage, name: string, next: string | null, places: number, states: States, site: Site): void {
  const [list, leads, lead, help, gone] = ['places', 'place', 'lead', 'help', 'help gone'].map((part) => site.name(`${name} ${part}`)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const { Retry: _, ...helping } = workerTask(stage, site, '$.place');
  const inside: States = {};
  // Where the run goes on, that is said outside; else the first task's own error ends it.
  const { Catch } = failureOf(stage, name, next, site.flags.has(stage.id) ? states : inside, site);
  states[name] = { Type: 'Pass', Result: Array.from({ length: places }, (_, at) => at), ResultPath: '$.places', Next: list };
  states[list] = {
    Type: 'Map',
    ItemsPath: '$.places',
    ItemSelector: {
      'run.$': '$.run',
      'time.$': '$.time',
      'date.$': '$.date',
      'window.$': '$.window',
      'params.$': '$.params',
      'reopened.$': '$.reopened',
      // Executions of their own have redrives of their own.
      ...(places > mostInline ? { 'redrives.$': '$$.Execution.RedriveCount' } : {}),
      'place.$': '$$.Map.Item.Value',
    },
    MaxConcurrency: places,
    ...(places > mostInline ? { Label: site.name(name).replaceAll(/\W/g, '').slice(0, 40) } : {}),
    ItemProcessor: {
      ProcessorConfig: places > mostInline ? { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } : { Mode: 'INLINE' },
      StartAt: leads,
      States: {
        [leads]: { Type: 'Choice', Choices: [{ Variable: '$.place', NumericEquals: 0, Next: lead }], Default: help },
        [lead]: {
          Type: 'Task',
          ...workerTask(stage, site, '$.place'),
          ResultPath: null,
          ...(Catch && !site.flags.has(stage.id) && { Catch }),
          ...quietly,
        },
        [help]: {
          Type: 'Task',
          ...helping,
          ResultPath: null,
          Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: null, Next: gone }],
          ...quietly,
        },
        [gone]: { Type: 'Pass', ...quietly },
        ...inside,
      },
    },
    ResultPath: null,
    ...(Catch && site.flags.has(stage.id) && { Catch }),
    ...endOr(next),
  } satisfies MapState;
}

function writeGate(stage: PlanStage, name: string, next: string | null, states: States, site: Site): string {
  const [behind, flag] = [site.gates.get(stage.id), site.native.get(stage.id)];
  const passes = [...(behind ? [anyFailed(behind, site.flags)] : []), ...(flag === undefined ? [] : [alreadyDone(flag)])];
  if (passes.length === 0) return name;
  const gate = site.name(`${name} gate`);
  const onward = next ?? site.name(`${name} skipped`);
  if (next === null) states[onward] = { Type: 'Pass', End: true };
  states[gate] = {
    Type: 'Choice',
    Choices: passes.map((pass) => ({ ...pass, Next: onward })),
    Default: name,
  } satisfies Choice;
  return gate;
}
