import type { Plan, StepFunctionsSettings } from '@millrace/core/runtime';
import { machineName } from '../machine/names.ts';
import { starterId } from '../machine/starter.ts';
import type { Value } from './fill.ts';
import type { Resource } from './resource.ts';
import { role } from './role.ts';
import { schedulesOf } from './schedule.ts';

/**
 * What starts the machine that starts the pipeline's, the role by which it may, and a queue that keeps what it could not start. Events come as they
 * are: a template of EventBridge's would break where a key has a quotation mark.
 */
export function triggersOf(plan: Plan, { roles = {} }: StepFunctionsSettings, policy: Value): Record<string, Resource> {
  const schedules = schedulesOf(plan);
  const arn: Value = roles.scheduler ?? { 'Fn::GetAtt': ['SchedulerRole', 'Arn'] };
  const undelivered: Record<string, Resource> = {
    Undelivered: {
      Type: 'AWS::SQS::Queue',
      DeletionPolicy: 'Delete',
      UpdateReplacePolicy: 'Delete',
      Properties: { MessageRetentionPeriod: 14 * 24 * 60 * 60, SqsManagedSseEnabled: true },
    },
  };
  switch (schedules.kind) {
    case 'times':
      return {
        ...undelivered,
        ...(roles.scheduler === undefined
          ? {
              SchedulerRole: role(
                'scheduler.amazonaws.com',
                ['arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default'],
                policy,
              ),
            }
          : {}),
        ...Object.fromEntries(
          schedules.expressions.map((expression, at) => [`Schedule${at + 1}`, schedule(plan, expression, schedules.timeZone, arn)]),
        ),
      };
    case 'objects':
      return rule(
        {
          source: ['aws.s3'],
          'detail-type': ['Object Created'],
          detail: {
            bucket: { name: [schedules.bucket] },
            object: { key: schedules.keys.map((key) => (key.includes('*') ? { wildcard: key } : key)) },
          },
        },
        { undelivered, policy, arn, own: roles.scheduler === undefined },
      );
    case 'success':
      return rule(
        {
          source: ['aws.states'],
          'detail-type': ['Step Functions Execution Status Change'],
          detail: {
            status: ['SUCCEEDED'],
            stateMachineArn: [
              { 'Fn::Sub': `arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:stateMachine:${machineName(schedules.of)}` },
            ],
          },
        },
        { undelivered, policy, arn, own: roles.scheduler === undefined },
      );
    default:
      return {};
  }
}

function schedule({ pipeline }: Plan, expression: string, timeZone: string, RoleArn: Value): Resource {
  return {
    Type: 'AWS::Scheduler::Schedule',
    Properties: {
      Description: `Runs pipeline ${pipeline}`,
      ScheduleExpression: expression,
      ScheduleExpressionTimezone: timeZone,
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: {
        Arn: { Ref: starterId },
        RoleArn,
        // The time that it was meant for, not the moment at which it happened to be started.
        Input: '{"time": "<aws.scheduler.scheduled-time>"}',
        RetryPolicy: { MaximumEventAgeInSeconds: 24 * 60 * 60, MaximumRetryAttempts: 185 },
        DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['Undelivered', 'Arn'] } },
      },
    },
  };
}

interface RuleParts {
  readonly undelivered: Record<string, Resource>;
  readonly policy: Value;
  readonly arn: Value;
  /** True where the template makes the role. */
  readonly own: boolean;
}

function rule(EventPattern: Value, { undelivered, policy, arn, own }: RuleParts): Record<string, Resource> {
  const source = 'arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*';
  return {
    ...undelivered,
    ...(own ? { SchedulerRole: role('events.amazonaws.com', [source], policy) } : {}),
    Trigger: {
      Type: 'AWS::Events::Rule',
      Properties: {
        EventPattern,
        Targets: [
          {
            Id: 'pipeline',
            Arn: { Ref: starterId },
            RoleArn: arn,
            DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['Undelivered', 'Arn'] } },
          },
        ],
      },
    },
    // Rules put what they cannot deliver there in their own name, not in that of the role.
    UndeliveredPolicy: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: 'Undelivered' }],
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Allow',
              Principal: { Service: 'events.amazonaws.com' },
              Action: 'sqs:SendMessage',
              Resource: { 'Fn::GetAtt': ['Undelivered', 'Arn'] },
              Condition: { ArnEquals: { 'aws:SourceArn': { 'Fn::GetAtt': ['Trigger', 'Arn'] } } },
            },
          ],
        },
      },
    },
  };
}
