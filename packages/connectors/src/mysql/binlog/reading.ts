import { type ColumnType, MillraceError } from '@millrace/core/runtime';
import type { Charsets } from './charset.ts';
import { corrupt } from './corrupt.ts';
import type { ReadValue, Scratch, SkipValue } from './scratch.ts';
import type { ZeroDate } from './temporal.ts';

/** How the values of a column are read from rows. */
export interface Field {
  /** The type whose text `read` writes. */
  readonly type: ColumnType;
  readonly read: ReadValue;
  readonly skip: SkipValue;
}

export interface FieldSetting {
  /** `public.orders.note`, for messages. */
  readonly shown: string;
  readonly charsets: Charsets;
  readonly isMariaDb: boolean;
  readonly zeroDate: ZeroDate;
  /** What the catalog calls the type, where the log cannot tell it: `uuid`, `inet6`, `json`. Null where it is not known. */
  readonly catalogType: string | null;
}

export const unreadable = (column: string, why: string): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `${column} cannot be read from the binary log: it has ${why}.`,
    remedy: 'Change the type of the column, or leave the table out of the capture.',
    facts: { column },
  });

/** For a value that is none of the narrower type which the column is declared with. */
export const misfit = (column: string, text: string, type: string, better: string): MillraceError =>
  new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${column} has the value ${text}, which is no ${type}.`,
    remedy: `Declare the column ${better}, or correct the value at the source. Then run "millrace resync" for the table.`,
    facts: { column, value: text },
  });

/** Writes the value that stands at `[start, end)`. */
export type Write = (from: Buffer, start: number, end: number, out: Scratch) => void;

/** A value with its length before it. */
export function sized(type: ColumnType, lengthBytes: number, write: Write): Field {
  const lengthAt =
    lengthBytes === 1
      ? (from: Buffer, at: number): number => from[at]!
      : (from: Buffer, at: number): number => from.readUIntLE(at, lengthBytes);
  const skip: SkipValue = (from, at) => at + lengthBytes + lengthAt(from, at);
  return {
    type,
    skip,
    read: (from, at, out) => {
      const start = at + lengthBytes;
      const end = start + lengthAt(from, at);
      if (end > from.length) throw corrupt('a value that is longer than its event');
      write(from, start, end, out);
      return end;
    },
  };
}
