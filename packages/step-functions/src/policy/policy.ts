import type { Plan, StepFunctionsSettings } from '@millrace/core/runtime';
import { machineName } from '../machine/names.ts';
import { starterSuffix } from '../machine/starter.ts';
import type { Grant } from './grant.ts';

/** A document of IAM. */
export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export interface Statement {
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Grant['when'];
}

/** What the machines of a pipeline may: what their states need, logs and traces where they are on, and nothing else. */
export function machinePolicy(
  grants: readonly Grant[],
  { log = 'error', xray = false }: Pick<StepFunctionsSettings, 'log' | 'xray'>,
): Policy {
  return policyOf([...grants, ...(log === 'off' ? [] : [logging]), ...(xray ? [tracing] : [])]);
}

/** Log deliveries belong to no resource. */
const logging: Grant = {
  actions: [
    'logs:CreateLogDelivery',
    'logs:GetLogDelivery',
    'logs:UpdateLogDelivery',
    'logs:DeleteLogDelivery',
    'logs:ListLogDeliveries',
    'logs:PutResourcePolicy',
    'logs:DescribeResourcePolicies',
    'logs:DescribeLogGroups',
  ],
  resources: ['*'],
};

const tracing: Grant = {
  actions: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords', 'xray:GetSamplingRules', 'xray:GetSamplingTargets'],
  resources: ['*'],
};

/** What the tasks that run stages may of Step Functions; what the stages themselves need is the project's own. Null for nothing. */
export function taskPolicy({ work = 'task' }: Pick<StepFunctionsSettings, 'work'>): Policy | null {
  if (work === 'token')
    return policyOf([{ actions: ['states:SendTaskSuccess', 'states:SendTaskFailure', 'states:SendTaskHeartbeat'], resources: ['*'] }]);
  if (work === 'activity')
    return policyOf([
      { actions: ['states:GetActivityTask'], resources: ['${ActivityArn}'] },
      { actions: ['states:SendTaskSuccess', 'states:SendTaskFailure', 'states:SendTaskHeartbeat'], resources: ['*'] },
    ]);
  return null;
}

/** What ECS may to start a task: fetch the image, write its log, read the secret that becomes its environment. */
export function executionPolicy({ image, secret, secretKey }: Pick<StepFunctionsSettings, 'image' | 'secret' | 'secretKey'>): Policy {
  const { account, region, repository } =
    /^(?<account>\d{12})\.dkr\.ecr\.(?<region>[a-z0-9-]+)\.[a-z.]+\/(?<repository>[^:@]+)/.exec(image)?.groups ?? {};
  return policyOf([
    ...(repository === undefined
      ? []
      : [
          { actions: ['ecr:GetAuthorizationToken'], resources: ['*'] },
          {
            actions: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
            resources: [`arn:\${Partition}:ecr:${region}:${account}:repository/${repository}`],
          },
        ]),
    { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: ['${TaskLogsArn}'] },
    ...(secret === undefined ? [] : [{ actions: ['secretsmanager:GetSecretValue'], resources: [secret] }]),
    ...(secret === undefined || secretKey === undefined ? [] : [{ actions: ['kms:Decrypt'], resources: [secretKey] }]),
  ]);
}

/** What EventBridge may: start the machine that starts the pipeline's; and, for a schedule, keep what could not be started (a rule does that in its own name). */
export const startPolicy = ({ pipeline, schedule }: Pick<Plan, 'pipeline' | 'schedule'>): Policy =>
  policyOf([
    {
      actions: ['states:StartExecution'],
      resources: [`arn:\${Partition}:states:\${Region}:\${Account}:stateMachine:${machineName(pipeline, starterSuffix)}`],
    },
    ...(schedule.kind === 'cron' ? [{ actions: ['sqs:SendMessage'], resources: ['${UndeliveredArn}'] }] : []),
  ]);

/** Grants as few statements: resources of equal actions together, then actions of equal resources. */
function policyOf(grants: readonly Grant[]): Policy {
  const byActions = new Map<string, Grant>();
  for (const grant of grants) merge(byActions, JSON.stringify([grant.actions, grant.when]), grant);
  const byResources = new Map<string, Grant>();
  for (const grant of byActions.values()) merge(byResources, JSON.stringify([[...grant.resources].sort(), grant.when]), grant);
  return {
    Version: '2012-10-17',
    Statement: [...byResources.values()].map(({ actions, resources, when }) => ({
      Effect: 'Allow',
      Action: actions,
      Resource: resources,
      ...(when && { Condition: when }),
    })),
  };
}

function merge(into: Map<string, Grant>, key: string, { actions, resources, when }: Grant): void {
  const known = into.get(key);
  into.set(key, {
    actions: [...new Set([...(known?.actions ?? []), ...actions])],
    resources: [...new Set([...(known?.resources ?? []), ...resources])],
    ...(when && { when }),
  });
}
