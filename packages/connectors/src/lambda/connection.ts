import { MillraceError, type RemoteParameters, type RemoteValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import type { AwsSettings } from '../aws/settings.ts';
import { lambdaService } from './client.ts';
import { lambdaFunction } from './function.ts';

export interface InvokeOptions {
  /** What the function gets as its event. */
  readonly payload?: RemoteValue;
  /** A version or an alias. */
  readonly qualifier?: string;
}

export interface BatchOptions {
  readonly items: readonly RemoteValue[];
  /** Items of one call. 100 by default. */
  readonly batchSize?: number;
  /** Calls at the same time. 5 by default. */
  readonly concurrency?: number;
  /** How often an item is sent in all that the function names in `batchItemFailures`. 3 by default. */
  readonly attempts?: number;
  /** Before items are sent again, in milliseconds; doubled each time. 1,000 by default. */
  readonly pauseMs?: number;
  readonly qualifier?: string;
}

/** Names are those of functions, or ARNs. Lambda cannot tell a repeated call from another: each of these is done at least once. */
export interface LambdaConnection {
  /** Calls the function and waits for its answer, up to 15 minutes. An error of the function is one of the step. */
  invoke(name: string, options?: InvokeOptions, step?: StepOptions): Step<never, 'nothing'>;
  /** Leaves an event with Lambda, which calls the function by itself; the step has succeeded when Lambda has taken it. */
  send(name: string, options?: InvokeOptions, step?: StepOptions): Step<never, 'nothing'>;
  /** Hands items to the function in batches, in the form of SQS; those that it names in `batchItemFailures` are sent again, alone. */
  batches(name: string, options: BatchOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** AWS Lambda functions as steps: `lambda({ region: 'eu-west-1' }).invoke('refresh-cache', { payload: { date: run.date } })`. */
export function lambda(settings: AwsSettings = {}): LambdaConnection {
  const service = lambdaService(settings);
  const one =
    (invocation: 'RequestResponse' | 'Event') =>
    (name: string, { payload = {}, qualifier }: InvokeOptions = {}, step: StepOptions = {}) =>
      remote(lambdaFunction(service, name, invocation, null), parametersOf(name, invocation, payload, qualifier), step);
  return Object.freeze({
    invoke: one('RequestResponse'),
    send: one('Event'),
    batches: (name: string, options: BatchOptions, step: StepOptions = {}) => {
      const { items, batchSize: size = 100, concurrency = 5, attempts = 3, pauseMs = 1_000, qualifier } = options;
      for (const [what, value] of Object.entries({ batchSize: size, concurrency, attempts })) checkCount(name, what, value);
      const task = lambdaFunction(service, name, 'RequestResponse', { size, concurrency, attempts, pauseMs });
      return remote(task, parametersOf(name, 'RequestResponse', items, qualifier), step);
    },
  });
}

const parametersOf = (
  name: string,
  invocation: 'RequestResponse' | 'Event',
  payload: RemoteValue,
  qualifier: string | undefined,
): RemoteParameters => ({
  FunctionName: name,
  InvocationType: invocation,
  Payload: payload,
  ...(qualifier !== undefined && { Qualifier: qualifier }),
});

/** @throws PIPELINE_INVALID */
function checkCount(name: string, what: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${what} of the batches for Lambda function ${name} is ${value}.`,
    remedy: 'Give a whole number above 0.',
  });
}
