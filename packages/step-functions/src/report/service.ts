import { isAwsError } from '@millrace/core/runtime';
import { type Asked, loadSfn, refusal } from '../sfn.ts';

/** A task of an activity. */
export interface ActivityTask {
  readonly token: string;
  /** JSON. */
  readonly input: string;
}

/** Step Functions, from the side of whoever works on its tasks. */
export interface TaskService extends AsyncDisposable {
  /** Waits for a task of an activity, for a minute; null where none came. @throws REMOTE_REFUSED where there is no such activity */
  next(activity: string, worker: string, signal: AbortSignal): Promise<ActivityTask | null>;
  /** A sign of life. False where nobody waits for this task any more: its time is over, or its execution has ended. */
  heartbeat(token: string): Promise<boolean>;
  /** False as above: nobody has heard of it. */
  succeed(token: string): Promise<boolean>;
  fail(token: string, error: string, cause: string): Promise<boolean>;
}

/** @throws UNSUPPORTED where the SDK is not installed */
export async function taskService({ region }: { readonly region?: string | undefined } = {}): Promise<TaskService> {
  const aws = await loadSfn();
  const client = new aws.SFNClient({
    ...(region !== undefined && { region }),
    maxAttempts: 8,
    // A wait for a task takes a minute.
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 70_000 },
  });
  const told = async (answer: Promise<unknown>, what: Asked): Promise<boolean> => {
    try {
      await answer;
      return true;
    } catch (error) {
      if (isAwsError(error, ...unwanted)) return false;
      throw refusal(error, what);
    }
  };
  const about = (doing: string, action: string): Asked => ({ doing, grant: `states:${action} on *` });
  return {
    async next(activityArn, workerName, abortSignal) {
      try {
        const { taskToken, input = '' } = await client.send(new aws.GetActivityTaskCommand({ activityArn, workerName }), { abortSignal });
        return taskToken ? { token: taskToken, input } : null;
      } catch (error) {
        if (abortSignal.aborted) return null;
        throw refusal(error, { doing: `asking for tasks of ${activityArn}`, grant: 'states:GetActivityTask on the activity' });
      }
    },
    heartbeat: (taskToken) =>
      told(client.send(new aws.SendTaskHeartbeatCommand({ taskToken })), about('sending a heartbeat', 'SendTaskHeartbeat')),
    succeed: (taskToken) =>
      told(client.send(new aws.SendTaskSuccessCommand({ taskToken, output: '{}' })), about('reporting a success', 'SendTaskSuccess')),
    fail: (taskToken, error, cause) =>
      told(client.send(new aws.SendTaskFailureCommand({ taskToken, error, cause })), about('reporting a failure', 'SendTaskFailure')),
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

/** What Step Functions answers where it waits for a task no longer. */
const unwanted = ['TaskTimedOut', 'TaskDoesNotExist', 'InvalidToken'];
