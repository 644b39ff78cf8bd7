import {
  beforeKinds,
  type ColumnBatch,
  changeKinds,
  hasUnchanged,
  isUnchanged,
  knownValues,
  type Position,
  type RowSchema,
  type SourceTransaction,
  type TableChanges,
  textCodec,
  unchangedVector,
  type Vector,
  valuesVector,
} from '@millrace/core/runtime';
import { copyOrdinal, logSchema } from './columns.ts';
import { constantVector, countsVector, dictionaryVector } from './dictionary.ts';
import { imagePrinter } from './image.ts';
import { keyReader } from './row-key.ts';

const text = { kind: 'text' } as const;
const json = { kind: 'json' } as const;
const stamp = { kind: 'timestamptz' } as const;
const stampCodec = textCodec(stamp);
const printedTime = ({ committedAt }: SourceTransaction): string => stampCodec.print(stampCodec.conform(committedAt));

const schemas = new WeakMap<RowSchema, RowSchema>();
function schemaOf(rows: RowSchema): RowSchema {
  const known = schemas.get(rows) ?? logSchema(rows);
  schemas.set(rows, known);
  return known;
}

/** Changes of a table as rows of its log. */
export function changeRows(changes: TableChanges, transactions: readonly SourceTransaction[]): ColumnBatch {
  const part = withDeletedKeys(changes);
  const rowCount = part.kinds.length;
  const vectors = part.rows.vectors.map((vector, place) => withKnown(vector, part, place));
  return {
    schema: schemaOf(part.rows.schema),
    rowCount,
    vectors: [
      dictionaryVector(text, operations, part.kinds),
      dictionaryVector(
        text,
        transactions.map(({ commit }) => commit),
        part.transactions,
      ),
      countsVector(rowCount, (row) => part.ordinals[row]! - transactions[part.transactions[row]!]!.firstOrdinal),
      dictionaryVector(stamp, transactions.map(printedTime), part.transactions),
      dictionaryVector(
        text,
        transactions.map(({ xid }) => xid),
        part.transactions,
      ),
      ...vectors.map(({ vector }) => vector),
      unchangedNames(part, vectors),
      beforeImages(part),
    ],
  };
}

const operations = (Object.keys(changeKinds) as (keyof typeof changeKinds)[]).reduce<(string | null)[]>(
  (names, name) => {
    names[changeKinds[name]] = name;
    return names;
  },
  [null],
);

/**
 * An update that a filter has made a delete comes with the row after it. What is gone is the row before: where the two have not the same key,
 * deletes get what is known of that one.
 */
function withDeletedKeys(part: TableChanges): TableChanges {
  const { rows, old, kinds, before } = part;
  const { key } = rows.schema;
  if (!old || !key) return part;
  const [now, then] = [keyReader(rows, key), keyReader(old, key)];
  const isFromOld = (row: number) => kinds[row] === changeKinds.delete && before[row] !== beforeKinds.none;
  if (!kinds.some((_, row) => isFromOld(row) && now(row) !== then(row))) return part;
  const vectors = rows.vectors.map((vector, place) => {
    const earlier = old.vectors[place]!;
    const isUnknown = (row: number) => isUnchanged(isFromOld(row) ? earlier : vector, row);
    const values = Array.from(kinds, (_, row) => (isUnknown(row) ? null : (isFromOld(row) ? earlier : vector).get(row)));
    const flags = new Uint8Array(Math.ceil(kinds.length / 8));
    for (let row = 0; row < kinds.length; row++) if (!isFromOld(row) && isUnknown(row)) flags[row >> 3]! |= 1 << (row & 7);
    return unchangedVector(valuesVector(vector.type, values), flags);
  });
  return { ...part, rows: { ...rows, vectors } };
}

interface Column {
  readonly vector: Vector;
  /** Null where all values are known. */
  readonly isUnknown: ((row: number) => boolean) | null;
}

/** The column with NULL where the value is not known; a full image of the row before knows what an update left as it was. */
export function withKnown(vector: Vector, { old, before }: TableChanges, place: number): Column {
  if (!hasUnchanged(vector)) return { vector, isUnknown: null };
  const earlier = old?.vectors[place];
  const isInOld = (row: number) => earlier !== undefined && before[row] === beforeKinds.row && !isUnchanged(earlier, row);
  const known = knownValues(vector);
  const values = Array.from({ length: vector.length }, (_, row) => {
    if (!isUnchanged(vector, row)) return known.get(row);
    return isInOld(row) ? earlier!.get(row) : null;
  });
  return { vector: valuesVector(vector.type, values), isUnknown: (row) => isUnchanged(vector, row) && !isInOld(row) };
}

function unchangedNames({ rows }: TableChanges, columns: readonly Column[]): Vector {
  const partly = columns.flatMap(({ isUnknown }, place) => (isUnknown ? [{ name: rows.schema.columns[place]!.name, isUnknown }] : []));
  if (partly.length === 0) return constantVector(json, null, rows.rowCount);
  const values = Array.from({ length: rows.rowCount }, (_, row) => {
    const names = partly.flatMap(({ name, isUnknown }) => (isUnknown(row) ? [name] : []));
    return names.length === 0 ? null : JSON.stringify(names);
  });
  return valuesVector(json, values);
}

function beforeImages({ rows, old, before }: TableChanges): Vector {
  if (!old) return constantVector(json, null, rows.rowCount);
  const print = imagePrinter(old);
  const key = new Set(rows.schema.key ?? rows.schema.columns.filter(({ nullable }) => !nullable).map(({ name }) => name));
  const values = Array.from(before, (kind, row) => {
    if (kind === beforeKinds.none) return null;
    return print(row, kind === beforeKinds.row ? null : key);
  });
  return valuesVector(json, values);
}

/** That a table was emptied: by the source, or since a copy of it follows. */
export function truncateRow(
  rows: RowSchema,
  at: { readonly position: Position; readonly ordinal: number; readonly of: SourceTransaction | null },
): ColumnBatch {
  return {
    schema: schemaOf(rows),
    rowCount: 1,
    vectors: [
      constantVector(text, 'truncate', 1),
      constantVector(text, at.position, 1),
      countsVector(1, () => at.ordinal),
      constantVector(stamp, at.of && printedTime(at.of), 1),
      constantVector(text, at.of?.xid ?? null, 1),
      ...rows.columns.map(({ type }) => constantVector(type, null, 1)),
      constantVector(json, null, 1),
      constantVector(json, null, 1),
    ],
  };
}

/** Rows of a first copy. `first` is the number of the first of them among the rows of the copy. */
export function copiedRows(batch: ColumnBatch, position: Position, first: number): ColumnBatch {
  const { rowCount } = batch;
  return {
    schema: schemaOf(batch.schema),
    rowCount,
    vectors: [
      constantVector(text, 'read', rowCount),
      constantVector(text, position, rowCount),
      countsVector(rowCount, (row) => copyOrdinal + 1 + first + row),
      constantVector(stamp, null, rowCount),
      constantVector(text, null, rowCount),
      ...batch.vectors,
      constantVector(json, null, rowCount),
      constantVector(json, null, rowCount),
    ],
  };
}
