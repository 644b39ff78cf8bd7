import type { Plan, PlanStage } from '@millrace/core/runtime';
import type { Task, Template } from '../asl.ts';
import { machineName } from '../machine/names.ts';
import { arnOf, integration, type Site } from '../machine/site.ts';
import { ecsErrors, lambdaErrors } from './call-errors.ts';
import { retriers, retriersOfReports, startRetriers } from './retry.ts';
import { taskVariables as variables } from './variables.ts';

/** The container of a task that runs a stage. */
export const container = 'millrace';

/** Characters that ECS takes for all overrides of a task together. */
export const longestOverrides = 8192;

/** Seconds beyond a stage's own timeout, which the stage keeps itself: a task must start and stop. */
const startAndStop = 300;
/** And those in which it has ended what it has begun at a service: it asks for that, and looks for its end. */
const endingWork = 600;
/** And those for which it waits until its pools have room, at most: its own timeout counts from then on. */
const longestWait = 7 * 24 * 60 * 60;
/** Seconds without a sign of life. A task takes a minute or two until it can give the first. */
const heartbeat = 300;

/** What a state that runs a stage of ours is, without where it goes. */
export type WorkerTask = Pick<Task, 'Resource' | 'TimeoutSeconds' | 'HeartbeatSeconds' | 'Retry'> & { readonly Parameters: Template };

/** One stage by `millrace run-step`, in whichever way the settings say. `place`: the path of which of several tasks it is. */
export function workerTask(stage: PlanStage, site: Site, place: string | null): WorkerTask {
  const { work = 'task' } = site.settings;
  const TimeoutSeconds = bound(stage);
  const alive = { HeartbeatSeconds: heartbeat, ...TimeoutSeconds };
  site.grants.push(...grants(site));
  if (work === 'task') {
    // How a container ended is all that can be seen of it, so every end without success is tried again.
    const Retry = [...startRetriers(ourStarts), ...(retriers(stage, ['States.ALL']).Retry ?? [])];
    return { Resource: integration(site, 'ecs:runTask.sync'), Parameters: runTask(stage, site, place, false), ...TimeoutSeconds, Retry };
  }
  if (work === 'token') {
    const Resource = integration(site, 'ecs:runTask.waitForTaskToken');
    return { Resource, Parameters: runTask(stage, site, place, true), ...alive, ...retriersOfReports(stage, ourStarts) };
  }
  if (work === 'activity')
    return { Resource: arnOf('Activity'), Parameters: request(stage, site.plan, place), ...alive, ...retriersOfReports(stage) };
  const Resource = integration(site, 'lambda:invoke');
  const Parameters = { FunctionName: work.lambda, Payload: request(stage, site.plan, place) };
  return { Resource, Parameters, ...TimeoutSeconds, ...retriersOfReports(stage, lambdaErrors) };
}

/** A task of ours that was started twice finds that in the record. */
const ourStarts = [...ecsErrors, 'ECS.SdkClientException'];

/** A stage ends itself when its work has taken too long. This ends one of which nothing is heard any more. */
function bound({ kind, timeoutMs, limits = [] }: PlanStage): Pick<Task, 'TimeoutSeconds'> {
  if (timeoutMs === null) return {};
  const more = startAndStop + (kind === 'remote' ? endingWork : 0) + (limits.length > 0 ? longestWait : 0);
  return { TimeoutSeconds: Math.ceil(timeoutMs / 1000) + more };
}

