import { type Context, isAwsError, MillraceError, type Table } from '@millrace/core/runtime';
import { keyKind } from './attribute.ts';
import type { DynamoService } from './client.ts';

export interface TableFacts {
  readonly arn: string;
  /** Both are of up to six hours ago. */
  readonly bytes: number;
  readonly items: number;
  /** Of its stream, where it is on, and what is in it. */
  readonly streamArn: string | null;
  readonly view: string | null;
  /** Partition key first. */
  readonly key: readonly { readonly name: string; readonly kind: 'S' | 'N' | 'B' }[];
}

/** What DynamoDB says of the table. @throws TABLE_MISSING, SCHEMA_DRIFT where its key is not as declared */
export async function describeTable(service: DynamoService, table: Table, context: Context): Promise<TableFacts> {
  const described = await service.call(`looking at ${table.name}`, context, async (sdk, client, options) => {
    try {
      return (await client.send(new sdk.DescribeTableCommand({ TableName: table.name }), options)).Table;
    } catch (error) {
      if (isAwsError(error, 'ResourceNotFoundException')) return undefined;
      throw error;
    }
  });
  if (!described)
    throw new MillraceError('TABLE_MISSING', {
      message: `DynamoDB has no table "${table.name}"${service.region === null ? '' : ` in ${service.region}`}.`,
      remedy: 'Check its name, the region and the account.',
      facts: { table: table.name },
    });
  const kinds = new Map(described.AttributeDefinitions?.map(({ AttributeName, AttributeType }) => [AttributeName, AttributeType]));
  const key = (described.KeySchema ?? []).map(({ AttributeName: name = '' }) => ({ name, kind: kinds.get(name) as 'S' | 'N' | 'B' }));
  const columns = new Map(table.columns.map((column) => [column.name, column]));
  const wrong = key.flatMap(({ name, kind }) => {
    const column = columns.get(name);
    if (!column) return table.key ? [`"${name}" is part of its key, and is not declared`] : [];
    const declared = keyKind(column.type);
    return declared === kind ? [] : [`"${name}" is ${kind} there, and ${column.type.kind} is ${declared ?? 'no key'}`];
  });
  if (
    table.key &&
    [...table.key].sort().join() !==
      key
        .map(({ name }) => name)
        .sort()
        .join()
  )
    wrong.push(`its key is ${key.map(({ name }) => name).join(', ')}, and ${table.key.join(', ')} is declared`);
  if (wrong.length > 0)
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `The table "${table.name}" is not as it is declared: ${wrong.join('; ')}.`,
      remedy: 'Correct the table() declaration.',
      facts: { table: table.name },
    });
  const { StreamEnabled: isOn = false, StreamViewType = null } = described.StreamSpecification ?? {};
  return {
    arn: described.TableArn ?? '',
    bytes: described.TableSizeBytes ?? 0,
    items: described.ItemCount ?? 0,
    streamArn: isOn ? (described.LatestStreamArn ?? null) : null,
    view: isOn ? StreamViewType : null,
    key,
  };
}
