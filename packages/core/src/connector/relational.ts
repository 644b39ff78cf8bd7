import type { ColumnSchema, ColumnType } from '../schema/index.ts';
import type { SecretRef } from './secret.ts';

/**
 * What a transform does to rows, where SQL can say it. A source that can run SQL takes a prefix of the transforms into its
 * own query, so that those rows never become JavaScript; elsewhere the transform runs over batches with the same result.
 */
export type RelationalOp =
  | { readonly op: 'select'; readonly columns: readonly string[] }
  /** New name by old name; other columns stay. */
  | { readonly op: 'rename'; readonly columns: Readonly<Record<string, string>> }
  | { readonly op: 'cast'; readonly columns: Readonly<Record<string, { readonly type: ColumnType; readonly onError: 'fail' | 'null' }>> }
  /** Rows for which every condition is true; a comparison with NULL is not. */
  | { readonly op: 'filter'; readonly where: readonly Condition[] }
  | { readonly op: 'mask'; readonly columns: Readonly<Record<string, Mask>> }
  /** One row for each key: the greatest (or least) by `by`, NULLs last. */
  | { readonly op: 'dedupe'; readonly key: readonly string[]; readonly by: string; readonly keep: 'greatest' | 'least' };

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=';
export type Scalar = string | number | bigint | boolean;

export type Condition =
  | { readonly column: string; readonly is: Comparison; readonly value: Scalar }
  | { readonly column: string; readonly is: 'in' | 'not in'; readonly value: readonly Scalar[] }
  | { readonly column: string; readonly is: 'null' | 'not null' };

export type Mask =
  /** Lower-case hex SHA-256 of the salt followed by the value's text. */
  | { readonly mask: 'hash'; readonly salt: SecretRef }
  /** The fixed text in place of every value that is not NULL, or NULL where `with` is null. */
  | { readonly mask: 'redact'; readonly with: string | null }
  /** `prefix`, then the first 32 hex digits of the hash, then the last `keepLast` characters of the value. */
  | { readonly mask: 'tokenize'; readonly salt: SecretRef; readonly prefix: string; readonly keepLast: number }
  /** The first `length` characters (code points). */
  | { readonly mask: 'truncate'; readonly length: number };

/** The columns that come out of an operation, in order. */
export function outputColumns(op: RelationalOp, input: readonly ColumnSchema[]): ColumnSchema[] {
  switch (op.op) {
    case 'select':
      return op.columns.flatMap((name) => input.filter((column) => column.name === name));
    case 'rename':
      return input.map((column) => ({ ...column, name: ofColumn(op.columns, column.name) ?? column.name }));
    case 'cast':
      return input.map((column) => {
        const cast = ofColumn(op.columns, column.name);
        return cast ? { name: column.name, type: cast.type, nullable: column.nullable || cast.onError === 'null' } : column;
      });
    case 'mask':
      return input.map((column) => {
        const mask = ofColumn(op.columns, column.name);
        return mask
          ? { name: column.name, type: { kind: 'text' }, nullable: column.nullable || (mask.mask === 'redact' && mask.with === null) }
          : column;
      });
    case 'filter':
    case 'dedupe':
      return [...input];
    default:
      return op satisfies never;
  }
}

/** What an operation says of a column. A column may be called `constructor`. */
export function ofColumn<T>(columns: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(columns, name) ? columns[name] : undefined;
}
