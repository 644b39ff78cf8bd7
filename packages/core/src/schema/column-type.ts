/**
 * The types a column can have: Postgres's, which are the widest of the engines served. A column type is plain JSON, so that
 * it can stand in a plan; the functions that authors call (`int8()`, `numeric(12, 2)`) are in `column.ts`.
 */
export type ColumnType =
  | { readonly kind: SimpleKind }
  | { readonly kind: 'numeric'; readonly precision?: number; readonly scale?: number }
  | { readonly kind: 'varchar'; readonly length?: number }
  | { readonly kind: 'char'; readonly length: number }
  | { readonly kind: 'bit'; readonly length: number }
  | { readonly kind: 'varbit'; readonly length?: number }
  | { readonly kind: 'time' | 'timetz' | 'timestamp' | 'timestamptz'; readonly precision?: number }
  | { readonly kind: 'interval' }
  /** `labels` in their declared order. */
  | { readonly kind: 'enum'; readonly name: string; readonly labels: readonly string[] }
  | { readonly kind: 'domain'; readonly name: string; readonly of: ColumnType }
  /** Any number of dimensions; Postgres does not fix it. */
  | { readonly kind: 'array'; readonly of: ColumnType }
  /** Ranges and multiranges, by Postgres's name: `int4range`, `tstzmultirange`. */
  | { readonly kind: 'range'; readonly name: string }
  /** Anything else, by its name at the source. Carried as the text that the database itself prints and reads. */
  | { readonly kind: 'other'; readonly name: string };

export type SimpleKind =
  | 'bool'
  | 'int2'
  | 'int4'
  | 'int8'
  | 'float4'
  | 'float8'
  | 'text'
  | 'bytea'
  | 'date'
  | 'uuid'
  | 'json'
  | 'jsonb'
  | 'inet'
  | 'cidr'
  | 'macaddr'
  | 'macaddr8';

export type ColumnKind = ColumnType['kind'];

/** One column of rows on their way: what a batch, a wire format and a target know about it. */
export interface ColumnSchema {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

/** Columns in order. `key` names the columns that identify a row, where there is such a key. */
export interface RowSchema {
  readonly columns: readonly ColumnSchema[];
  readonly key?: readonly string[];
}

/** The type as Postgres writes it: `numeric(12,2)`, `timestamp(3) with time zone`, `"mood"[]`. */
export function typeName(type: ColumnType): string {
  switch (type.kind) {
    case 'numeric':
      return type.precision === undefined ? 'numeric' : `numeric(${type.precision},${type.scale ?? 0})`;
    case 'varchar':
      return type.length === undefined ? 'varchar' : `varchar(${type.length})`;
    case 'char':
      return `char(${type.length})`;
    case 'bit':
      return `bit(${type.length})`;
    case 'varbit':
      return type.length === undefined ? 'bit varying' : `bit varying(${type.length})`;
    case 'time':
      return `time${precision(type)}`;
    case 'timetz':
      return `time${precision(type)} with time zone`;
    case 'timestamp':
      return `timestamp${precision(type)}`;
    case 'timestamptz':
      return `timestamp${precision(type)} with time zone`;
    case 'enum':
    case 'domain':
    case 'range':
    case 'other':
      return type.name;
    case 'array':
      return `${typeName(type.of)}[]`;
    default:
      return type.kind;
  }
}

const precision = (type: { readonly precision?: number }): string => (type.precision === undefined ? '' : `(${type.precision})`);

/** Strips domains: the type whose values a domain holds. */
export function baseType(type: ColumnType): Exclude<ColumnType, { kind: 'domain' }> {
  return type.kind === 'domain' ? baseType(type.of) : type;
}

export function sameType(a: ColumnType, b: ColumnType): boolean {
  return a === b || (a.kind === b.kind && JSON.stringify(a) === JSON.stringify(b));
}
