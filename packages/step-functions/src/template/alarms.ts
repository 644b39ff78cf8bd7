import type { Plan, StepFunctionsSettings } from '@millrace/core/runtime';
import { starterId } from '../machine/starter.ts';
import type { Value } from './fill.ts';
import type { Resource } from './resource.ts';

interface Alarm {
  readonly what: string;
  readonly namespace: string;
  readonly metric: string;
  readonly dimensions: Readonly<Record<string, Value>>;
  readonly statistic: 'Sum' | 'Average' | 'Minimum' | 'Maximum';
  readonly above?: number;
  readonly below?: number;
  /** Periods of five minutes. */
  readonly periods?: number;
}

const gib = 1024 ** 3;

/** Alarms on executions, and on the databases and replications that the settings name. */
export function alarmsOf({ pipeline }: Plan, { alarms = {} }: StepFunctionsSettings, started: boolean): Record<string, Resource> {
  const machine = { StateMachineArn: { Ref: 'StateMachine' } };
  const found: Record<string, Alarm> = {
    Failed: {
      what: `an execution of ${pipeline} has failed`,
      namespace: 'AWS/States',
      metric: 'ExecutionsFailed',
      dimensions: machine,
      statistic: 'Sum',
      above: 0,
    },
    TimedOut: {
      what: `an execution of ${pipeline} ran out of time`,
      namespace: 'AWS/States',
      metric: 'ExecutionsTimedOut',
      dimensions: machine,
      statistic: 'Sum',
      above: 0,
    },
    ...(started
      ? {
          NotStarted: {
            what: `a run of ${pipeline} could not be started`,
            namespace: 'AWS/SQS',
            metric: 'ApproximateNumberOfMessagesVisible',
            dimensions: { QueueName: { 'Fn::GetAtt': ['Undelivered', 'QueueName'] } },
            statistic: 'Maximum',
            above: 0,
          },
          StarterFailed: {
            what: `a run of ${pipeline} that EventBridge has told of could not be started`,
            namespace: 'AWS/States',
            metric: 'ExecutionsFailed',
            dimensions: { StateMachineArn: { Ref: starterId } },
            statistic: 'Sum',
            above: 0,
          },
        }
      : {}),
  };
  for (const [at, { instance, connections, freeStorageGiB = 10 }] of (alarms.rds ?? []).entries()) {
    const rds = { namespace: 'AWS/RDS', dimensions: { DBInstanceIdentifier: instance }, periods: 3 } as const;
    found[`RdsCpu${at + 1}`] = {
      ...rds,
      what: `${instance} works at more than 80 %`,
      metric: 'CPUUtilization',
      statistic: 'Average',
      above: 80,
    };
    found[`RdsStorage${at + 1}`] = {
      ...rds,
      what: `${instance} has less than ${freeStorageGiB} GiB left`,
      metric: 'FreeStorageSpace',
      statistic: 'Minimum',
      below: freeStorageGiB * gib,
    };
    if (connections !== undefined)
      found[`RdsConnections${at + 1}`] = {
        ...rds,
        what: `${instance} has more than ${connections} connections`,
        metric: 'DatabaseConnections',
        statistic: 'Maximum',
        above: connections,
      };
  }
  for (const [at, { cluster, connections }] of (alarms.aurora ?? []).entries()) {
    const aurora = { namespace: 'AWS/RDS', dimensions: { DBClusterIdentifier: cluster }, periods: 3 } as const;
    found[`AuroraCpu${at + 1}`] = {
      ...aurora,
      what: `${cluster} works at more than 80 %`,
      metric: 'CPUUtilization',
      statistic: 'Average',
      above: 80,
    };
    // Its volume grows by itself; temporary files of queries are on a disk that does not.
    found[`AuroraStorage${at + 1}`] = {
      ...aurora,
      what: `${cluster} has less than 5 GiB for temporary files`,
      metric: 'FreeLocalStorage',
      statistic: 'Minimum',
      below: 5 * gib,
    };
    if (connections !== undefined)
      found[`AuroraConnections${at + 1}`] = {
        ...aurora,
        what: `${cluster} has more than ${connections} connections`,
        metric: 'DatabaseConnections',
        statistic: 'Maximum',
        above: connections,
      };
  }
  for (const [at, { instance, task, latencySeconds = 300 }] of (alarms.dms ?? []).entries()) {
    const dms = {
      namespace: 'AWS/DMS',
      dimensions: { ReplicationInstanceIdentifier: instance, ReplicationTaskIdentifier: task },
      statistic: 'Maximum',
      above: latencySeconds,
      periods: 3,
    } as const;
    found[`DmsSource${at + 1}`] = {
      ...dms,
      what: `DMS task ${task} reads ${latencySeconds} s behind its source`,
      metric: 'CDCLatencySource',
    };
    found[`DmsTarget${at + 1}`] = {
      ...dms,
      what: `DMS task ${task} writes ${latencySeconds} s behind its source`,
      metric: 'CDCLatencyTarget',
    };
  }
  return Object.fromEntries(Object.entries(found).map(([name, alarm]) => [`Alarm${name}`, resource(pipeline, alarm, alarms.topic)]));
}

function resource(
  pipeline: string,
  { what, namespace, metric, dimensions, statistic, above, below, periods = 1 }: Alarm,
  topic: string | undefined,
): Resource {
  return {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      AlarmDescription: `Millrace (${pipeline}): ${what}.`,
      Namespace: namespace,
      MetricName: metric,
      Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
      Statistic: statistic,
      Period: 300,
      EvaluationPeriods: periods,
      Threshold: above ?? below,
      ComparisonOperator: above === undefined ? 'LessThanThreshold' : 'GreaterThanThreshold',
      // A pipeline that does not run has no figures, and is all right.
      TreatMissingData: 'notBreaching',
      ...(topic === undefined ? {} : { AlarmActions: [topic] }),
    },
  };
}
