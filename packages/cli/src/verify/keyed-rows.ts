import type { Context, RelationalOp, Scalar, Selection } from '@millrace/core/runtime';
import { type Reading, rowsOf } from './reading.ts';
import { digestBytes, keyDigest, type RowShape, textReader, writeDigest } from './row-digest.ts';

/** One row, by what counts in a comparison. */
export interface KeyedRow {
  /** Of the whole row. */
  readonly digest: string;
  /** The values of its key; null where one cannot stand in a condition. */
  readonly key: readonly Scalar[] | null;
}

/** Hashes of keys, with the values where they are known. */
export type Wanted = ReadonlyMap<string, { readonly key: readonly Scalar[] | null }>;

/** As many keys as may stand in one condition: with more, reading everything is quicker. */
const mostInQuery = 2_000;

/**
 * The rows with these keys (hashes in hex, with their values where they are known): looked up where the selection can do that, else found by
 * reading everything.
 */
export async function keyedRows(
  reading: Reading,
  shape: RowShape,
  wanted: Wanted,
  keyNames: readonly string[] | null,
  context: Context,
): Promise<Map<string, KeyedRow>> {
  const found = new Map<string, KeyedRow>();
  if (wanted.size === 0) return found;
  const read = textReader(shape);
  const buffer = Buffer.alloc(digestBytes);
  for await (const batch of rowsOf(narrowed(reading, wanted, keyNames), null, context)) {
    const textsOf = read(batch);
    const keys = shape.key.map((place) => batch.vectors[batch.schema.columns.findIndex(({ name }) => name === shape.columns[place]?.name)]);
    for (let row = 0; row < batch.rowCount; row++) {
      const texts = textsOf(row);
      if (texts === undefined) continue;
      const hash = keyDigest(shape, texts);
      if (!wanted.has(hash)) continue;
      writeDigest(shape, texts, buffer, 0);
      const values = keys.map((vector) => (vector === undefined || vector.isNull(row) ? null : vector.get(row)));
      found.set(hash, { digest: buffer.toString('hex', 8), key: values.every(isScalar) ? values : null });
    }
    context.progress({ rows: batch.rowCount });
  }
  return found;
}

/** Reads what has these values in its key columns, and of a composite key some more. */
export function narrowed(reading: Reading, wanted: Wanted, keyNames: readonly string[] | null): Reading {
  const keys = [...wanted.values()].map(({ key }) => key);
  if (keyNames === null || keys.length > mostInQuery || !keys.every((key) => key !== null)) return reading;
  const where = keyNames.map((column, place) => ({
    column,
    is: 'in' as const,
    value: [...new Set(keys.map((key) => key[place] as Scalar))],
  }));
  const ops: readonly RelationalOp[] = [{ op: 'filter', where }, ...reading.absorbed];
  return canAbsorb(reading.selection, ops) ? { ...reading, absorbed: ops } : reading;
}

const canAbsorb = (selection: Selection, ops: readonly RelationalOp[]): boolean =>
  ops.every((op, place) => selection.absorbs(op, ops.slice(0, place)));

const isScalar = (value: unknown): value is Scalar => ['string', 'number', 'bigint', 'boolean'].includes(typeof value);
