import { baseType, type ColumnType } from '@millrace/core/runtime';
import type { ProductName } from './product.ts';
import type { Kind } from './protocol.ts';
import type { AnswerColumn } from './session.ts';

/** What a column of a database is here: the type of its values, and how they are asked for. */
export interface SourceType {
  readonly type: ColumnType;
  readonly kind: Kind;
}

/** A row of the table of types, which is also the one in docs/connectors/jdbc.md. */
export interface TypeRule {
  /** As the manual has it: type of the database, what becomes of it, and what is to be said of it. */
  readonly manual: readonly [from: string, to: string, note: string];
  /** Only there; everywhere where it is left out. */
  readonly products?: readonly ProductName[];
  /** Of `java.sql.Types`, or the vendor's own. */
  readonly codes?: readonly number[];
  /** Of the type as the database writes it. */
  readonly named?: RegExp;
  readonly is: (column: Pick<AnswerColumn, 'precision' | 'scale' | 'displaySize' | 'signed' | 'typeName'>) => SourceType | null;
}

/** `java.sql.Types`, https://docs.oracle.com/en/java/javase/11/docs/api/constant-values.html */
const bit = -7;
const [tinyint, bigint, binary, varbinary, longvarbinary] = [-6, -5, -2, -3, -4];
const [char, numeric, decimal, integer, smallint, float, real, double, varchar, boolean] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16];
const [date, time, timestamp, timeWithZone, timestampWithZone] = [91, 92, 93, 2013, 2014];
const [blob, clob, nclob, nchar, nvarchar] = [2004, 2005, 2011, -15, -9];

const plain = (
  kind: 'bool' | 'int2' | 'int4' | 'int8' | 'float4' | 'float8' | 'bytea' | 'date' | 'uuid' | 'json' | 'text',
  as: Kind,
): SourceType => ({
  type: { kind },
  kind: as,
});
const numberOf = (precision?: number, scale = 0): SourceType => ({
  type: precision === undefined ? { kind: 'numeric' } : { kind: 'numeric', precision, scale },
  kind: 'decimal',
});
const clock = (kind: 'time' | 'timetz' | 'timestamp' | 'timestamptz', precision: number, as: Kind): SourceType => ({
  type: precision === 6 ? { kind } : { kind, precision },
  kind: as,
});
/** What Postgres takes for a length, in characters. */
const longest = 10_485_760;
const letters = (length: number): SourceType => ({
  type: length > 0 && length <= longest ? { kind: 'varchar', length } : { kind: 'text' },
  kind: 'text',
});
const charOf = (length: number): SourceType =>
  length > 0 && length <= longest ? { type: { kind: 'char', length }, kind: 'text' } : { type: { kind: 'text' }, kind: 'text' };
/** Digits that a numeric can have. */
const mostDigits = 1000;

function exact(precision: number, scale: number): SourceType {
  if (precision <= 0 || precision > mostDigits || scale > mostDigits) return numberOf();
  // NUMBER(5,-2) has seven digits before the point, NUMBER(2,5) five behind it.
  return scale < 0 ? numberOf(precision - scale) : numberOf(Math.max(precision, scale), scale);
}

const integerOf = (digits: number): SourceType =>
  digits <= 4 ? plain('int2', 'int') : digits <= 9 ? plain('int4', 'int') : plain('int8', 'long');

/** Nine where the driver does not know: then what does not fit is refused by type and not value by value. */
const fraction = (scale: number): number => (scale >= 0 && scale <= 12 ? Math.min(scale, 9) : 6);

/**
 * The first rule that fits is the one. What a column becomes is exact; where the declaration is narrower, the edge is lossy and refused by
 * name. Types that none of them knows are carried as the text that the driver makes of them.
 */