function runTask(stage: PlanStage, site: Site, place: string | null, token: boolean): Template {
  const { cluster, subnets, securityGroups, publicIp, spot } = site.settings;
  return {
    Cluster: cluster,
    TaskDefinition: arnOf('TaskDefinition'),
    ...(spot
      ? { CapacityProviderStrategy: [{ CapacityProvider: 'FARGATE_SPOT', Weight: 1 }] }
      : { LaunchType: 'FARGATE', PlatformVersion: 'LATEST' }),
    NetworkConfiguration: {
      AwsvpcConfiguration: {
        Subnets: subnets,
        SecurityGroups: securityGroups,
        AssignPublicIp: publicIp ? 'ENABLED' : 'DISABLED',
      },
    },
    Overrides: {
      ContainerOverrides: [
        {
          Name: container,
          Command: ['run-step', site.plan.pipeline, '--stage', stage.id],
          Environment: [
            { Name: variables.plan, Value: site.plan.fingerprint },
            { Name: variables.run, 'Value.$': '$.run' },
            { Name: variables.input, 'Value.$': 'States.JsonToString($)' },
            { Name: variables.attempt, 'Value.$': "States.Format('{}', $$.State.RetryCount)" },
            { Name: variables.redriveCount, 'Value.$': "States.Format('{}', $$.Execution.RedriveCount)" },
            ...(place === null ? [] : [{ Name: variables.place, 'Value.$': `States.Format('{}', ${place})` }]),
            ...(token ? [{ Name: variables.token, 'Value.$': '$$.Task.Token' }] : []),
          ],
        },
      ],
    },
  };
}

/** The same as JSON, for workers that are there already. `parseRequest` reads it. */
function request(stage: PlanStage, plan: Plan, place: string | null): Template {
  return {
    command: 'run-step',
    pipeline: plan.pipeline,
    plan: plan.fingerprint,
    stage: stage.id,
    'run.$': '$.run',
    'input.$': '$',
    'attempt.$': '$$.State.RetryCount',
    'redriveCount.$': '$$.Execution.RedriveCount',
    ...(place === null ? {} : { 'place.$': place }),
  };
}

function grants({ plan, settings }: Site): Site['grants'] {
  const { work = 'task' } = settings;
  // Workers ask an activity; the machine needs nothing for that.
  if (work === 'activity') return [];
  if (work !== 'task' && work !== 'token') return [invokeGrant(work.lambda)];
  return ecsGrants(everyRevision(plan), ['${TaskRoleArn}', '${ExecutionRoleArn}'], clusterArn(settings.cluster), work === 'task');
}

/** Executions that began before a deployment go on with the revision that they began with. */
const everyRevision = ({ pipeline }: Plan): string =>
  `arn:\${Partition}:ecs:\${Region}:\${Account}:task-definition/${machineName(pipeline)}:*`;

export const clusterArn = (cluster: string): string =>
  cluster.startsWith('arn:') ? cluster : `arn:\${Partition}:ecs:\${Region}:\${Account}:cluster/${cluster}`;

/** What calling a function needs, whatever version of it is named: executions go on with the one that they began with. */
export function invokeGrant(named: string): Site['grants'][number] {
  const plain = named.startsWith('arn:')
    ? named.split(':').slice(0, 7).join(':')
    : `arn:\${Partition}:lambda:\${Region}:\${Account}:function:${named.split(':')[0]}`;
  return { actions: ['lambda:InvokeFunction'], resources: [plain, `${plain}:*`] };
}

/** What running a task, watching it to its end (`sync`) and handing over its roles need. */
export function ecsGrants(definition: string, roles: readonly string[], cluster: string, sync: boolean): Site['grants'] {
  const inCluster = { ArnEquals: { 'ecs:cluster': cluster } };
  return [
    { actions: ['ecs:RunTask'], resources: [definition], when: inCluster },
    ...(roles.length > 0
      ? [{ actions: ['iam:PassRole'], resources: roles, when: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } } }]
      : []),
    ...(sync
      ? [
          { actions: ['ecs:StopTask', 'ecs:DescribeTasks'], resources: ['*'], when: inCluster },
          {
            actions: ['events:PutTargets', 'events:PutRule', 'events:DescribeRule'],
            resources: ['arn:${Partition}:events:${Region}:${Account}:rule/StepFunctionsGetEventsForECSTaskRule'],
          },
        ]
      : []),
  ];
}
