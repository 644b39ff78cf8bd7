import { isDone, type Json, type RunId, type RunRecord, type StageRecord, type StepFunctionsSettings } from '@millrace/core/runtime';
import type { StateMachines } from '../compile.ts';
import { longestName } from '../machine/names.ts';
import { partition } from '../machine/site.ts';
import { type Execution, goesOn, type StepFunctionsService } from './service.ts';

/**
 * A run's executions: the first has the run's name. One that cannot be redriven is followed by another, which is given what a record of the run
 * cannot tell a machine: stages without tasks of ours that are done (`done`), and how often the run had been reopened (`again`).
 */
export interface Newest {
  readonly number: number;
  /** Null where the run has none. */
  readonly execution: Execution | null;
}

export async function newestExecution(service: StepFunctionsService, machine: string, run: RunId, from = 1): Promise<Newest> {
  let newest: Newest = { number: 1, execution: null };
  for (let number = from; ; number++) {
    const execution = await service.execution(arnOf(machine, executionName(run, number)));
    if (!execution) return newest;
    newest = { number, execution };
    // The next one is started when it has ended.
    if (goesOn(execution)) return newest;
  }
}

export function executionName(run: RunId, number: number): string {
  if (number === 1) return run;
  const suffix = `-${number}`;
  return `${run.slice(0, longestName - suffix.length)}${suffix}`;
}

const arnOf = (machine: string, name: string): string => `${machine.replace(':stateMachine:', ':execution:')}:${name}`;

/** How often a run had been reopened when this execution was last started or redriven. */
export const toldReopened = ({ input, redriven }: Execution): number => Number(input['again'] ?? 0) + redriven;

export function executionInput({ id, request, stages }: RunRecord, { native }: Pick<StateMachines, 'native'>, again: number): Json {
  const { logicalTime: time, date, window, params } = request;
  const done = Object.fromEntries([...native].flatMap(([stage, flag]) => (isDone(stages.get(stage) as StageRecord) ? [[flag, true]] : [])));
  return {
    run: id,
    time,
    date,
    window: window && { ...window },
    params,
    ...(Object.keys(done).length > 0 && { done }),
    ...(again > 0 && { again }),
  };
}

/** Where a person sees what the machine does. */
export function consoleLink(execution: string, { region }: Pick<StepFunctionsSettings, 'region'>): string {
  const hosts: Readonly<Record<string, string>> = { 'aws-cn': 'console.amazonaws.cn', 'aws-us-gov': 'console.amazonaws-us-gov.com' };
  const host = hosts[partition(region)] ?? `${region}.console.aws.amazon.com`;
  return `https://${host}/states/home?region=${region}#/v2/executions/details/${execution}`;
}
