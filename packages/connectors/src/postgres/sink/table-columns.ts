import type { ColumnType } from '@millrace/core/runtime';

/** A column of the table as it is in the database now. */
export interface RealColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** As `format_type` prints it, modifiers included. */
  readonly sqlType: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** Computed by the database: nothing can be written to it. */
  readonly generated: boolean;
  readonly identity: boolean;
}

/** The target table as it is in the database now. */
export interface RealTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  readonly columns: readonly RealColumn[];
  /** Column sets that a unique index holds apart: full, immediate, valid, without expressions. */
  readonly uniqueKeys: readonly (readonly string[])[];
  readonly checks: readonly Check[];
  /** Those that point at other tables. */
  readonly foreignKeys: readonly ForeignKey[];
}

export interface Check {
  readonly columns: readonly string[];
  /** `CHECK (total > 0)` */
  readonly definition: string;
}

export interface ForeignKey {
  readonly name: string;
  readonly columns: readonly string[];
  readonly refersTo: { readonly schema: string; readonly name: string; readonly columns: readonly string[] };
}

/** True where an index of the table lets ON CONFLICT find a row by this key. */
export function hasUniqueKey(table: RealTable, key: readonly string[]): boolean {
  return table.uniqueKeys.some((columns) => columns.length === key.length && columns.every((column) => key.includes(column)));
}