export const typeRules: readonly TypeRule[] = [
  {
    manual: ['SQLite, any column', 'int8, float8, numeric, text, bytea by the declared type', 'a value of another type is refused by row'],
    products: ['sqlite'],
    is: ({ typeName }) => sqliteType(typeName.toUpperCase()),
  },
  {
    manual: ['Oracle `NUMBER(p)` of up to 18 digits', 'int2, int4, int8', 'the first that holds them all'],
    products: ['oracle'],
    codes: [numeric, decimal],
    is: ({ precision, scale }) => (scale === 0 && precision > 0 && precision <= 18 ? integerOf(precision) : null),
  },
  {
    manual: [
      'Oracle `NUMBER`, `FLOAT`',
      'numeric, with precision and scale where they are declared',
      'scales below zero and above the precision are widened',
    ],
    products: ['oracle'],
    codes: [numeric, decimal, float],
    is: ({ precision, scale, typeName }) =>
      scale === -127 || precision === 0 || typeName === 'FLOAT' ? numberOf() : exact(precision, scale),
  },
  {
    manual: ['Oracle `BINARY_FLOAT`, `BINARY_DOUBLE`', 'float4, float8', ''],
    products: ['oracle'],
    codes: [100, 101],
    is: ({ typeName }) => (typeName === 'BINARY_FLOAT' ? plain('float4', 'float') : plain('float8', 'double')),
  },
  {
    manual: ['Oracle `DATE`', 'timestamp(0)', 'it has a time of day'],
    products: ['oracle'],
    named: /^DATE$/,
    is: () => clock('timestamp', 0, 'stamp'),
  },
  {
    manual: ['Oracle `TIMESTAMP WITH [LOCAL] TIME ZONE`', 'timestamptz', ''],
    products: ['oracle'],
    codes: [-101, -102],
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'stamptz'),
  },
  {
    manual: ['SQL Server `datetimeoffset`', 'timestamptz', 'seven decimals by default: declare text, or cast'],
    products: ['sqlserver'],
    codes: [-155],
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'stamptz'),
  },
  {
    manual: ['SQL Server `uniqueidentifier`', 'uuid', ''],
    products: ['sqlserver'],
    named: /^uniqueidentifier$/i,
    is: () => plain('uuid', 'uuid'),
  },
  {
    manual: ['MySQL, MariaDB `TIMESTAMP`', 'timestamptz', 'the session is in UTC; zero dates are refused by row'],
    products: ['mysql'],
    named: /^TIMESTAMP$/i,
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'printedStamptz'),
  },
  {
    manual: ['MySQL, MariaDB `DATETIME`', 'timestamp', 'zero dates are refused by row'],
    products: ['mysql'],
    codes: [timestamp],
    is: ({ scale }) => clock('timestamp', fraction(scale), 'printedStamp'),
  },
  { manual: ['MySQL, MariaDB `DATE`', 'date', 'likewise'], products: ['mysql'], named: /^DATE$/i, is: () => plain('date', 'printedDate') },
  {
    manual: ['MySQL, MariaDB `TIME`', 'time', 'beyond 24 hours it is refused by row'],
    products: ['mysql'],
    codes: [time],
    is: ({ scale }) => clock('time', fraction(scale), 'printedTime'),
  },
  { manual: ['MySQL, MariaDB `YEAR`', 'int2', ''], products: ['mysql'], named: /^YEAR$/i, is: () => plain('int2', 'int') },
  {
    manual: [
      'MySQL, MariaDB `CHAR(n)`, `ENUM`, `SET`',
      'varchar(n)',
      'the server leaves out the blanks at the end of a char; it may be declared char(n)',
    ],
    products: ['mysql'],
    codes: [char],
    is: ({ precision }) => charOf(precision),
  },
  {
    manual: ['MySQL, MariaDB integers, `UNSIGNED`', 'int2, int4, int8, numeric(20)', 'the first that holds them all'],
    products: ['mysql'],
    named: /^(TINYINT|SMALLINT|MEDIUMINT|INT|INTEGER) UNSIGNED\b/i,
    is: ({ typeName }) =>
      /^TINY/i.test(typeName) ? plain('int2', 'int') : /^(SMALL|MEDIUM)/i.test(typeName) ? plain('int4', 'int') : plain('int8', 'long'),
  },
  {
    manual: ['MySQL, MariaDB `GEOMETRY` and its like', 'bytea', 'four bytes of SRID, then WKB'],
    products: ['mysql'],
    named: /^(GEOMETRY|POINT|LINESTRING|POLYGON|MULTI\w+|GEOMETRYCOLLECTION)$/i,
    is: () => plain('bytea', 'bytes'),
  },
  {
    manual: ['MySQL, MariaDB `BIT(n)`', 'bytea', ''],
    products: ['mysql'],
    named: /^BIT$/i,
    is: ({ precision }) => (precision === 1 ? plain('bool', 'bool') : plain('bytea', 'bytes')),
  },
  {
    manual: ['Snowflake `TIMESTAMP_LTZ`, `TIMESTAMP_TZ`', 'timestamptz', 'nine decimals by default: declare text, or cast'],
    products: ['snowflake'],
    named: /^TIMESTAMP_?(LTZ|TZ)$/i,
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'stamptz'),
  },
  {
    manual: ['Snowflake `NUMBER`', 'numeric', 'also with a scale of 0: it has 38 digits'],
    products: ['snowflake'],
    codes: [bigint, decimal, numeric],
    is: ({ precision, scale }) => exact(precision, scale),
  },
  {
    manual: ['Postgres `timestamptz`', 'timestamptz', ''],
    products: ['postgres'],
    named: /^timestamptz$/,
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'stamptz'),
  },
  {
    // Its driver has no value for 24:00:00 that is not another time as well.
    manual: ['Postgres `time`, `timetz`', 'time, timetz', '24:00:00 is kept'],
    products: ['postgres'],
    named: /^(time|timetz)$/,
    is: ({ typeName, scale }) => clock(typeName === 'timetz' ? 'timetz' : 'time', fraction(scale), 'text'),
  },
  {
    manual: ['Postgres `money`', 'text', 'as the server prints it'],
    products: ['postgres'],
    named: /^money$/,
    is: () => plain('text', 'text'),
  },
  {
    manual: ['Postgres `bool`, `bit(n)`', 'bool, bit(n)', ''],
    products: ['postgres'],
    codes: [bit],
    is: ({ typeName, precision }) =>
      typeName === 'bool' ? plain('bool', 'bool') : { type: { kind: 'bit', length: precision }, kind: 'text' },
  },
  {
    manual: ['Postgres `jsonb`', 'jsonb', ''],
    products: ['postgres'],
    named: /^jsonb$/,
    is: () => ({ type: { kind: 'jsonb' }, kind: 'text' }),
  },
  { manual: ['`UUID`', 'uuid', ''], named: /^uuid$/i, is: () => plain('uuid', 'uuid') },
  { manual: ['`JSON`', 'json', ''], named: /^json$/i, is: () => plain('json', 'text') },
  { manual: ['`DECFLOAT`', 'numeric', 'NaN and infinities are refused by row'], named: /^decfloat$/i, is: () => numberOf() },
  {
    manual: ['`INTERVAL`, `ENUM`, arrays, `GEOMETRY`, `XML`, `ROWID` and all others', 'text', 'as the driver prints them'],
    named: /^(interval|enum|geometry|xml|rowid|urowid)\b/i,
    is: () => plain('text', 'text'),
  },
  {
    manual: ['`BOOLEAN`, `BIT`', 'bool', ''],
    codes: [boolean, bit],
    is: ({ precision }) => (precision > 1 ? plain('text', 'text') : plain('bool', 'bool')),
  },
  { manual: ['`TINYINT`', 'int2', 'signed or not'], codes: [tinyint], is: () => plain('int2', 'int') },
  {
    manual: ['`SMALLINT`', 'int2', 'int4 where it is unsigned'],
    codes: [smallint],
    is: ({ signed }) => (signed ? plain('int2', 'int') : plain('int4', 'int')),
  },
  {
    manual: ['`INTEGER`', 'int4', 'int8 where it is unsigned'],
    codes: [integer],
    is: ({ signed }) => (signed ? plain('int4', 'int') : plain('int8', 'long')),
  },
  {
    manual: ['`BIGINT`', 'int8', 'numeric(20) where it is unsigned'],
    codes: [bigint],
    is: ({ signed }) => (signed ? plain('int8', 'long') : numberOf(20)),
  },
  { manual: ['`REAL`', 'float4', ''], codes: [real], is: () => plain('float4', 'float') },
  { manual: ['`FLOAT`, `DOUBLE`', 'float8', ''], codes: [float, double], is: () => plain('float8', 'double') },
  {
    manual: ['`NUMERIC(p, s)`, `DECIMAL(p, s)`', 'numeric(p, s)', 'numeric without digits where the driver does not know them'],
    codes: [numeric, decimal],
    is: ({ precision, scale }) => exact(precision, scale),
  },
  {
    manual: ['`CHAR(n)`, `NCHAR(n)`', 'char(n)', 'with its blanks'],
    codes: [char, nchar],
    is: ({ precision }) => charOf(precision),
  },
  {
    manual: ['`VARCHAR(n)`, `NVARCHAR(n)`', 'varchar(n)', 'text beyond 10,485,760 characters'],
    codes: [varchar, nvarchar],
    is: ({ precision }) => letters(precision),
  },
  {
    manual: ['`CLOB`, `NCLOB`, `LONGVARCHAR`', 'text', 'held in memory, each value whole'],
    codes: [clob, nclob, -1, -16],
    is: () => plain('text', 'text'),
  },
  {
    manual: ['`BINARY`, `VARBINARY`, `BLOB`', 'bytea', 'likewise'],
    codes: [binary, varbinary, longvarbinary, blob],
    is: () => plain('bytea', 'bytes'),
  },
  { manual: ['`DATE`', 'date', ''], codes: [date], is: () => plain('date', 'date') },
  {
    manual: ['`TIME(p)`', 'time(p)', 'more than six decimals: declare text, or cast'],
    codes: [time],
    is: ({ scale }) => clock('time', fraction(scale), 'time'),
  },
  {
    manual: ['`TIME(p) WITH TIME ZONE`', 'timetz(p)', 'likewise'],
    codes: [timeWithZone],
    is: ({ scale }) => clock('timetz', fraction(scale), 'timetz'),
  },
  {
    manual: ['`TIMESTAMP(p)`', 'timestamp(p)', 'likewise'],
    codes: [timestamp],
    is: ({ scale }) => clock('timestamp', fraction(scale), 'stamp'),
  },
  {
    manual: ['`TIMESTAMP(p) WITH TIME ZONE`', 'timestamptz(p)', 'likewise; the instant is kept, its zone is not'],
    codes: [timestampWithZone],
    is: ({ scale }) => clock('timestamptz', fraction(scale), 'stamptz'),
  },
];

