import { baseType, type ColumnBatch, type ColumnSchema, encodeText, type RowSchema, type Vector } from '@millrace/core/runtime';
import { canonicalJsonText } from './json-text.ts';
import { TextHash } from './text-hash.ts';

/** How rows are compared: the columns that count, as they are at the target, and those that identify a row. */
export interface RowShape {
  readonly columns: readonly ColumnSchema[];
  /** Places in `columns`; all of them where the target has no key. */
  readonly key: readonly number[];
}

export function shapeOf(target: RowSchema, input: RowSchema): RowShape {
  const names = target.key ?? input.key ?? target.columns.map(({ name }) => name);
  return {
    columns: target.columns,
    key: names.map((name) => target.columns.findIndex((column) => column.name === name)).filter((place) => place >= 0),
  };
}

/** The texts of a row's values as the target would print them, null for NULL; undefined where the row does not fit its columns. */
export type RowTexts = readonly (string | null)[] | undefined;

/** Reads the rows of batches that all have one schema. Values go through the type of the target, so that 1.5 equals 1.50 in numeric(12,2). */
export function textReader(shape: RowShape): (batch: ColumnBatch) => (row: number) => RowTexts {
  const encoders = shape.columns.map(({ type }) => {
    const encode = encodeText(type);
    // Postgres keeps jsonb as a value and prints it in its own way.
    return baseType(type).kind === 'jsonb' ? (value: unknown) => canonicalJsonText(encode(value)) : encode;
  });
  return (batch) => {
    const places = new Map(batch.schema.columns.map(({ name }, place) => [name, place]));
    const vectors = shape.columns.map(({ name }): Vector | undefined => batch.vectors[places.get(name) ?? -1]);
    return (row) => {
      const texts: (string | null)[] = new Array(vectors.length);
      try {
        for (let place = 0; place < vectors.length; place++) {
          const vector = vectors[place];
          texts[place] =
            vector === undefined || vector.isNull(row) ? null : (encoders[place] as (value: unknown) => string)(vector.get(row));
        }
      } catch {
        return undefined;
      }
      return texts;
    };
  };
}

/** 16 bytes: 8 of a hash of the key, 8 of a hash of the whole row. */
export const digestBytes = 16;

const hash = new TextHash();

export function writeDigest(shape: RowShape, texts: readonly (string | null)[], into: Buffer, at: number): void {
  hashKey(shape, texts);
  into.writeUInt32BE(hash.high, at);
  into.writeUInt32BE(hash.low, at + 4);
  hash.begin();
  for (const text of texts) hash.add(text);
  hash.end();
  into.writeUInt32LE(hash.high, at + 8);
  into.writeUInt32LE(hash.low, at + 12);
}

/** The key's hash as a comparison names it. */
export function keyDigest(shape: RowShape, texts: readonly (string | null)[]): string {
  hashKey(shape, texts);
  return hash.high.toString(16).padStart(8, '0') + hash.low.toString(16).padStart(8, '0');
}

function hashKey(shape: RowShape, texts: readonly (string | null)[]): void {
  hash.begin();
  for (const place of shape.key) hash.add(texts[place] ?? null);
  hash.end();
}
