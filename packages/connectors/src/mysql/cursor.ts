import { baseType, type ColumnType, MillraceError, type ReadRequest } from '@millrace/core/runtime';
import type { CatalogColumn } from './catalog.ts';
import { bytesLiteral, literal } from './literal.ts';

/** What tells new rows from old ones. */
export interface Cursor {
  readonly column: CatalogColumn;
  /** FROM item that holds the column: a quoted table, or a query in parentheses. */
  readonly from: string;
}

export type Since = NonNullable<ReadRequest['since']>;

export const isText = (type: ColumnType): boolean => ['text', 'varchar', 'uuid'].includes(baseType(type).kind);
/** Text as it is compared everywhere: by its bytes, which is by code point. */
export const byBytes = (name: string): string => `CAST(CONVERT(${name} USING utf8mb4) AS BINARY)`;

/** Clocks as the text that the window keeps, without its `Z`: a session's time zone is UTC. */
export function bound(type: ColumnType, value: string): string {
  switch (baseType(type).kind) {
    case 'text':
    case 'varchar':
    case 'uuid':
      return bytesLiteral(Buffer.from(value, 'utf8'));
    case 'date':
      return `CAST(${literal(value)} AS DATE)`;
    case 'timestamp':
      return `CAST(${literal(value)} AS DATETIME(6))`;
    case 'timestamptz':
      return `CAST(${literal(value.replace(/\+00$/, ''))} AS DATETIME(6))`;
    default:
      if (!/^-?\d+(\.\d+)?$/.test(value))
        throw new MillraceError('INTERNAL', { message: `${value} is no bound of a window.`, remedy: 'Please report it.' });
      return value;
  }
}