/** Type affinity, https://www.sqlite.org/datatype3.html, with strings of time as text. */
function sqliteType(declared: string): SourceType {
  if (/INT/.test(declared)) return plain('int8', 'whole');
  if (/CHAR|CLOB|TEXT|DATE|TIME/.test(declared)) return plain('text', 'text');
  if (/BLOB/.test(declared)) return plain('bytea', 'bytes');
  if (/REAL|FLOA|DOUB/.test(declared)) return plain('float8', 'real');
  if (/NUMERIC|DECIMAL/.test(declared)) return numberOf();
  return plain('text', 'text');
}

/** What a column of an answer is here. */
export function sourceType(product: ProductName, column: AnswerColumn): SourceType {
  for (const { products, codes, named, is } of typeRules) {
    if (products && !products.includes(product)) continue;
    if (codes && !codes.includes(column.sqlType)) continue;
    if (named && !named.test(column.typeName)) continue;
    const found = is(column);
    if (found) return found;
  }
  return plain('text', 'text');
}

/**
 * As `sourceType`, of the values that are read: MySQL leaves out the blanks at the end of a char, and its drivers call an enum and an address a
 * char as well, which have none.
 */
export function readType(product: ProductName, column: AnswerColumn): SourceType {
  const { type, kind } = sourceType(product, column);
  const base = baseType(type);
  return product === 'mysql' && base.kind === 'char' ? { ...letters(base.length), kind } : { type, kind };
}
