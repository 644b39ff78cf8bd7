import type { ColumnBatch } from '@millrace/core/runtime';
import { keyDigest, type RowShape, textReader } from './row-digest.ts';

/** A row that is not the same on both sides. Texts as the target prints them, null for NULL. */
export interface RowDifference {
  readonly kind: 'changed' | 'only at source' | 'only at target';
  readonly key: Readonly<Record<string, string | null>>;
  /** Of a changed row the columns that differ, else all. */
  readonly columns: readonly { readonly column: string; readonly source: string | null; readonly target: string | null }[];
}

type Texts = readonly (string | null)[];

/** Reads both sides once more for the rows with these keys (hashes in hex), in the order of the keys. */
export async function differencesOf(
  keys: readonly string[],
  shape: RowShape,
  expected: () => AsyncIterable<ColumnBatch>,
  stored: () => AsyncIterable<ColumnBatch>,
): Promise<RowDifference[]> {
  const wanted = new Set(keys);
  const source = await rowsWith(wanted, shape, expected());
  const target = await rowsWith(wanted, shape, stored());
  return keys.flatMap((key) => difference(shape, source.get(key), target.get(key)) ?? []);
}

async function rowsWith(wanted: ReadonlySet<string>, shape: RowShape, batches: AsyncIterable<ColumnBatch>): Promise<Map<string, Texts>> {
  const read = textReader(shape);
  const found = new Map<string, Texts>();
  for await (const batch of batches) {
    const textsOf = read(batch);
    for (let row = 0; row < batch.rowCount; row++) {
      const texts = textsOf(row);
      if (texts === undefined) continue;
      const key = keyDigest(shape, texts);
      if (wanted.has(key)) found.set(key, texts);
    }
  }
  return found;
}

/** Undefined where both sides have become equal since they were compared. */
function difference(shape: RowShape, source: Texts | undefined, target: Texts | undefined): RowDifference | undefined {
  const some = source ?? target;
  if (!some) return undefined;
  const columns = shape.columns.map(({ name }, place) => ({
    column: name,
    source: source?.[place] ?? null,
    target: target?.[place] ?? null,
  }));
  const key = Object.fromEntries(shape.key.map((place) => [shape.columns[place]?.name ?? '', some[place] ?? null]));
  if (!source) return { kind: 'only at target', key, columns };
  if (!target) return { kind: 'only at source', key, columns };
  const changed = columns.filter((column) => column.source !== column.target);
  return changed.length > 0 ? { kind: 'changed', key, columns: changed } : undefined;
}
