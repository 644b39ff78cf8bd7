import type { ColumnType } from '@millrace/core/runtime';

/** A column as `information_schema.columns` has it. */
export interface ColumnFacts {
  /** `int`, `varchar`, `datetime` */
  readonly dataType: string;
  /** `int(10) unsigned zerofill`, `enum('a','b')` */
  readonly columnType: string;
  /** Characters; null for what holds none. */
  readonly length: number | null;
  readonly precision: number | null;
  readonly scale: number | null;
  /** Decimals of the second. */
  readonly fraction: number | null;
  /** MariaDB keeps JSON as text that it checks. */
  readonly checkedJson: boolean;
}

/**
 * How the values of a type come over the wire:
 *
 * | form       | bytes                                                       |
 * |------------|-------------------------------------------------------------|
 * | `text`     | what Postgres prints for the same value                     |
 * | `float`    | a number in decimals, or with an exponent                   |
 * | `date`     | what Postgres prints, but for dates that are none            |
 * | `datetime` | likewise, with zeros at the end of the fraction              |
 * | `instant`  | likewise, with `+00` behind it                               |
 * | `duration` | `-838:59:59.000000`                                          |
 * | `bytes`    | themselves                                                   |
 * | `geometry` | four bytes of SRID, then WKB                                 |
 */
export type Form = 'text' | 'float' | 'date' | 'datetime' | 'instant' | 'duration' | 'bytes' | 'geometry';

export interface MysqlType {
  readonly type: ColumnType;
  readonly form: Form;
}

interface TypeRow {
  /** As `data_type` of the catalog says; several that are alike. */
  readonly names: readonly string[];
  /** For the manual: the type here, and what is to be known of it. */
  readonly manual: string;
  readonly form: Form;
  readonly type: (facts: ColumnFacts) => ColumnType;
}

const unsigned = ({ columnType }: ColumnFacts): boolean => /\bunsigned\b|\bzerofill\b/.test(columnType);
const integer =
  (signed: ColumnType, positive: ColumnType) =>
  (facts: ColumnFacts): ColumnType =>
    unsigned(facts) ? positive : signed;
const always = (type: ColumnType) => (): ColumnType => type;
const clock =
  (kind: 'timestamp' | 'timestamptz') =>
  ({ fraction }: ColumnFacts): ColumnType =>
    fraction === null || fraction >= 6 ? { kind } : { kind, precision: fraction };

/**
 * Every type of MySQL and MariaDB and the one that holds all its values. `docs/connectors/mysql.md` shows this table. The other way,
 * from the types of Millrace to those of MySQL, is `sink/sql-type.ts`.
 */
