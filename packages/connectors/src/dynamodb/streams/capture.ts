import {
  type CaptureSource,
  type Connection,
  type Context,
  type Finding,
  isMillraceError,
  MillraceError,
  type StreamName,
  type Table,
} from '@millrace/core/runtime';
import type { DynamoService } from '../client.ts';
import { describeTable } from '../describe.ts';
import { LedgerTable } from '../ledger-table.ts';
import { scanOf } from '../scan.ts';
import { StreamsSource } from './change-source.ts';
import type { StreamsService } from './client.ts';
import { Journal } from './journal.ts';

export interface StreamsOptions {
  /** The table in which is kept how far the streams were read; it is made where it is missing. `millrace` by default. */
  readonly ledger?: string;
  /** Milliseconds between two looks at shards that had nothing new. 400 by default: DynamoDB allows five looks a second at each. */
  readonly pollMs?: number;
}

/** Changes of tables, by their streams. */
export function streamsCapture(
  connection: Connection,
  dynamo: DynamoService,
  streams: StreamsService,
  tables: Readonly<Record<string, Table>>,
  { ledger = 'millrace', pollMs = 400 }: StreamsOptions,
): CaptureSource {
  return {
    kind: 'capture-source',
    description: { connector: 'dynamodb', connection: connection.label, options: { ledger } },
    connection,
    tables: Object.fromEntries(
      Object.entries(tables).map(([name, table]) => [
        name,
        { name: table.name, schema: table, selection: scanOf(connection, dynamo, table) },
      ]),
    ),
    offers: ['batches'],
    examine: (context) => examine(dynamo, tables, context),
    async open(context: Context, stream: StreamName, epoch = 0) {
      const arns = await Promise.all(
        Object.entries(tables).map(async ([name, table]) => {
          const { streamArn, view } = await describeTable(dynamo, table, context);
          const problem = problemOf(table, streamArn, view);
          if (problem) throw new MillraceError('CAPTURE_IMPOSSIBLE', problem);
          return [name, { table, arn: streamArn as string }] as const;
        }),
      );
      const journal = new Journal(dynamo, new LedgerTable(dynamo, ledger), stream, epoch, context);
      return new StreamsSource({ dynamo, streams, journal, tables: Object.fromEntries(arns), context, pollMs });
    },
  };
}

function problemOf({ name }: Table, arn: string | null, view: string | null): { message: string; remedy: string } | null {
  const on = `aws dynamodb update-table --table-name ${name} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES`;
  if (arn === null) return { message: `The table "${name}" has no stream.`, remedy: `Turn it on: ${on} ("millrace doctor --fix" does).` };
  if (view === 'NEW_AND_OLD_IMAGES' || view === 'NEW_IMAGE') return null;
  return {
    message: `The stream of "${name}" has ${view}, and not the items as they are after a change.`,
    remedy: `Turn it off, and on again as what it has to be: ${on}`,
  };
}

async function examine(dynamo: DynamoService, tables: Readonly<Record<string, Table>>, context: Context): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const table of Object.values(tables)) {
    const subject = table.name;
    try {
      if (!table.key)
        throw new MillraceError('PIPELINE_INVALID', { message: `"${table.name}" has no key.`, remedy: 'Declare that of the table.' });
      const { streamArn, view } = await describeTable(dynamo, table, context);
      const problem = problemOf(table, streamArn, view);
      if (problem)
        findings.push({ subject, level: 'problem', ...problem, ...(streamArn === null && { fix: () => turnOn(dynamo, table, context) }) });
      else findings.push({ subject, level: 'ok', message: `its stream has ${view}` });
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      findings.push({ subject, level: 'problem', message: error.message, remedy: error.remedy, error });
    }
  }
  return findings;
}

async function turnOn(dynamo: DynamoService, table: Table, context: Context): Promise<void> {
  await dynamo.call(`turning the stream of ${table.name} on`, context, (sdk, client, options) =>
    client.send(
      new sdk.UpdateTableCommand({
        TableName: table.name,
        StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
      }),
      options,
    ),
  );
}
