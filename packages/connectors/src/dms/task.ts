import type { Context, Json, RemoteTask } from '@millrace/core/runtime';
import { unlessMissing } from '../aws/found.ts';
import { type DmsService, describeTask } from './client.ts';
import type { LifeOptions, StartType } from './life.ts';
import { tableStatistics } from './statistics.ts';
import { watchedReplication } from './watched.ts';

/** A task on a replication instance, as a step. */
export const dmsTask = (dms: DmsService, arn: string, options: LifeOptions & { readonly settlesMs: number }): RemoteTask =>
  watchedReplication(
    dms,
    {
      action: 'StartReplicationTask',
      label: 'DMS task',
      page: 'tasks',
      describe: (of, context) => describeTask(dms, of, context),
      start: (parameters, type, context) => startTask(dms, arn, type, cdcOf(parameters, type), context),
      stop: (of, context) => stopTask(dms, of, context),
      statistics: (of, context) => tableStatistics(dms, { task: of }, context),
    },
    arn,
    options,
  );

/** Where a stream of changes begins and ends. The API takes a beginning with the first start only. */
export interface CdcRange {
  readonly CdcStartTime?: Date;
  readonly CdcStartPosition?: string;
  readonly CdcStopPosition?: string;
}

export async function startTask(dms: DmsService, arn: string, type: StartType, cdc: CdcRange, context: Context): Promise<void> {
  await dms.call(`starting ${arn}`, context, (sdk, client, options) =>
    client.send(new sdk.StartReplicationTaskCommand({ ReplicationTaskArn: arn, StartReplicationTaskType: type, ...cdc }), options),
  );
}

/** Asks for the stop; nothing where it does not run. */
export async function stopTask(dms: DmsService, arn: string, context: Context): Promise<void> {
  await dms.call(`stopping ${arn}`, context, (sdk, client, options) =>
    unlessMissing(client.send(new sdk.StopReplicationTaskCommand({ ReplicationTaskArn: arn }), options), ...notRunning),
  );
}

export const notRunning = ['InvalidResourceStateFault', 'ResourceNotFoundFault'];

export function cdcOf(parameters: Readonly<Record<string, Json>>, type: StartType): CdcRange {
  const { CdcStartTime, CdcStartPosition, CdcStopPosition } = parameters as Readonly<Record<string, string | undefined>>;
  return {
    ...(type === 'start-replication' && CdcStartTime !== undefined && { CdcStartTime: new Date(CdcStartTime) }),
    ...(type === 'start-replication' && CdcStartPosition !== undefined && { CdcStartPosition }),
    ...(CdcStopPosition !== undefined && { CdcStopPosition }),
  };
}
