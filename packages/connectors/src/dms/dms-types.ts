import { baseType, type ColumnSchema, type ColumnType, typeName } from '@millrace/core/runtime';
import type { Reading } from './output.ts';

/*
 * What DMS makes of the types of a Postgres source, as its guide says, and what comes of it here.
 *
 * | column                          | DMS               | Parquet            | CSV                              | here                                     |
 * |---------------------------------|-------------------|--------------------|----------------------------------|------------------------------------------|
 * | bool                            | STRING(5), BOOLEAN| STRING or BOOL     | `true`, `t`, `1`, …              | the same                                 |
 * | int2, int4, int8                | INT2 … UINT8      | INT16 … UINT64     | digits                           | beyond the declared range: refused       |
 * | numeric(p ≤ 38, 0 ≤ s ≤ p)      | NUMERIC           | DECIMAL            | digits                           | more digits than declared: refused       |
 * | float4, float8                  | REAL4, REAL8      | FLOAT, DOUBLE      | as many digits as DMS prints     | what is written; Parquet is exact        |
 * | date, timestamp, timestamptz    | DATE, DATETIME    | DATE32, TIMESTAMP  | microseconds, UTC without a zone | the same                                 |
 * | uuid, enum, inet, cidr, macaddr, bit(n), varbit(n) | STRING | STRING    | text                             | the same                                 |
 * | varchar(n), char(n)             | WSTRING(n)        | STRING             | text                             | the same                                 |
 * | text, varchar, json, jsonb, arrays | NCLOB          | STRING             | text                             | cut at `LobMaxSize`, two bytes for each character: refused |
 * | bytea                           | BLOB              | BINARY             | hexadecimal                      | cut at `LobMaxSize`: refused             |
 * | time(0)                         | TIME              | TIME32             | seconds                          | the same                                 |
 * | time with fractions, timetz, interval, macaddr8, varbit, other numerics, ranges, all others | | |             | refused where they are declared          |
 */

/** What DMS cannot carry exactly, in one sentence; null for what it can. */
export function typeProblem({ name, type }: ColumnSchema, reading: Pick<Reading, 'csv' | 'format' | 'transactions'>): string | null {
  const base = baseType(type);
  const is = (why: string): string => `column "${name}" is ${typeName(base)}, ${why}`;
  switch (base.kind) {
    case 'range':
    case 'other':
    case 'macaddr8':
      return is('which DMS does not know');
    case 'interval':
      return is('which DMS writes in words of its own');
    case 'timetz':
      return is('and DMS writes times without their zone');
    case 'time':
      return base.precision === 0 ? null : is('and DMS writes times in whole seconds');
    case 'varbit':
      return base.length === undefined ? is('of which DMS takes only so many bits') : null;
    case 'numeric':
      return numericProblem(name, base);
    default:
      return mayHoldAnything(base) && !isQuoted(reading) ? is('and with Rfc4180: false a text may read like other fields or rows') : null;
  }
}

function numericProblem(name: string, { precision, scale = 0 }: Extract<ColumnType, { kind: 'numeric' }>): string | null {
  if (precision === undefined) return `column "${name}" is numeric without precision, which DMS carries as NUMERIC(28,6) and rounds`;
  if (precision > 38) return `column "${name}" is numeric(${precision}), and DMS carries 38 digits`;
  return scale < 0 || scale > precision ? `column "${name}" is numeric(${precision},${scale}), a scale that DMS does not know` : null;
}

const isQuoted = ({ csv, format, transactions }: Pick<Reading, 'csv' | 'format' | 'transactions'>): boolean =>
  csv.quote !== '' || (format === 'parquet' && transactions === null);

/** A delimiter or a line break can stand in it. */
const mayHoldAnything = (type: ColumnType): boolean => ['text', 'varchar', 'char', 'json', 'jsonb', 'enum', 'array'].includes(type.kind);

/** Types that DMS treats as large objects, and so cuts at `LobMaxSize`. */
export function isLob(type: ColumnType): boolean {
  const base = baseType(type);
  return ['text', 'json', 'jsonb', 'bytea', 'array'].includes(base.kind) || (base.kind === 'varchar' && base.length === undefined);
}

/**
 * Bytes of a large text as DMS counts them against `LobMaxSize`: two for each character, four where any needs as many in UTF-8. `x` is SQL for
 * DuckDB; so is the answer.
 */
export const lobTextBytes = (x: string): string =>
  `greatest(strlen(${x}), length(${x}) * CASE WHEN strlen(${x}) > length(${x}) AND regexp_matches(${x}, '[\\x{10000}-\\x{10FFFF}]') THEN 4 ELSE 2 END)`;

/** DMS does not split a character. */
export const isCut = (bytes: number, kilobytes: number): boolean => bytes >= kilobytes * 1024 - 3;
