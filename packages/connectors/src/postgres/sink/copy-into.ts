import { type Context, MillraceError, type RejectedRow, type RowSchema } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';

/** Where a part goes: a table, quoted, whose columns by these names take the bytes as they come. */
export interface CopyInto {
  readonly session: Session;
  readonly table: string;
  /** What error messages name. */
  readonly object: string;
  readonly progress: Context['progress'];
}

export interface Copied {
  readonly rows: number;
  readonly bytes: number;
  /** Rows that were set aside. */
  readonly rejected: number;
}

export interface Rejecting {
  readonly split: string;
  reject(row: RejectedRow): void;
  /** Takes rows out of the last batch that the table itself would refuse later; `place` counts the rows of the batch that were copied. */
  strays?(): Promise<readonly { readonly place: number; readonly error: MillraceError }[]>;
}

export function copyText(table: string, schema: RowSchema, format: 'binary' | 'csv'): string {
  return `COPY ${table} (${schema.columns.map(({ name }) => quoteIdentifier(name)).join(', ')}) FROM STDIN (FORMAT ${format})`;
}

/** @throws WIRE_CORRUPT */
export function sameCount({ object }: CopyInto, sent: number, counted: number): void {
  if (sent === counted) return;
  throw new MillraceError('WIRE_CORRUPT', {
    message: `${sent} rows were sent to ${object}, and it has counted ${counted}.`,
    remedy: 'Nothing to do: the part is thrown away and loaded again.',
    facts: { sent, counted },
  });
}
