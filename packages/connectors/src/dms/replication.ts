import type { Context, RemoteTask } from '@millrace/core/runtime';
import { unlessMissing } from '../aws/found.ts';
import { type DmsService, describeReplication } from './client.ts';
import type { LifeOptions, StartType } from './life.ts';
import { tableStatistics } from './statistics.ts';
import { type CdcRange, cdcOf, notRunning } from './task.ts';
import { watchedReplication } from './watched.ts';

/** A serverless replication, by the ARN of its configuration, as a step. */
export const dmsReplication = (dms: DmsService, arn: string, options: LifeOptions & { readonly settlesMs: number }): RemoteTask =>
  watchedReplication(
    dms,
    {
      action: 'StartReplication',
      label: 'DMS serverless replication',
      page: 'serverlessReplications',
      describe: (of, context) => describeReplication(dms, of, context),
      start: (parameters, type, context) => startReplication(dms, arn, type, cdcOf(parameters, type), context),
      stop: (of, context) => stopReplication(dms, of, context),
      statistics: (of, context) => tableStatistics(dms, { replication: of }, context),
    },
    arn,
    options,
  );

export async function startReplication(dms: DmsService, arn: string, type: StartType, cdc: CdcRange, context: Context): Promise<void> {
  await dms.call(`starting ${arn}`, context, (sdk, client, options) =>
    client.send(new sdk.StartReplicationCommand({ ReplicationConfigArn: arn, StartReplicationType: type, ...cdc }), options),
  );
}

/** Asks for the stop; nothing where it does not run. */
export async function stopReplication(dms: DmsService, arn: string, context: Context): Promise<void> {
  await dms.call(`stopping ${arn}`, context, (sdk, client, options) =>
    unlessMissing(client.send(new sdk.StopReplicationCommand({ ReplicationConfigArn: arn }), options), ...notRunning),
  );
}
