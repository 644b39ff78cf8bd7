import type { Replication, ReplicationTask, ReplicationTaskStats } from '@aws-sdk/client-database-migration-service';
import type { Context } from '@millrace/core/runtime';
import { unlessMissing } from '../aws/found.ts';
import { type AwsService, awsService } from '../aws/service.ts';
import type { AwsSettings } from '../aws/settings.ts';

type Sdk = typeof import('@aws-sdk/client-database-migration-service');
export type DmsService = AwsService<Sdk, InstanceType<Sdk['DatabaseMigrationServiceClient']>>;

export const dmsService = (settings: AwsSettings): DmsService =>
  awsService(
    {
      name: 'DMS',
      package: '@aws-sdk/client-database-migration-service',
      load: () => import('@aws-sdk/client-database-migration-service'),
      client: (sdk, configuration) => new sdk.DatabaseMigrationServiceClient(configuration),
      grant:
        'dms:StartReplicationTask, dms:StopReplicationTask, dms:DescribeTableStatistics (for serverless dms:StartReplication, dms:StopReplication, dms:DescribeReplicationTableStatistics), ' +
        'dms:AddTagsToResource and dms:ListTagsForResource on the task, and dms:DescribeReplicationTasks or dms:DescribeReplications on *',
    },
    settings,
  );

/** A replication as both kinds of DMS tell it: a task on an instance, or a serverless one. */
export interface Replicating {
  /** In small letters with underscores: `running`, `provisioning_capacity`. */
  readonly status: string;
  readonly type: 'full-load' | 'cdc' | 'full-load-and-cdc';
  /** As DMS says it, without "Stop Reason": `FATAL_ERROR`. Null where it has not stopped, or where it says nothing. */
  readonly stopReason: string | null;
  /** The last error in DMS's words. */
  readonly failure: string | null;
  /** When it was last started, afresh or to go on. Null where it never was. */
  readonly startedAt: string | null;
  readonly stoppedAt: string | null;
  /** From 0 to 1; null where there is no full load. */
  readonly fullLoad: number | null;
  readonly tables: { readonly loaded: number; readonly loading: number; readonly queued: number; readonly errored: number };
  /** Where it would go on from. */
  readonly checkpoint: string | null;
}

/** Null where there is no such task. */
export async function describeTask(dms: DmsService, arn: string, context: Context): Promise<Replicating | null> {
  const found = await dms.call(`looking at ${arn}`, context, (sdk, client, options) => {
    const Filters = [{ Name: 'replication-task-arn', Values: [arn] }];
    return unlessMissing(client.send(new sdk.DescribeReplicationTasksCommand({ Filters, WithoutSettings: true }), options), missing);
  });
  const task = found?.ReplicationTasks?.[0];
  return task ? taskAsTold(task) : null;
}

/** Null where there is no such configuration, or where it has never been started. */
export async function describeReplication(dms: DmsService, arn: string, context: Context): Promise<Replicating | null> {
  const found = await dms.call(`looking at ${arn}`, context, (sdk, client, options) => {
    const Filters = [{ Name: 'replication-config-arn', Values: [arn] }];
    return unlessMissing(client.send(new sdk.DescribeReplicationsCommand({ Filters }), options), missing);
  });
  const replication = found?.Replications?.[0];
  return replication ? replicationAsTold(replication) : null;
}

const missing = 'ResourceNotFoundFault';

const taskAsTold = (task: ReplicationTask): Replicating =>
  told(task, { type: task.MigrationType, stats: task.ReplicationTaskStats, failure: task.LastFailureMessage });

const replicationAsTold = (replication: Replication): Replicating =>
  told(replication, {
    type: replication.ReplicationType,
    stats: replication.ReplicationStats,
    failure: replication.FailureMessages?.join(' '),
  });

function told(
  of: Partial<Record<'Status' | 'StopReason' | 'RecoveryCheckpoint', string | undefined>>,
  more: { readonly type: string | undefined; readonly stats: Stats | undefined; readonly failure: string | undefined },
): Replicating {
  const { stats = {} } = more;
  const type = more.type === 'cdc' || more.type === 'full-load-and-cdc' ? more.type : 'full-load';
  const percent = stats.FullLoadProgressPercent;
  return {
    status: (of.Status ?? 'unknown').toLowerCase().replace(/[\s-]+/g, '_'),
    type,
    stopReason: of.StopReason?.replace(/^Stop Reason\s+/i, '').trim() || null,
    failure: more.failure?.trim() || null,
    startedAt: stats.StartDate?.toISOString() ?? null,
    stoppedAt: stats.StopDate?.toISOString() ?? null,
    fullLoad: type === 'cdc' || percent === undefined ? null : percent / 100,
    tables: {
      loaded: stats.TablesLoaded ?? 0,
      loading: stats.TablesLoading ?? 0,
      queued: stats.TablesQueued ?? 0,
      errored: stats.TablesErrored ?? 0,
    },
    checkpoint: of.RecoveryCheckpoint || null,
  };
}

type Stats = Pick<
  ReplicationTaskStats,
  'FullLoadProgressPercent' | 'TablesLoaded' | 'TablesLoading' | 'TablesQueued' | 'TablesErrored' | 'StartDate' | 'StopDate'
>;
