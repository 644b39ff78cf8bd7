import type { ColumnBatch } from './column-batch.ts';

/** The most characters of a row that a quarantine keeps. */
const longest = 64 * 1024;

/**
 * A row as JSON text, for a quarantine or a message: what JSON has no form for is text (`"12"` for a bigint, `"\\xff"` for
 * bytes, `"NaN"`). Cut at 64 KiB. Never throws: a value that cannot be decoded says so in its place.
 */
export function rowJson(batch: ColumnBatch, row: number): string {
  const values = batch.schema.columns.map(({ name }, place) => {
    let value: unknown;
    try {
      value = batch.vectors[place]!.get(row);
    } catch (error) {
      value = `(unreadable: ${(error as Error).message})`;
    }
    return [name, value] as const;
  });
  const text = JSON.stringify(Object.fromEntries(values), (_, value: unknown) => printable(value));
  return text.length > longest ? text.slice(0, longest) : text;
}

function printable(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
  return value;
}
