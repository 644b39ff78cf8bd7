import type { PlanStep } from '@millrace/core/runtime';
import { stops } from '../../connectors/src/dms/stop-reason.ts';
import { planOf, remoteStep, type StageLike, stepOf } from './plans.ts';

const account = 'eu-west-1:123456789012';

/** Work elsewhere of every kind that has a state of its own. */
export const remotes: readonly PlanStep[] = [
  remoteStep('glue', {
    service: 'glue',
    action: 'StartJobRun',
    parameters: { JobName: 'sales', Arguments: { '--date': { $run: 'date' } }, WorkerType: 'G.1X', NumberOfWorkers: 4 },
  }),
  remoteStep('lambda', {
    service: 'lambda',
    action: 'Invoke',
    parameters: { FunctionName: 'clean', Payload: { countries: ['FR', { $run: 'params.country' }] } },
  }),
  remoteStep('ecs', {
    service: 'ecs',
    action: 'RunTask',
    parameters: { Cluster: 'reports', TaskDefinition: `arn:aws:ecs:${account}:task-definition/report:3`, LaunchType: 'FARGATE' },
  }),
  remoteStep('events', {
    service: 'events',
    action: 'PutEvents',
    parameters: { Entries: [{ Source: 'etl', DetailType: 'done', Detail: { run: { $run: 'id' } }, EventBusName: 'etl' }] },
  }),
  remoteStep('sns', { service: 'sns', action: 'Publish', parameters: { TopicArn: `arn:aws:sns:${account}:done`, Message: 'done' } }),
  remoteStep('aurora', {
    service: 'rds-data',
    action: 'ExecuteStatement',
    parameters: {
      ResourceArn: `arn:aws:rds:${account}:cluster:shop`,
      SecretArn: `arn:aws:secretsmanager:${account}:secret:shop-AbCdEf`,
      Sql: 'select 1',
    },
  }),
  remoteStep('dms', {
    service: 'dms',
    action: 'StartReplicationTask',
    facts: { native: true, serverless: false, until: 'stopped', reload: false, stops },
    parameters: { ReplicationTaskArn: `arn:aws:dms:${account}:task:ABC` },
  }),
  remoteStep('serverless', {
    service: 'dms',
    action: 'StartReplication',
    facts: { native: true, serverless: true, until: 'loaded', reload: true, stops },
    parameters: { ReplicationConfigArn: `arn:aws:dms:${account}:replication-config:ABC` },
  }),
];

/** And of those that a task of ours starts and watches. */
export const statements: readonly PlanStep[] = [
  remoteStep('redshift', {
    service: 'redshift-data',
    action: 'ExecuteStatement',
    pollMs: 2_000,
    parameters: {
      ClusterIdentifier: 'mart',
      Database: 'dev',
      SecretArn: `arn:aws:secretsmanager:${account}:secret:mart-AbCdEf`,
      Sql: 'select 1',
    },
  }),
  remoteStep('batch', {
    service: 'redshift-data',
    action: 'BatchExecuteStatement',
    parameters: { ClusterIdentifier: 'mart', Database: 'dev', DbUser: 'etl', Sqls: ['select 1', 'select 2'] },
  }),
];

export const retry = { attempts: 4, delayMs: 1500, maxDelayMs: 60_000 };

/** A plan with all that a plan can hold. */
export const everything = planOf(
  [
    ...[...remotes, ...statements].map(({ name }): StageLike => ({ id: name, retry, timeoutMs: name === 'glue' ? 7_200_000 : null })),
    { id: 'split', kind: 'rows', whole: false, needs: ['glue'], retry },
    { id: 'many', kind: 'rows', whole: false, needs: ['glue'], retry, onFailure: 'continue' },
    { id: 'checked', needs: ['split', 'lambda'], retry },
    { id: 'perhaps', needs: ['lambda'], onFailure: 'continue', timeoutMs: 60_000 },
    { id: 'behind', needs: ['perhaps', 'many'] },
  ],
  { steps: [...remotes, ...statements, stepOf('checked', { description: { kind: 'check' } })], params: { country: 'FR', day: null } },
);
