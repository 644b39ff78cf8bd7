import type { TableStatistics } from '@aws-sdk/client-database-migration-service';
import type { Context } from '@millrace/core/runtime';
import type { DmsService } from './client.ts';

/** What DMS counts of one table. */
export interface TableCount {
  /** `public.orders`. */
  readonly table: string;
  /** `Table completed`, `Table error`, … */
  readonly state: string;
  readonly fullLoadRows: number;
  readonly fullLoadErrorRows: number;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly ddls: number;
}

/** Of a task (`of.task`) or of a serverless replication (`of.replication`), by ARN; every table. */
export async function tableStatistics(
  dms: DmsService,
  of: { readonly task: string } | { readonly replication: string },
  context: Context,
): Promise<TableCount[]> {
  const counts: TableCount[] = [];
  let Marker: string | undefined;
  do {
    const paging = { MaxRecords: 500, ...(Marker !== undefined && { Marker }) };
    const page = await dms.call('reading table statistics', context, async (sdk, client, options) => {
      if ('task' in of) {
        const answer = await client.send(new sdk.DescribeTableStatisticsCommand({ ReplicationTaskArn: of.task, ...paging }), options);
        return { tables: answer.TableStatistics, next: answer.Marker };
      }
      const input = { ReplicationConfigArn: of.replication, ...paging };
      const answer = await client.send(new sdk.DescribeReplicationTableStatisticsCommand(input), options);
      return { tables: answer.ReplicationTableStatistics, next: answer.Marker };
    });
    counts.push(...(page.tables ?? []).map(counted));
    Marker = page.next || undefined;
  } while (Marker !== undefined);
  return counts;
}

const counted = (table: TableStatistics): TableCount => ({
  table: `${table.SchemaName ?? ''}.${table.TableName ?? ''}`,
  state: table.TableState ?? '',
  fullLoadRows: table.FullLoadRows ?? 0,
  fullLoadErrorRows: table.FullLoadErrorRows ?? 0,
  inserts: table.Inserts ?? 0,
  updates: table.Updates ?? 0,
  deletes: table.Deletes ?? 0,
  ddls: table.Ddls ?? 0,
});
