import { MillraceError } from '../error/index.ts';
import { type ColumnType, typeName } from '../schema/index.ts';

/** The error of a value that its column cannot hold. `why` completes "the value …". */
export function mismatch(type: ColumnType, value: unknown, why: string, remedy?: string): MillraceError {
  return new MillraceError('TYPE_MISMATCH', {
    message: `${shown(value)} does not fit ${typeName(type)}: ${why}.`,
    remedy: remedy ?? 'Return a value that the column can hold, change the column type, or set such rows aside with onBadRow.',
    facts: { type: typeName(type) },
  });
}

/** The same error with the column's name in front, for whoever knows it. */
export function inColumn(column: string, error: unknown): unknown {
  if (!(error instanceof MillraceError) || error.facts['column'] !== undefined) return error;
  return new MillraceError(error.code, {
    message: `Column "${column}": ${error.message}`,
    remedy: error.remedy,
    facts: { ...error.facts, column },
    cause: error.cause,
  });
}

/** A value as a message shows it: what kind of thing it is, cut at 60 characters. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'bigint') return cut(`${value}n`);
  if (value instanceof Date) return `the Date ${Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'function') return 'a function';
  if (Object.is(value, -0)) return '-0';
  return cut(String(value));
}

const cut = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
