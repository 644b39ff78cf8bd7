import {
  type CaptureConnection,
  type CaptureSource,
  type Connection,
  type Context,
  type Finding,
  isMillraceError,
  type RowOf,
  type Selection,
  type Table,
  type Target,
} from '@millrace/core/runtime';
import type { AwsSettings } from '../aws/settings.ts';
import { type FileConnection, placeOf } from '../s3/connection.ts';
import { dynamoService } from './client.ts';
import { exportOf } from './export.ts';
import { type ItemsOptions, itemsTarget } from './items-target.ts';
import { type ScanOptions, scanOf } from './scan.ts';
import { type StreamsOptions, streamsCapture } from './streams/capture.ts';
import { streamsService } from './streams/client.ts';

/** Tables of DynamoDB, by their names there: `table('orders', { … }, { key: ['customer', 'id'] })`. */
export interface DynamoConnection extends CaptureConnection<StreamsOptions> {
  /** Follows the streams of tables: `capture(dynamo, { tables: { orders } })`. */
  capture(tables: Readonly<Record<string, Table>>, options?: StreamsOptions): CaptureSource;
  /** Reads every item: `extract(dynamo, orders)`, or with options `extract(dynamo.scan(orders, { readUnits: 500 }))`. */
  selection(table: Table): Selection<never>;
  scan<T extends Table>(table: T, options?: ScanOptions): Selection<RowOf<T>>;
  /**
   * Reads a full export to S3, as of one moment: `extract(dynamo.exported(lake, 'exports/AWSDynamoDB/01693685827463-2d8752fd/', orders))`.
   * `lake` is an `s3()` of the bucket, the folder that with the manifests.
   */
  exported<T extends Table>(lake: FileConnection, folder: string, table: T): Selection<RowOf<T>>;
  /** Puts rows as items: `load(orders, dynamo.items(orders))`. */
  items<T extends Table>(table: T, options?: ItemsOptions): Target<RowOf<T>, 'rows', 'table'>;
}

/** Amazon DynamoDB: `dynamodb({ region: 'eu-west-1' })`. */
export function dynamodb(settings: AwsSettings = {}): DynamoConnection {
  const service = dynamoService(settings);
  const connection: Connection = {
    kind: 'connection',
    connector: 'dynamodb',
    label: `DynamoDB${settings.region === undefined ? '' : ` in ${settings.region}`}`,
    examine: (context) => examine(context),
  };

  async function examine(context: Context): Promise<Finding[]> {
    const subject = connection.label;
    try {
      await service.call('listing tables', context, (sdk, client, options) =>
        client.send(new sdk.ListTablesCommand({ Limit: 1 }), options),
      );
      return [{ subject, level: 'ok', message: `${await service.regionInUse(context)} answers` }];
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      // Whoever may read a table need not be allowed to list them.
      if (error.code === 'ACCESS_DENIED') return [{ subject, level: 'ok', message: `${await service.regionInUse(context)} answers` }];
      return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
    }
  }

  const dynamo: DynamoConnection = Object.freeze({
    ...connection,
    selection: (table: Table) => scanOf(connection, service, table),
    scan: <T extends Table>(table: T, options?: ScanOptions): Selection<RowOf<T>> => scanOf(connection, service, table, options),
    exported: <T extends Table>(lake: FileConnection, folder: string, table: T): Selection<RowOf<T>> =>
      exportOf(connection, placeOf(lake), folder, table),
    capture: (tables: Readonly<Record<string, Table>>, options: StreamsOptions = {}) =>
      streamsCapture(connection, service, streamsService(settings), tables, options),
    items: <T extends Table>(table: T, options?: ItemsOptions) => itemsTarget(connection, service, table, options),
  });
  return dynamo;
}
