import { MillraceError } from '@millrace/core/runtime';

/**
 * A value as a literal of SQL. Text that holds a quote, a backslash or anything beyond ASCII is written in hex, so that it means the same
 * whatever `sql_mode` and character set a session has.
 *
 * @throws UNSUPPORTED for values that no literal stands for
 */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') return textLiteral(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE';
  if (value instanceof Uint8Array) return bytesLiteral(value);
  throw new MillraceError('UNSUPPORTED', {
    message: `${typeof value === 'number' ? String(value) : `A ${typeof value}`} cannot stand in a statement of MySQL.`,
    remedy: 'Use strings, finite numbers, bigints, booleans, null or bytes; dates and JSON go in as their text.',
  });
}

const plain = /^[ -&(-[\]-~]*$/;

function textLiteral(text: string): string {
  if (plain.test(text)) return `'${text}'`;
  return `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`;
}

export const bytesLiteral = (value: Uint8Array): string =>
  `x'${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}'`;
