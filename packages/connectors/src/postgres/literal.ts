import { MillraceError } from '@millrace/core/runtime';

/**
 * A value as a literal of SQL, for statements that take no parameters (COPY). Every value is written between quotes, so that
 * Postgres gives it a type by its place, as it does for a parameter. Sessions keep `standard_conforming_strings` on: inside
 * the quotes only the quote itself means anything.
 *
 * @throws UNSUPPORTED for a NUL character, which no text of Postgres can hold, and for values that are none
 */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' || typeof value === 'bigint') return quoted(String(value));
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (value instanceof Date && !Number.isNaN(value.getTime())) return quoted(value.toISOString());
  if (value instanceof Uint8Array) return `'\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}'`;
  if (Array.isArray(value)) return quoted(arrayText(value));
  throw new MillraceError('UNSUPPORTED', {
    message: `A ${typeof value} cannot stand in a query.`,
    remedy: 'Use strings, numbers, bigints, booleans, null, bytes or arrays of these; JSON goes in as its text.',
  });
}

function quoted(text: string): string {
  if (text.includes('\0')) {
    throw new MillraceError('UNSUPPORTED', {
      message: 'A value of the query holds a NUL character, which Postgres cannot store in text.',
      remedy: 'Take the NUL out of the value.',
    });
  }
  return `'${text.replaceAll("'", "''")}'`;
}

function arrayText(values: readonly unknown[]): string {
  const items = values.map((value) => {
    if (value === null || value === undefined) return 'NULL';
    if (Array.isArray(value)) return arrayText(value);
    const text =
      value instanceof Uint8Array
        ? `\\x${Buffer.from(value).toString('hex')}`
        : value instanceof Date
          ? value.toISOString()
          : String(value);
    return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  });
  return `{${items.join(',')}}`;
}
