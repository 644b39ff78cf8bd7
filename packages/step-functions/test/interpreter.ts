import type { Json } from '@millrace/core/runtime';
import { StateMachine } from 'aws-local-stepfunctions';
import type { Definition, State } from '../src/asl.ts';
import type { Machine, StateMachines } from '../src/compile.ts';

// It asks for Node 22, of which it needs this alone.
const promises = Promise as unknown as { withResolvers?: () => unknown };
promises.withResolvers ??= () => {
  let [resolve, reject]: [unknown, unknown] = [null, null];
  const promise = new Promise((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
};

/** JSON of which a test knows the shape. */
export interface Loose {
  readonly [name: string | number]: Loose & string;
}

/** What a Task asks for: its resource's call and its parameters, as the interpreter has filled them in. */
export interface Asked {
  readonly state: string;
  readonly call: string;
  readonly parameters: Loose;
}

export type Answer = (asked: Asked) => Promise<Json | undefined> | Json | undefined;

export interface Ended {
  readonly output: unknown;
  /** Null where it succeeded. */
  readonly error: string | null;
  readonly cause: string;
}

/** The name of a failure, as a service or a task reports it. */
export function failure(name: string, cause = ''): Error {
  const error = new Error(cause);
  error.name = name;
  return error;
}

/** One execution of a machine in aws-local-stepfunctions, which interprets the language without AWS. Every Task is answered by `answer`; waits are left out. */
export function startMachine(
  definition: Definition,
  input: Json,
  {
    answer,
    execution,
  }: { readonly answer: Answer; readonly execution: { readonly Id: string; readonly Name: string; readonly RedriveCount?: number } },
): { readonly ended: Promise<Ended>; readonly events: ReturnType<StateMachine['run']>['eventLogs']; abort(): void } {
  const states = allStates(definition);
  const handlers = Object.fromEntries(
    states.flatMap(([state, one]) =>
      one.Type === 'Task'
        ? [
            [
              state,
              async (parameters: unknown) => {
                const call = one.Resource.replace(/^arn:aws[a-z-]*:states:::/, '');
                return { ...least[call], ...((await answer({ state, call, parameters: parameters as Loose })) as object | undefined) };
              },
            ] as const,
          ]
        : [],
    ),
  );
  const { result, eventLogs, abort } = new StateMachine(patient(definition) as never, {
    validationOptions: { noValidate: true } as never,
  }).run(input as never, {
    overrides: {
      taskResourceLocalHandlers: handlers as never,
      waitTimeOverrides: Object.fromEntries(states.map(([state]) => [state, 0])),
      retryIntervalOverrides: Object.fromEntries(states.map(([state]) => [state, 0])),
    },
    context: {
      Execution: { RedriveCount: 0, ...execution },
      State: { RetryCount: 0, Name: '', EnteredTime: '2026-03-29T00:30:00.000Z' },
      Task: { Token: 'token' },
    } as never,
  });
  return {
    abort,
    events: eventLogs,
    ended: result.then(
      (output) => ({ output, error: null, cause: '' }),
      (error) => ({ output: null, ...saidBy(error) }),
    ),
  };
}

/** What a service answers in any case. */
const least: Readonly<Record<string, object>> = { 'glue:startJobRun.sync': { JobRunState: 'SUCCEEDED' } };

/** What has no timeout of its own ends after a minute there, and after a year in AWS. */
function patient(definition: Definition): Definition {
  return JSON.parse(JSON.stringify(definition), (_, value) =>
    value?.Type === 'Task' && value.TimeoutSeconds === undefined ? { ...value, TimeoutSeconds: 86_400 } : value,
  );
}

/** Runs machines to their end; those that are started by others run there as well. */
export async function interpret(machines: StateMachines, answer: Answer, input: Json = {}, name = 'run-1'): Promise<Ended> {
  const byArn = new Map(machines.others.map((machine) => [`\${${machine.id}Arn}`, machine]));
  const run = (machine: Machine, given: Json, execution: string): Promise<Ended> =>
    startMachine(machine.definition, given, {
      execution: { Id: `arn:aws:states:eu-west-1:123456789012:execution:${machine.name}:${execution}`, Name: execution },
      async answer(asked) {
        const other = byArn.get(asked.parameters['StateMachineArn'] ?? '');
        if (!other) return answer(asked);
        const ended = await run(other, asked.parameters['Input'] as unknown as Json, `${execution}-${asked.state}`);
        if (ended.error !== null) throw failure('States.TaskFailed', JSON.stringify({ error: ended.error }));
        return { Output: ended.output as Json };
      },
    }).ended;
  return run(machines.main, input, name);
}

/** Of the error that a state has failed with; the interpreter wraps it. */
function saidBy(error: unknown): Pick<Ended, 'error' | 'cause'> {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause.name !== 'ExecutionError' && cause.name !== 'Error') return { error: cause.name, cause: cause.message };
  return { error: String(error), cause: '' };
}

/** Of a machine with all its branches. */
export function allStates({ States }: Definition): [string, State][] {
  return Object.entries(States).flatMap(([name, state]): [string, State][] => [
    [name, state],
    ...(state.Type === 'Parallel' ? state.Branches.flatMap(allStates) : []),
    ...(state.Type === 'Map' ? allStates(state.ItemProcessor) : []),
  ]);
}

/** The stage that a task of ours is asked to run. */
export const stageOf = ({ parameters }: Asked): string => parameters['Overrides']?.['ContainerOverrides']?.[0]?.['Command']?.[3] ?? '';
