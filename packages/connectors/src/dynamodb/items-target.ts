import {
  type Connection,
  MillraceError,
  type RowOf,
  type RowSchema,
  type Table,
  type Target,
  type TargetProblem,
} from '@millrace/core/runtime';
import { keyKind } from './attribute.ts';
import type { DynamoService } from './client.ts';
import { ItemsSink } from './items-sink.ts';
import { scanOf } from './scan.ts';

export interface ItemsOptions {
  /**
   * The attribute in which each item says which load has written it: an attempt that wakes up late does not overwrite what a later one has
   * written. `_millrace` by default. `false` leaves it out; then items go in batches of 25, and only each batch asks whose turn it is.
   */
  readonly stamp?: string | false;
  /** Requests at the same time, in all splits of a process. 16 by default. */
  readonly concurrency?: number;
  /** Write capacity units that the load may use in a second, in each process that writes. No limit by default. */
  readonly writeUnits?: number;
  /** The table in which checkpoints and receipts are kept; it is made where it is missing. `millrace` by default. */
  readonly ledger?: string;
}

export interface ItemsSettings {
  readonly table: Table;
  readonly stamp: string | null;
  readonly concurrency: number;
  readonly writeUnits: number | null;
  readonly ledger: string;
}

/** Rows as items, by key. @throws PIPELINE_INVALID */
export function itemsTarget<T extends Table>(
  connection: Connection,
  service: DynamoService,
  table: T,
  options: ItemsOptions = {},
): Target<RowOf<T>, 'rows', 'table'> {
  const { stamp = '_millrace', concurrency = 16, writeUnits, ledger = 'millrace' } = options;
  const settings: ItemsSettings = { table, stamp: stamp === false ? null : stamp, concurrency, writeUnits: writeUnits ?? null, ledger };
  const invalid = problemOf(settings);
  if (invalid)
    throw new MillraceError('PIPELINE_INVALID', { message: `Items of "${table.name}": ${invalid.message}`, remedy: invalid.remedy });
  return Object.freeze({
    kind: 'target',
    takes: 'rows',
    leaves: 'table',
    connection,
    description: {
      connector: 'dynamodb',
      object: table.name,
      connection: connection.label,
      mode: 'merge',
      guarantee: 'at-least-once',
      promise:
        stamp === false
          ? 'items are put by key, again after a crash; readers see them come'
          : `items are put by key, again after a crash, and never over those of a later load ("${stamp}"); readers see them come`,
      options: { stamp, concurrency, ledger, ...(writeUnits && { writeUnits }) },
    },
    schema: table,
    accepts: ['batches'],
    problems: () => [],
    ddl: () => [],
    open: async (context) => new ItemsSink(service, settings, context),
    stored: (input: RowSchema) => scanOf(connection, service, { ...table, columns: input.columns } as Table, { consistent: true }),
  } satisfies Target<RowOf<T>, 'rows', 'table'>);
}

function problemOf({ table, stamp, concurrency, writeUnits }: ItemsSettings): TargetProblem | null {
  if (!table.key?.length)
    return { message: 'the table has no key.', remedy: "Declare that of the table: table('…', {…}, { key: ['id'] })." };
  if (table.key.length > 2) return { message: 'DynamoDB has a partition key and perhaps a sort key.', remedy: 'Declare those two.' };
  const column = table.columns.find(({ name, type }) => table.key?.includes(name) && keyKind(type) === null);
  if (column) return { message: `"${column.name}" is ${column.type.kind}, which no key can be.`, remedy: 'Cast it to text.' };
  if (stamp !== null && table.columns.some(({ name }) => name === stamp))
    return { message: `"${stamp}" is a column, and the load writes it itself.`, remedy: "Name another attribute: { stamp: '_load' }." };
  if (!Number.isInteger(concurrency) || concurrency < 1)
    return { message: `concurrency is ${concurrency}.`, remedy: 'Give a whole number above 0.' };
  if (writeUnits !== null && !(writeUnits > 0)) return { message: `writeUnits is ${writeUnits}.`, remedy: 'Give a number above 0.' };
  return null;
}
