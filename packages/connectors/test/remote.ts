import type { Json, RemoteState, RemoteTask, Step } from '@millrace/core/runtime';
import { type RemoteFixture, testContext } from '@millrace/core/testing';
import { type AwsFake, AwsFault } from '../../../test/aws-fake.ts';

interface Remote {
  readonly task: RemoteTask;
  readonly request: (id?: string) => { readonly id: string; readonly parameters: Readonly<Record<string, Json>> };
}

/** The task of a step, and the parameters that it is started with where they hold no values of the run. */
export function remoteOf(step: Step): Remote {
  if (step.work.kind !== 'remote') throw new Error(`The step is no remote one but ${step.work.kind}.`);
  const { task, parameters } = step.work;
  return { task, request: (id = 'run-1-stage-1') => ({ id, parameters: JSON.parse(JSON.stringify(parameters)) }) };
}

export const outputOf = (state: RemoteState) => (state.at === 'succeeded' ? state.output : state);

/** Work at a fake service, for the suite of all remote tasks. `start` and `poll` are the operations that do these. */
export function fixtureOf(
  world: Remote & AsyncDisposable & { readonly fake: AwsFake },
  of: {
    readonly start: string;
    readonly poll: string;
    readonly works: () => number;
    readonly end: RemoteFixture['end'];
    readonly forget: () => void;
  },
): RemoteFixture {
  let hours = 0;
  let refused = 0;
  const call = () => (refused++ % 2 === 0 ? of.start : of.poll);
  const refuse = (name: string, status: number) => () => world.fake.fail(call(), new AwsFault(name, 'no', status));
  return {
    task: world.task,
    parameters: world.request().parameters,
    context: testContext({ now: () => new Date(Date.now() + hours * 3_600_000) }),
    works: of.works,
    end: of.end,
    refuse: {
      throttled: refuse('ThrottlingException', 400),
      unavailable: refuse('InternalFailure', 500),
      garbled: () => world.fake.garble(call()),
    },
    // So late that it is no delay of the service's own listings.
    forget() {
      hours += 48;
      of.forget();
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