export const typeRows: readonly TypeRow[] = [
  {
    names: ['tinyint'],
    manual: '`int2`; may be declared `bool()` where it holds 0 and 1 only',
    form: 'text',
    type: always({ kind: 'int2' }),
  },
  { names: ['smallint'], manual: '`int2`, unsigned `int4`', form: 'text', type: integer({ kind: 'int2' }, { kind: 'int4' }) },
  { names: ['mediumint'], manual: '`int4`', form: 'text', type: always({ kind: 'int4' }) },
  { names: ['int'], manual: '`int4`, unsigned `int8`', form: 'text', type: integer({ kind: 'int4' }, { kind: 'int8' }) },
  {
    names: ['bigint'],
    manual: '`int8`, unsigned `numeric(20,0)`',
    form: 'text',
    type: integer({ kind: 'int8' }, { kind: 'numeric', precision: 20, scale: 0 }),
  },
  {
    names: ['decimal'],
    manual: '`numeric` with the same precision and scale, up to (65,30)',
    form: 'text',
    type: ({ precision, scale }) => ({ kind: 'numeric', precision: precision ?? 10, scale: scale ?? 0 }),
  },
  { names: ['float'], manual: '`float4`, every bit', form: 'float', type: always({ kind: 'float4' }) },
  { names: ['double'], manual: '`float8`, every bit', form: 'float', type: always({ kind: 'float8' }) },
  {
    names: ['bit'],
    manual: '`bit(n)`; `bit(1)` may be declared `bool()`',
    form: 'text',
    type: ({ precision }) => ({ kind: 'bit', length: precision ?? 1 }),
  },
  { names: ['year'], manual: '`int2`; the year 0000 is 0', form: 'text', type: always({ kind: 'int2' }) },
  { names: ['date'], manual: '`date`; zero dates by the policy `zeroDates`', form: 'date', type: always({ kind: 'date' }) },
  {
    names: ['datetime'],
    manual: '`timestamp` with the same decimals; zero dates by policy',
    form: 'datetime',
    type: clock('timestamp'),
  },
  {
    names: ['timestamp'],
    manual: '`timestamptz` with the same decimals; zero dates by policy',
    form: 'instant',
    type: clock('timestamptz'),
  },
  {
    names: ['time'],
    manual: '`interval`, for it goes from -838:59:59 to 838:59:59; may be declared `time()` where it holds times of day only',
    form: 'duration',
    type: always({ kind: 'interval' }),
  },
  {
    names: ['char', 'varchar'],
    manual:
      '`varchar(n)`; blanks at the end of a `char` are not part of it, unless it is declared `char(n)`; of 36 characters it may be declared `uuid()`',
    form: 'text',
    type: ({ length }) => (length === null ? { kind: 'text' } : { kind: 'varchar', length: Math.max(1, length) }),
  },
  {
    names: ['tinytext', 'text', 'mediumtext', 'longtext'],
    manual: '`text`, whatever its character set; MariaDB’s `json` is `json`',
    form: 'text',
    type: ({ checkedJson }) => ({ kind: checkedJson ? 'json' : 'text' }),
  },
  { names: ['json'], manual: '`json`; may be declared `jsonb()`', form: 'text', type: always({ kind: 'json' }) },
  {
    names: ['enum'],
    manual: '`varchar` of its longest label; may be declared `enumeration()` with all its labels',
    form: 'text',
    type: (facts) => ({ kind: 'varchar', length: Math.max(1, ...labelsOf(facts.columnType).map((label) => [...label].length)) }),
  },
  { names: ['set'], manual: '`text`: its members with commas between', form: 'text', type: always({ kind: 'text' }) },
  {
    names: ['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'vector'],
    manual: '`bytea`; `binary(16)` may be declared `uuid()`',
    form: 'bytes',
    type: always({ kind: 'bytea' }),
  },
  { names: ['uuid'], manual: '`uuid`', form: 'text', type: always({ kind: 'uuid' }) },
  { names: ['inet4', 'inet6'], manual: '`inet`', form: 'text', type: always({ kind: 'inet' }) },
  {
    names: [
      'geometry',
      'point',
      'linestring',
      'polygon',
      'multipoint',
      'multilinestring',
      'multipolygon',
      'geometrycollection',
      'geomcollection',
    ],
    manual: '`bytea`: WKB as the server keeps it (longitude first), without the SRID',
    form: 'geometry',
    type: always({ kind: 'bytea' }),
  },
];

const rowOf = new Map(typeRows.flatMap((row) => row.names.map((name) => [name, row] as const)));

/** The type that holds every value of the column. What is not known is carried as the text that the server prints. */
export function typeOf(facts: ColumnFacts): MysqlType {
  const row = rowOf.get(facts.dataType);
  return row ? { type: row.type(facts), form: row.form } : { type: { kind: 'other', name: facts.dataType }, form: 'text' };
}

/** Labels of `enum('a','it''s')`, members of `set('a','b')`. */
export function labelsOf(columnType: string): string[] {
  const labels: string[] = [];
  for (const [, label = ''] of columnType.matchAll(/'((?:[^'\\]|''|\\.)*)'/g))
    labels.push(label.replaceAll("''", "'").replace(/\\(.)/g, '$1'));
  return labels;
}
