import { MillraceError, type Plan, type StepFunctionsSettings } from '@millrace/core/runtime';
import { isDistributed } from '../asl.ts';
import type { Machine, StateMachines } from '../compile.ts';
import { machineName } from '../machine/names.ts';
import { executionPolicy, machinePolicy, type Policy, startPolicy, taskPolicy } from '../policy/policy.ts';
import { alarmsOf } from './alarms.ts';
import { filledIn, type Places, type Value } from './fill.ts';
import type { Resource } from './resource.ts';
import { role } from './role.ts';
import { schedulesOf } from './schedule.ts';
import { taskDefinition } from './task-definition.ts';
import { triggersOf } from './triggers.ts';

/** A template of CloudFormation, as JSON. */
export interface Template {
  readonly AWSTemplateFormatVersion: '2010-09-09';
  readonly Description: string;
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs: Readonly<Record<string, Value>>;
}

/** All that a pipeline needs in an account, beside the cluster, the network and the image, which are there already. */
export function templateOf(plan: Plan, machines: StateMachines, settings: StepFunctionsSettings): Template {
  const { roles = {}, work = 'task' } = settings;
  const tasks = work === 'task' || work === 'token';
  const places = placesOf(machines, settings);
  checkPolicy(machinePolicy(machines.grants, settings), plan, settings);
  const fill = (policy: Policy | null): Value | null => (policy && policy.Statement.length > 0 ? filledIn(policy, places) : null);
  const started = schedulesOf(plan).kind !== 'none';
  const taskGrants = taskPolicy(settings);
  const all = [machines.main, ...machines.others];
  const resources: Record<string, Resource> = {
    ...(settings.log === 'off' ? {} : { StateLogs: logGroup(settings, `/aws/vendedlogs/states/${machineName(plan.pipeline)}`) }),
    ...Object.fromEntries(all.map((machine) => [machine.id, stateMachine(machine, settings, places)])),
    ...(roles.machine === undefined
      ? { MachineRole: role('states.amazonaws.com', machineSources(machines), fill(machinePolicy(machines.grants, settings))) }
      : {}),
    ...(work === 'activity' ? { Activity: activity(plan) } : {}),
    ...(tasks
      ? {
          TaskLogs: logGroup(settings),
          TaskDefinition: taskDefinition(plan, settings, places),
          ...(roles.execution === undefined
            ? { ExecutionRole: role('ecs-tasks.amazonaws.com', [ecsSource], fill(executionPolicy(settings))) }
            : {}),
          ...(roles.task === undefined
            ? { TaskRole: role('ecs-tasks.amazonaws.com', [ecsSource], fill(taskGrants), settings.policies) }
            : {}),
        }
      : {}),
    ...(started ? triggersOf(plan, settings, fill(startPolicy(plan))) : {}),
    ...alarmsOf(plan, settings, started),
  };
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Millrace: pipeline ${plan.pipeline}, plan ${plan.fingerprint.slice(0, 12)}`,
    Resources: resources,
    Outputs: {
      StateMachineArn: { Value: { Ref: 'StateMachine' } },
      Plan: { Value: plan.fingerprint },
      ...(tasks && roles.task === undefined ? { TaskRoleArn: { Value: { 'Fn::GetAtt': ['TaskRole', 'Arn'] } } } : {}),
      ...(work === 'activity' ? { ActivityArn: { Value: { Ref: 'Activity' } } } : {}),
    },
  };
}

/** Characters that the policies of a role may have together. */
const largestPolicy = 10_240;

function checkPolicy(policy: Policy, { pipeline }: Plan, { roles = {} }: StepFunctionsSettings): void {
  const length = JSON.stringify(policy).length;
  if (length <= largestPolicy || roles.machine !== undefined) return;
  throw new MillraceError('UNSUPPORTED', {
    message: `The policy of pipeline "${pipeline}" has ${length} characters, and a role takes ${largestPolicy}.`,
    remedy:
      'Make the role yourself, with managed policies, and name it: stepFunctions: { roles: { machine: … } }. Or split the pipeline in two.',
    facts: { pipeline, length },
  });
}

/** The largest template that CloudFormation takes as text; a larger one must lie in S3. */
export const largestText = 51_200;

/** The largest one that it takes at all, in bytes. */
const largestTemplate = 1_048_576;

/** Why CloudFormation would not take a template; null where it would. The machines may be deployed by something else. */
export function templateProblem(template: Template): MillraceError | null {
  const bytes = Buffer.byteLength(JSON.stringify(template));
  if (bytes <= largestTemplate) return null;
  return new MillraceError('UNSUPPORTED', {
    message: `The template has ${bytes.toLocaleString('en')} bytes with the definitions of its machines, and CloudFormation takes ${largestTemplate.toLocaleString('en')}.`,
    remedy:
      'Split the pipeline in two, of which one runs onSuccess of the other; or deploy the *.asl.json files that "millrace compile" writes.',
    facts: { bytes },
  });
}

function placesOf(machines: StateMachines, { roles = {} }: StepFunctionsSettings): Places {
  const arn = (id: string): Value => ({ 'Fn::GetAtt': [id, 'Arn'] });
  return {
    StateMachineArn: { Ref: 'StateMachine' },
    TaskDefinitionArn: { Ref: 'TaskDefinition' },
    TaskRoleArn: roles.task ?? arn('TaskRole'),
    ExecutionRoleArn: roles.execution ?? arn('ExecutionRole'),
    ActivityArn: { Ref: 'Activity' },
    TaskLogsArn: arn('TaskLogs'),
    UndeliveredArn: arn('Undelivered'),
    ...Object.fromEntries(machines.others.map(({ id }) => [`${id}Arn`, { Ref: id }])),
  };
}

function stateMachine(
  { name, definition }: Machine,
  { log = 'error', xray = false, roles = {} }: StepFunctionsSettings,
  places: Places,
): Resource {
  const text = JSON.stringify(definition);
  const used = Object.entries(places).filter(([place]) => text.includes(`\${${place}}`));
  return {
    Type: 'AWS::StepFunctions::StateMachine',
    Properties: {
      StateMachineName: name,
      StateMachineType: 'STANDARD',
      DefinitionString: text,
      ...(used.length > 0 ? { DefinitionSubstitutions: Object.fromEntries(used) } : {}),
      RoleArn: roles.machine ?? { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
      ...(log === 'off'
        ? {}
        : {
            LoggingConfiguration: {
              Level: log.toUpperCase(),
              IncludeExecutionData: true,
              Destinations: [{ CloudWatchLogsLogGroup: { LogGroupArn: { 'Fn::GetAtt': ['StateLogs', 'Arn'] } } }],
            },
          }),
      ...(xray ? { TracingConfiguration: { Enabled: true } } : {}),
    },
  };
}

/** One for each plan: workers take tasks of the version that they are, and of no other. */
const activity = ({ pipeline, fingerprint }: Plan): Resource => ({
  Type: 'AWS::StepFunctions::Activity',
  DeletionPolicy: 'Delete',
  UpdateReplacePolicy: 'Retain',
  Properties: { Name: machineName(pipeline, `-${fingerprint.slice(0, 8)}`) },
});

const logGroup = ({ logDays = 30 }: StepFunctionsSettings, LogGroupName?: string): Resource => ({
  Type: 'AWS::Logs::LogGroup',
  DeletionPolicy: 'Delete',
  UpdateReplacePolicy: 'Delete',
  Properties: { ...(LogGroupName === undefined ? {} : { LogGroupName }), RetentionInDays: logDays },
});

/**
 * The machines of a pipeline, by their names: a pattern would take in those of a pipeline whose name begins in the same way. A trust policy has 2,048
 * characters, so that of very many parts only the digits are left open.
 */
function machineSources({ main, others }: StateMachines): string[] {
  const names = [main, ...others].flatMap(({ name, definition }) => {
    const source = others.length < mostNamed ? name : name.replace(/-part-\d+$/, openDigits);
    // Iterations of a distributed Map have the name of the machine and of the Map.
    return isDistributed(definition) ? [source, `${source}/*`] : [source];
  });
  return [...new Set(names)].map((name) => `arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:stateMachine:${name}`);
}

const mostNamed = 12;
const openDigits = (suffix: string): string => suffix.replaceAll(/\d/g, '?');

const ecsSource = 'arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:*';
