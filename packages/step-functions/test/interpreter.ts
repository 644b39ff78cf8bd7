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
}

/** The name of a failure, as a service or a task reports it. */
export function failure(name: string, cause = ''): Error {
  const error = new Error(cause);
  error.name = name;
  return error;
}

/**
 * Runs machines in aws-local-stepfunctions, which interprets the language without AWS. Every Task is answered by `answer`; machines that are started
 * by others run there as well. Waits and pauses before retries are left out.
 */
export async function interpret(machines: StateMachines, answer: Answer, input: Json = {}, name = 'run-1'): Promise<Ended> {
  const byArn = new Map(machines.others.map((machine) => [`\${${machine.id}Arn}`, machine]));
  const run = async (machine: Machine, given: Json, execution: string): Promise<Ended> => {
    const states = allStates(machine.definition);
    const handlers = Object.fromEntries(
      states.flatMap(([state, one]) =>
        one.Type === 'Task' ? [[state, (parameters: unknown) => handle(state, one.Resource, parameters as Loose)] as const] : [],
      ),
    );
    const handle = async (state: string, resource: string, parameters: Loose): Promise<Json> => {
      const other = byArn.get(parameters['StateMachineArn'] ?? '');
      if (!other) return (await answer({ state, call: resource.replace(/^arn:aws[a-z-]*:states:::/, ''), parameters })) ?? {};
      const ended = await run(other, parameters['Input'] as unknown as Json, `${execution}-${state}`);
      if (ended.error !== null) throw failure('States.TaskFailed', JSON.stringify({ error: ended.error }));
      return { Output: ended.output as Json };
    };
    const { result } = new StateMachine(machine.definition as never, { validationOptions: { noValidate: true } as never }).run(
      given as never,
      {
        overrides: {
          taskResourceLocalHandlers: handlers as never,
          waitTimeOverrides: Object.fromEntries(states.map(([state]) => [state, 0])),
          retryIntervalOverrides: Object.fromEntries(states.map(([state]) => [state, 0])),
        },
        context: {
          Execution: {
            Id: `arn:aws:states:eu-west-1:123456789012:execution:${machine.name}:${execution}`,
            Name: execution,
            RedriveCount: 0,
          },
          State: { RetryCount: 0, Name: '', EnteredTime: '2026-03-29T00:30:00.000Z' },
          Task: { Token: 'token' },
        } as never,
      },
    );
    return result.then(
      (output) => ({ output, error: null }),
      (error) => ({ output: null, error: nameOf(error) }),
    );
  };
  return run(machines.main, input, name);
}

/** Of the error that a state has failed with; the interpreter wraps it. */
function nameOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause.name !== 'ExecutionError' && cause.name !== 'Error') return cause.name;
  return String(error);
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
