import type { ColumnType } from './column-type.ts';

declare const value: unique symbol;

/**
 * A column of a `table()`. `Value` is what a row function sees:
 *
 * | column                                        | JavaScript                                               |
 * |-----------------------------------------------|----------------------------------------------------------|
 * | bool                                          | `boolean`                                                |
 * | int2, int4, float4, float8                    | `number` (NaN and infinities included)                   |
 * | int8                                          | `bigint`                                                 |
 * | numeric                                       | `string`, every digit kept; also `'NaN'`, `'Infinity'`   |
 * | date                                          | `'2024-02-29'`                                           |
 * | time, timestamp, timestamptz                  | ISO 8601 with six decimals, so that text order is time order: `'2024-02-29T23:59:59.123456Z'` |
 * | timetz                                        | `'23:59:59.123456+02:00'`                                |
 * | interval                                      | ISO 8601 as Postgres writes it: `'P1Y2M3DT4H5M6.7S'`      |
 * | bytea                                         | `Uint8Array`                                             |
 * | uuid, text, varchar, char, enums              | `string`                                                 |
 * | json, jsonb                                   | the JSON text, to the letter                             |
 * | arrays                                        | nested JavaScript arrays                                 |
 * | everything else                               | the text that Postgres prints                            |
 *
 * Dates outside the years 1 to 9999 and infinities are written as Postgres writes them: `'0044-03-15 BC'`, `'infinity'`.
 */
export interface Column<Value = unknown> {
  readonly type: ColumnType;
  readonly nullable: boolean;
  readonly [value]?: Value;
  /** The same column, where NULL may stand. */
  orNull(): Column<Value | null>;
}

export type ValueOf<C> = C extends Column<infer Value> ? Value : never;

function column<Value>(type: ColumnType, nullable = false): Column<Value> {
  return Object.freeze({ type: Object.freeze(type), nullable, orNull: () => column<Value | null>(type, true) });
}

export const bool = (): Column<boolean> => column({ kind: 'bool' });
export const int2 = (): Column<number> => column({ kind: 'int2' });
export const int4 = (): Column<number> => column({ kind: 'int4' });
export const int8 = (): Column<bigint> => column({ kind: 'int8' });
export const float4 = (): Column<number> => column({ kind: 'float4' });
export const float8 = (): Column<number> => column({ kind: 'float8' });
export const text = (): Column<string> => column({ kind: 'text' });
export const bytea = (): Column<Uint8Array> => column({ kind: 'bytea' });
export const date = (): Column<string> => column({ kind: 'date' });
export const uuid = (): Column<string> => column({ kind: 'uuid' });
export const json = (): Column<string> => column({ kind: 'json' });
export const jsonb = (): Column<string> => column({ kind: 'jsonb' });
export const inet = (): Column<string> => column({ kind: 'inet' });
export const cidr = (): Column<string> => column({ kind: 'cidr' });
export const macaddr = (): Column<string> => column({ kind: 'macaddr' });
export const macaddr8 = (): Column<string> => column({ kind: 'macaddr8' });
export const interval = (): Column<string> => column({ kind: 'interval' });

/** Without arguments: any number of digits. `precision` counts all digits, `scale` those after the point. */
export function numeric(precision?: number, scale = 0): Column<string> {
  return column(precision === undefined ? { kind: 'numeric' } : { kind: 'numeric', precision, scale });
}

export const varchar = (length?: number): Column<string> =>
  column(length === undefined ? { kind: 'varchar' } : { kind: 'varchar', length });
/** Blank-padded, as SQL has it: a `char(3)` holding `'a'` reads `'a  '`. */
export const char = (length = 1): Column<string> => column({ kind: 'char', length });
export const bit = (length = 1): Column<string> => column({ kind: 'bit', length });
export const varbit = (length?: number): Column<string> => column(length === undefined ? { kind: 'varbit' } : { kind: 'varbit', length });

type Clock = 'time' | 'timetz' | 'timestamp' | 'timestamptz';
const clock = (kind: Clock, precision?: number): Column<string> => column(precision === undefined ? { kind } : { kind, precision });
/** `precision` is the number of decimals of the second, 0 to 6; six where it is left out. */
export const time = (precision?: number): Column<string> => clock('time', precision);
export const timetz = (precision?: number): Column<string> => clock('timetz', precision);
export const timestamp = (precision?: number): Column<string> => clock('timestamp', precision);
export const timestamptz = (precision?: number): Column<string> => clock('timestamptz', precision);

/** An enum type of the database, `name` schema-qualified where it is not in `public`; labels in their declared order. */
export function enumeration<const Labels extends readonly string[]>(name: string, labels: Labels): Column<Labels[number]> {
  return column({ kind: 'enum', name, labels });
}

export function domain<Value>(name: string, of: Column<Value>): Column<Value> {
  return column({ kind: 'domain', name, of: of.type });
}

export type Nested<Value> = Value | null | readonly Nested<Value>[];
/** Elements may be NULL and arrays may nest, since Postgres fixes neither. */
export function array<Value>(of: Column<Value>): Column<readonly Nested<Value>[]> {
  return column({ kind: 'array', of: of.type });
}

/** A range or multirange type by its Postgres name, as text: `range('tstzrange')` reads `'["2024-01-01 00:00:00+00",)'`. */
export const range = (name: string): Column<string> => column({ kind: 'range', name });
/** Any other type of the database, carried as the text that it prints: `other('geometry')`. */
export const other = (name: string): Column<string> => column({ kind: 'other', name });
