import type { Plan, PlanStage } from '@millrace/core/runtime';
import type { Task, Template } from '../asl.ts';
import { arnOf, integration, type Site } from '../machine/site.ts';
import { retriers, retriersOfReports } from './retry.ts';
import { taskVariables as variables } from './variables.ts';

/** The container of a task that runs a stage. */
export const container = 'millrace';

/** Characters that ECS takes for all overrides of a task together. */
export const longestOverrides = 8192;

/** Seconds beyond a stage's own timeout, which the stage keeps itself: a task must start and stop. */
const startAndStop = 300;
/** Seconds without a sign of life. A task takes a minute or two until it can give the first. */
const heartbeat = 300;

/** What a state that runs a stage of ours is, without where it goes. */
export type WorkerTask = Pick<Task, 'Resource' | 'TimeoutSeconds' | 'HeartbeatSeconds' | 'Retry'> & { readonly Parameters: Template };

/** One stage by `millrace run-step`, in whichever way the settings say. `place`: the path of which of several tasks it is. */
export function workerTask(stage: PlanStage, site: Site, place: string | null): WorkerTask {
  const { work = 'task' } = site.settings;
  const TimeoutSeconds = stage.timeoutMs === null ? {} : { TimeoutSeconds: Math.ceil(stage.timeoutMs / 1000) + startAndStop };
  const alive = { HeartbeatSeconds: heartbeat, ...TimeoutSeconds };
  site.grants.push(...grants(site));
  if (work === 'task') {
    // How a container ended is all that can be seen of it, so every end without success is tried again.
    const Resource = integration(site, 'ecs:runTask.sync');
    return { Resource, Parameters: runTask(stage, site, place, false), ...TimeoutSeconds, ...retriers(stage, ['States.ALL']) };
  }
  if (work === 'token') {
    const Resource = integration(site, 'ecs:runTask.waitForTaskToken');
    return { Resource, Parameters: runTask(stage, site, place, true), ...alive, ...retriersOfReports(stage) };
  }
  if (work === 'activity')
    return { Resource: arnOf('Activity'), Parameters: request(stage, site.plan, place), ...alive, ...retriersOfReports(stage) };
  const Resource = integration(site, 'lambda:invoke');
  const Parameters = { FunctionName: work.lambda, Payload: request(stage, site.plan, place) };
  return { Resource, Parameters, ...TimeoutSeconds, ...retriersOfReports(stage, lambdaErrors) };
}

export const lambdaErrors = [
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
];

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

function grants({ settings }: Site): Site['grants'] {
  const { work = 'task' } = settings;
  // Workers ask an activity; the machine needs nothing for that.
  if (work === 'activity') return [];
  if (work !== 'task' && work !== 'token') return [{ actions: ['lambda:InvokeFunction'], resources: [work.lambda, `${work.lambda}:*`] }];
  return ecsGrants('${TaskDefinitionArn}', ['${TaskRoleArn}', '${ExecutionRoleArn}'], clusterArn(settings.cluster), work === 'task');
}

export const clusterArn = (cluster: string): string =>
  cluster.startsWith('arn:') ? cluster : `arn:\${Partition}:ecs:\${Region}:\${Account}:cluster/${cluster}`;

/** What running a task, watching it to its end (`sync`) and handing over its roles need. */
export function ecsGrants(definition: string, roles: readonly string[], cluster: string, sync: boolean): Site['grants'] {
  const inCluster = { ArnEquals: { 'ecs:cluster': cluster } };
  return [
    { actions: ['ecs:RunTask'], resources: [definition], when: inCluster },
    { actions: ['iam:PassRole'], resources: roles, when: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } } },
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
