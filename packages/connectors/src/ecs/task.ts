import type { RunTaskCommandInput, Task } from '@aws-sdk/client-ecs';
import { type Context, MillraceError, type RemoteHandle, type RemoteTask } from '@millrace/core/runtime';
import { uncapitalised } from '../aws/capital.ts';
import { consoleLink, regionOfArn } from '../aws/console.ts';
import type { EcsFacts } from '../aws/facts.ts';
import { isRecent, startedNow } from '../aws/recent.ts';
import type { EcsService } from './client.ts';
import { refusal, stoppedState, stopReason } from './stop.ts';

/** A token is good for a day, and what has stopped is listed for an hour. */
const tellsForMs = 23 * 60 * 60 * 1000;

/** A task of its own, not of a service. `cluster` and `definition` are names or ARNs. */
export function ecsTask(
  ecs: EcsService,
  { cluster, definition, container }: { readonly cluster: string; readonly definition: string; readonly container: string | null },
): RemoteTask {
  const facts: EcsFacts = { native: true, container };
  return {
    description: {
      service: 'ecs',
      action: 'RunTask',
      label: `ECS task ${definition.split('/').at(-1)}`,
      region: ecs.region,
      starts: 'once',
      watched: true,
      pollMs: 5_000,
      facts: { ...facts },
    },
    tellsForMs,
    async start({ id, parameters }, context) {
      // The token makes a repeated call answer the first one's task.
      const { tasks = [], failures = [] } = await ecs.call(`running ${definition}`, context, (sdk, client, options) =>
        client.send(
          new sdk.RunTaskCommand({
            ...(uncapitalised(parameters) as unknown as RunTaskCommandInput),
            count: 1,
            clientToken: id,
            startedBy: startedBy(id),
          }),
          options,
        ),
      );
      const [task] = tasks;
      if (task) return handleOf(task, context);
      const { reason = 'ECS says nothing of why', detail = '' } = failures[0] ?? {};
      throw notPlaced(definition, [reason, detail].filter(Boolean).join(': '));
    },
    /** What is running, then what has stopped within the hour for which ECS remembers it. */
    async adopt({ id }, context) {
      for (const desiredStatus of ['RUNNING', 'STOPPED'] as const) {
        const { taskArns = [] } = await ecs.call(`looking for a task of ${cluster}`, context, (sdk, client, options) =>
          client.send(new sdk.ListTasksCommand({ cluster, startedBy: startedBy(id), desiredStatus }), options),
        );
        if (taskArns[0] !== undefined) return handleOf({ taskArn: taskArns[0] }, context);
      }
      return null;
    },
    async poll(handle, context) {
      const { id } = handle;
      const { tasks = [] } = await ecs.call(`looking at ${id}`, context, (sdk, client, options) =>
        client.send(new sdk.DescribeTasksCommand({ cluster, tasks: [id] }), options),
      );
      const [task] = tasks;
      if (task?.lastStatus === 'STOPPED') return stoppedState(task, container);
      if (task) return { at: 'running', status: task.lastStatus ?? 'PROVISIONING', progress: null };
      if (isRecent(handle, context)) return { at: 'running', status: 'PROVISIONING', progress: null };
      return { at: 'failed', reason: `ECS does not know task ${id} any more; it forgets tasks an hour after their end.`, again: false };
    },
    async cancel({ id }, context) {
      await ecs.call(`stopping ${id}`, context, async (sdk, client, options) => {
        try {
          await client.send(new sdk.StopTaskCommand({ cluster, task: id, reason: stopReason }), options);
        } catch (error) {
          // One that ECS has forgotten has ended.
          if (!(error instanceof sdk.InvalidParameterException)) throw error;
        }
      });
    },
  };
}

/** At most 128 letters, digits, `-`, `_` and `/`. */
const startedBy = (id: string): string => `millrace/${id}`;

function handleOf({ taskArn = '' }: Pick<Task, 'taskArn'>, context: Context): RemoteHandle {
  const region = regionOfArn(taskArn);
  // arn:aws:ecs:region:account:task/cluster/id
  const [, cluster, task] = taskArn.split('/');
  const link = region && task ? consoleLink(region, `ecs/v2/clusters/${cluster}/tasks/${task}/configuration?region=${region}`) : null;
  return { id: taskArn, link, detail: startedNow(context) };
}

function notPlaced(definition: string, why: string): MillraceError {
  return refusal(why) === 'later'
    ? new MillraceError('REMOTE_UNAVAILABLE', {
        message: `ECS, running ${definition}: no room for the task (${why}).`,
        remedy: 'Tried again with backoff; add capacity, or a capacity provider to fall back on.',
        facts: { why },
      })
    : new MillraceError('REMOTE_REFUSED', {
        message: `ECS, running ${definition}: the task was not placed (${why}).`,
        remedy: 'Correct what it names: the cluster, the task definition or what the task asks of an instance.',
        facts: { why },
      });
}
