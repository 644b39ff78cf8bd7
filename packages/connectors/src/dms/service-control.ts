import type { Context } from '@millrace/core/runtime';
import { regionOfArn } from '../aws/console.ts';
import { unlessMissing } from '../aws/found.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { type DmsService, dmsService } from './client.ts';
import type { Asking, DmsControl, DmsTable } from './control.ts';
import type { DmsStatus } from './life-cycle.ts';
import { startReplication, stopReplication } from './replication.ts';
import { startTask, stopTask } from './task.ts';

/** The task or serverless replication at DMS itself. */
export function serviceControl(arn: string, settings: AwsSettings): DmsControl {
  const region = settings.region ?? regionOfArn(arn);
  const dms = dmsService({ ...settings, ...(region && { region }) });
  const isServerless = arn.split(':')[5] === 'replication-config';
  const kind = isServerless ? serverless(dms, arn) : task(dms, arn);
  return {
    arn,
    label: `${isServerless ? 'DMS serverless replication' : 'DMS task'} ${arn.split(':').at(-1)}`,
    ...kind,
    output: (endpoint, context) =>
      dms.call(`looking at ${endpoint}`, context, async (sdk, client, options) => {
        const Filters = [{ Name: 'endpoint-arn', Values: [endpoint] }];
        const { Endpoints } = await client.send(new sdk.DescribeEndpointsCommand({ Filters }), options);
        const found = Endpoints?.[0];
        return found?.EngineName === 's3' ? ({ ...found.S3Settings } as Readonly<Record<string, unknown>>) : null;
      }),
    modifyOutput: async (EndpointArn, S3Settings, context) => {
      await dms.call(`changing ${EndpointArn}`, context, (sdk, client, options) =>
        client.send(new sdk.ModifyEndpointCommand({ EndpointArn, S3Settings: S3Settings as never }), options),
      );
    },
  };
}

const missing = 'ResourceNotFoundFault';

type Kind = Omit<DmsControl, 'arn' | 'label' | 'output' | 'modifyOutput'>;

function task(dms: DmsService, arn: string): Kind {
  return {
    status: (context) =>
      dms.call(`looking at ${arn}`, context, async (sdk, client, options) => {
        const Filters = [{ Name: 'replication-task-arn', Values: [arn] }];
        const answer = await unlessMissing(client.send(new sdk.DescribeReplicationTasksCommand({ Filters }), options), missing);
        const found = answer?.ReplicationTasks?.[0];
        return {
          ...stateOf(found?.Status, found?.StopReason, found?.LastFailureMessage),
          freshStart: found?.ReplicationTaskStats?.FreshStartDate?.toISOString() ?? null,
          kind: found?.MigrationType ?? '',
          mappings: found?.TableMappings ?? null,
          settings: found?.ReplicationTaskSettings ?? null,
          sourceEndpoint: found?.SourceEndpointArn ?? null,
          targetEndpoint: found?.TargetEndpointArn ?? null,
        } satisfies DmsStatus;
      }),
    tables: (context) =>
      paged(dms, context, async (sdk, client, options, page) => {
        const answer = await client.send(new sdk.DescribeTableStatisticsCommand({ ReplicationTaskArn: arn, ...page }), options);
        return { tables: answer.TableStatistics, next: answer.Marker };
      }),
    start: (type, context) => startTask(dms, arn, type, {}, context as Context),
    stop: (context) => stopTask(dms, arn, context as Context),
    modify: async ({ mappings, settings }, context) => {
      await dms.call(`changing ${arn}`, context, (sdk, client, options) =>
        client.send(
          new sdk.ModifyReplicationTaskCommand({
            ReplicationTaskArn: arn,
            TableMappings: mappings,
            ...(settings !== null && { ReplicationTaskSettings: settings }),
          }),
          options,
        ),
      );
    },
  };
}

function serverless(dms: DmsService, arn: string): Kind {
  const Filters = [{ Name: 'replication-config-arn', Values: [arn] }];
  return {
    status: (context) =>
      dms.call(`looking at ${arn}`, context, async (sdk, client, options) => {
        const configs = await unlessMissing(client.send(new sdk.DescribeReplicationConfigsCommand({ Filters }), options), missing);
        const started = await unlessMissing(client.send(new sdk.DescribeReplicationsCommand({ Filters }), options), missing);
        const config = configs?.ReplicationConfigs?.[0];
        const found = started?.Replications?.[0];
        return {
          ...stateOf(found?.Status ?? (config && 'created'), found?.StopReason, found?.FailureMessages?.join(' ')),
          freshStart: found?.ReplicationStats?.FreshStartDate?.toISOString() ?? null,
          kind: config?.ReplicationType ?? '',
          mappings: config?.TableMappings ?? null,
          settings: config?.ReplicationSettings ?? null,
          sourceEndpoint: config?.SourceEndpointArn ?? null,
          targetEndpoint: config?.TargetEndpointArn ?? null,
        } satisfies DmsStatus;
      }),
    tables: (context) =>
      paged(dms, context, async (sdk, client, options, page) => {
        const answer = await client.send(
          new sdk.DescribeReplicationTableStatisticsCommand({ ReplicationConfigArn: arn, ...page }),
          options,
        );
        return { tables: answer.ReplicationTableStatistics, next: answer.Marker };
      }),
    start: (type, context) => startReplication(dms, arn, type, {}, context as Context),
    stop: (context) => stopReplication(dms, arn, context as Context),
    modify: async ({ mappings, settings }, context) => {
      await dms.call(`changing ${arn}`, context, (sdk, client, options) =>
        client.send(
          new sdk.ModifyReplicationConfigCommand({
            ReplicationConfigArn: arn,
            TableMappings: mappings,
            ...(settings !== null && { ReplicationSettings: settings }),
          }),
          options,
        ),
      );
    },
  };
}

const stateOf = (status: string | undefined, stopReason: string | undefined, failure: string | undefined) => ({
  status: (status ?? 'missing').toLowerCase().replace(/[\s-]+/g, '_'),
  stopReason: stopReason?.replace(/^Stop Reason\s+/i, '').trim() || null,
  failure: failure?.trim() || null,
});

type Sdk = typeof import('@aws-sdk/client-database-migration-service');
type Statistics = import('@aws-sdk/client-database-migration-service').TableStatistics;
type Page = { readonly MaxRecords: number; readonly Marker?: string };
type AskPage = (
  sdk: Sdk,
  client: InstanceType<Sdk['DatabaseMigrationServiceClient']>,
  options: { readonly abortSignal: AbortSignal },
  page: Page,
) => Promise<{ readonly tables: Statistics[] | undefined; readonly next: string | undefined }>;

async function paged(dms: DmsService, context: Asking, ask: AskPage): Promise<DmsTable[]> {
  const tables: DmsTable[] = [];
  let Marker: string | undefined;
  do {
    const page = { MaxRecords: 500, ...(Marker !== undefined && { Marker }) };
    const answer = await dms.call('reading table statistics', context, (sdk, client, options) => ask(sdk, client, options, page));
    tables.push(...(answer.tables ?? []).map(counted));
    Marker = answer.next || undefined;
  } while (Marker !== undefined);
  return tables;
}

const counted = (table: Statistics): DmsTable => ({
  schema: table.SchemaName ?? '',
  table: table.TableName ?? '',
  state: table.TableState ?? '',
  loadedRows: table.FullLoadRows ?? 0,
  errorRows: table.FullLoadErrorRows ?? 0,
  startedAt: table.FullLoadStartTime?.toISOString() ?? null,
  inserts: table.Inserts ?? 0,
  deletes: table.Deletes ?? 0,
});
