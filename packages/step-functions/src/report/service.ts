import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

/** A task of an activity. */
export interface ActivityTask {
  readonly token: string;
  /** JSON. */
  readonly input: string;
}

/** Step Functions, from the side of whoever works on its tasks. */
export interface TaskService extends AsyncDisposable {
  /** Waits for a task of an activity, for a minute; null where none came. @throws CONFIG_INVALID where there is no such activity */
  next(activity: string, worker: string, signal: AbortSignal): Promise<ActivityTask | null>;
  /** A sign of life. False where nobody waits for this task any more: its time is over, or its execution has ended. */
  heartbeat(token: string): Promise<boolean>;
  /** False as above: nobody has heard of it. */
  succeed(token: string): Promise<boolean>;
  fail(token: string, error: string, cause: string): Promise<boolean>;
}

/** By `@aws-sdk/client-sfn`, which is loaded here and nowhere else. @throws CONFIG_INVALID */
export async function taskService({ region }: { readonly region?: string | undefined } = {}): Promise<TaskService> {
  const aws = await load();
  const client = new aws.SFNClient({
    ...(region !== undefined && { region }),
    maxAttempts: 8,
    // A wait for a task takes a minute.
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 70_000 },
  });
  const told = async (answer: Promise<unknown>, doing: string): Promise<boolean> => {
    try {
      await answer;
      return true;
    } catch (error) {
      if (isUnwanted(error)) return false;
      throw refusal(error, doing);
    }
  };
  return {
    async next(activityArn, workerName, abortSignal) {
      try {
        const { taskToken, input = '' } = await client.send(new aws.GetActivityTaskCommand({ activityArn, workerName }), { abortSignal });
        return taskToken ? { token: taskToken, input } : null;
      } catch (error) {
        if (abortSignal.aborted) return null;
        throw refusal(error, `asking for tasks of ${activityArn}`);
      }
    },
    heartbeat: (taskToken) => told(client.send(new aws.SendTaskHeartbeatCommand({ taskToken })), 'sending a heartbeat'),
    succeed: (taskToken) => told(client.send(new aws.SendTaskSuccessCommand({ taskToken, output: '{}' })), 'reporting a success'),
    fail: (taskToken, error, cause) =>
      told(client.send(new aws.SendTaskFailureCommand({ taskToken, error, cause })), 'reporting a failure'),
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

/** What Step Functions answers where it waits for this task no longer. */
const isUnwanted = (error: unknown): boolean =>
  ['TaskTimedOut', 'TaskDoesNotExist', 'InvalidToken'].includes((error as { readonly name?: string } | null)?.name ?? '');

function refusal(error: unknown, doing: string): MillraceError {
  const { name = 'Error', message = '', code, $metadata } = error as AwsError;
  const status = $metadata?.httpStatusCode;
  const make = (is: ErrorCode, why: string, remedy: string) =>
    new MillraceError(is, { message: `Step Functions, ${doing}: ${why}`, remedy, facts: { reason: name, status }, cause: error });
  if (/CredentialsProviderError|UnrecognizedClient|InvalidSignature|ExpiredToken/.test(name))
    return make('AUTHENTICATION_FAILED', `the AWS credentials are missing or refused (${name}).`, 'Run where a role is attached.');
  if (/Region is missing/i.test(message)) return make('CONFIG_INVALID', 'no region is set.', 'Set AWS_REGION.');
  if (/ActivityDoesNotExist|InvalidArn/.test(name))
    return make('CONFIG_INVALID', message || name, 'Name the activity by its ARN; "millrace deploy" makes it.');
  if (/AccessDenied/.test(name) || status === 403)
    return make(
      'ACCESS_DENIED',
      message || name,
      'Allow the role of this process states:GetActivityTask, SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat.',
    );
  if (/Throttl|TooManyRequests|LimitExceeded/.test(name) || status === 429)
    return make('REMOTE_THROTTLED', 'it asks us to slow down.', 'Tried again with backoff.');
  if ((status ?? 0) >= 500) return make('REMOTE_UNAVAILABLE', `it answered ${status} (${name}).`, 'Tried again with backoff.');
  if (status === undefined)
    return make(
      'CONNECTION_FAILED',
      `it cannot be reached (${code ?? name}).`,
      'Private subnets need a NAT gateway or an interface endpoint for states.',
    );
  return make('REMOTE_REFUSED', message || name, 'The message is what Step Functions says.');
}

interface AwsError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

async function load() {
  try {
    return await import('@aws-sdk/client-sfn');
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'A task reports itself to Step Functions, and the package @aws-sdk/client-sfn is not installed.',
      remedy: 'Run "npm install @aws-sdk/client-sfn".',
      cause,
    });
  }
}
