import {
  isDone,
  type Json,
  type Reopenings,
  type RunId,
  type RunRecord,
  type StageRecord,
  type StepFunctionsSettings,
} from '@millrace/core/runtime';
import type { StateMachines } from '../compile.ts';
import { longestName } from '../machine/names.ts';
import { partition } from '../machine/site.ts';
import { type Execution, goesOn, type StepFunctionsService } from './service.ts';

/**
 * A run's executions: the first has the run's name. One that cannot be redriven is followed by another, which is given what a record of the run
 * cannot tell a machine: stages without tasks of ours that are done (`done`), and how often the run had been reopened (`reopened`). Whose an
 * execution is says what it was given (`execution` is its own name, so that an input which somebody copies belongs to nobody), never its name
 * alone: `nightly-2` may be the second one of run `nightly`, or the first of a run of its own.
 */
export interface Newest {
  /** Null where the run has none. */
  readonly execution: Execution | null;
  /** Its number, from 1; where it is null, the one from which on there is none. */
  readonly number: number;
  /** The first number from there on whose name nobody has. */
  readonly next: number;
}

/** Looks from a number on that is known to be none too high. */
export async function newestExecution(service: StepFunctionsService, machine: string, run: RunId, from = 1): Promise<Newest> {
  let newest: Pick<Newest, 'execution' | 'number'> = { execution: null, number: from };
  for (let number = from; ; number++) {
    const execution = await service.execution(executionArn(machine, executionName(run, number)));
    if (!execution) return { ...newest, next: number };
    if (runOf(execution) !== run) continue;
    newest = { execution, number };
    // The next one is started when it has ended; then somebody may redrive it all the same.
    if (goesOn(execution) && execution.redriveCount === 0) return { ...newest, next: number + 1 };
  }
}

export function executionName(run: RunId, number: number): string {
  if (number === 1) return run;
  const suffix = `-${number}`;
  return `${run.slice(0, longestName - suffix.length)}${suffix}`;
}

export const executionArn = (machine: string, name: string): string => `${machine.replace(':stateMachine:', ':execution:')}:${name}`;

/** The run that an execution is of: the one that it was given, else it is named after it. */
export function runOf({ arn, input }: Execution): RunId {
  const name = arn.slice(arn.lastIndexOf(':') + 1);
  return input['execution'] === name ? String(input['run'] ?? name) : name;
}

/** How often the run had been reopened when this execution was last started or redriven. */
export const reopeningsAt = ({ input, redriveCount }: Execution): number => Number(input['reopened'] ?? 0) + redriveCount;

/** Whether it is the execution that the run goes on with: it knows of all reopenings, and none of those that it was redriven for was to have another. */
export function isCurrent(execution: Execution, { count, ways }: Reopenings): boolean {
  const reopenings = reopeningsAt(execution);
  return reopenings >= count && !ways.slice(reopenings - execution.redriveCount, reopenings).includes('execution');
}

export function executionInput(
  { id, request, stages }: RunRecord,
  { native }: Pick<StateMachines, 'native'>,
  { execution, reopened }: { readonly execution: string; readonly reopened: number },
): Json {
  const { logicalTime: time, date, window, params } = request;
  const done = Object.fromEntries([...native].flatMap(([stage, flag]) => (isDone(stages.get(stage) as StageRecord) ? [[flag, true]] : [])));
  return {
    run: id,
    execution,
    time,
    date,
    window: window && { ...window },
    params,
    ...(Object.keys(done).length > 0 && { done }),
    ...(reopened > 0 && { reopened }),
  };
}

/** Where a person sees what the machine does. */
export function consoleLink(execution: string, { region }: Pick<StepFunctionsSettings, 'region'>): string {
  const hosts: Readonly<Record<string, string>> = { 'aws-cn': 'console.amazonaws.cn', 'aws-us-gov': 'console.amazonaws-us-gov.com' };
  const host = hosts[partition(region)] ?? `${region}.console.aws.amazon.com`;
  return `https://${host}/states/home?region=${region}#/v2/executions/details/${execution}`;
}
