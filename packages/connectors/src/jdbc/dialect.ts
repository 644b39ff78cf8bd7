import { baseType, type ColumnType, MillraceError, typeName } from '@millrace/core/runtime';
import type { ProductName } from './product.ts';

/** What a database does in a way of its own. */
export interface Dialect {
  readonly product: ProductName;
  /** What stands behind a SELECT of expressions alone. */
  readonly fromNothing: string;
  /** The time by the database's own clock, as a timestamp without and with time zone; null where it has none such. */
  readonly now: { readonly timestamp: string | null; readonly timestamptz: string | null };
  /** What a SELECT says to have the values of a column of this type whole; null where its name will do. */
  whole(column: string, type: ColumnType): string | null;
  /** What stands for a time with six decimals that a column is compared with, whatever decimals the column has. */
  moment(type: ColumnType): string;
  /** Connections that may write at once. */
  readonly writers: number;
  /** An empty table with the columns of another one, but none of its rules. */
  emptyCopy(copy: string, columns: string, of: string): string;
  /** How rows of `staged` reach the table: by MERGE, or in words of its own. */
  readonly upsert: 'merge' | 'on conflict' | 'on duplicate key';
  /** A text of which no two that differ are equal, whatever collation its column has; null where all columns have such. */
  readonly exactText: ((column: string) => string) | null;
  /** The type as DDL writes it; null where the database has none for it. */
  ddlType(type: ColumnType): string | null;
}

const noRow = 'WHERE 1 = 0';
const createAs = (copy: string, columns: string, of: string): string => `CREATE TABLE ${copy} AS SELECT ${columns} FROM ${of} ${noRow}`;
const createWithNoData = (copy: string, columns: string, of: string): string =>
  `CREATE TABLE ${copy} AS (SELECT ${columns} FROM ${of}) WITH NO DATA`;
const standardNow = { timestamp: 'LOCALTIMESTAMP', timestamptz: 'CURRENT_TIMESTAMP' };

const standard: Omit<Dialect, 'product'> = {
  fromNothing: '',
  now: standardNow,
  whole: () => null,
  moment: () => '?',
  writers: 4,
  emptyCopy: createAs,
  upsert: 'merge',
  exactText: null,
  ddlType: (type) => ddlType(type, {}),
};

/** Names of types that differ from the standard's; null: there is none. */
type TypeNames = Partial<Record<ColumnType['kind'], string | null>>;

const oracleTypes: TypeNames = {
  bool: 'NUMBER(1)',
  int2: 'NUMBER(5)',
  int4: 'NUMBER(10)',
  int8: 'NUMBER(19)',
  float4: 'BINARY_FLOAT',
  float8: 'BINARY_DOUBLE',
  numeric: 'NUMBER',
  text: 'CLOB',
  json: 'CLOB',
  jsonb: 'CLOB',
  bytea: 'BLOB',
  varchar: 'VARCHAR2',
  time: null,
  timetz: null,
  uuid: 'CHAR(36)',
};
const sqlServerTypes: TypeNames = {
  bool: 'BIT',
  text: 'NVARCHAR(MAX)',
  json: 'NVARCHAR(MAX)',
  jsonb: 'NVARCHAR(MAX)',
  bytea: 'VARBINARY(MAX)',
  float8: 'FLOAT(53)',
  uuid: 'UNIQUEIDENTIFIER',
  timestamp: 'DATETIME2',
  timestamptz: 'DATETIMEOFFSET',
  timetz: null,
  varchar: 'NVARCHAR',
  char: 'NCHAR',
};
const mysqlTypes: TypeNames = {
  bool: 'BOOLEAN',
  text: 'LONGTEXT',
  json: 'JSON',
  jsonb: 'JSON',
  bytea: 'LONGBLOB',
  float8: 'DOUBLE',
  float4: 'FLOAT',
  timestamp: 'DATETIME',
  timestamptz: null,
  timetz: null,
  uuid: 'CHAR(36)',
};
const db2Types: TypeNames = {
  text: 'CLOB(2G)',
  json: 'CLOB(2G)',
  jsonb: 'CLOB(2G)',
  bytea: 'BLOB(2G)',
  float8: 'DOUBLE',
  timestamptz: null,
  timetz: null,
  uuid: 'CHAR(36)',
};
const derbyTypes: TypeNames = { ...db2Types, timestamp: null };
const h2Types: TypeNames = { text: 'VARCHAR', json: 'VARCHAR', jsonb: 'VARCHAR', bytea: 'VARBINARY' };
const hsqldbTypes: TypeNames = { text: 'LONGVARCHAR', json: 'LONGVARCHAR', jsonb: 'LONGVARCHAR', bytea: 'LONGVARBINARY', float4: 'DOUBLE' };
const postgresTypes: TypeNames = { text: 'TEXT', bytea: 'BYTEA', json: 'JSON', jsonb: 'JSONB' };
const sqliteTypes: TypeNames = {
  bool: 'INTEGER',
  int2: 'INTEGER',
  int4: 'INTEGER',
  int8: 'INTEGER',
  float4: 'REAL',
  float8: 'REAL',
  numeric: 'NUMERIC',
  bytea: 'BLOB',
  text: 'TEXT',
  varchar: 'TEXT',
  char: 'TEXT',
  date: null,
  time: null,
  timetz: null,
  timestamp: null,
  timestamptz: null,
  uuid: 'TEXT',
  json: 'TEXT',
  jsonb: 'TEXT',
};

const dialects: Readonly<Record<ProductName, Partial<Omit<Dialect, 'product'>>>> = {
  other: {},
  oracle: {
    fromNothing: ' FROM DUAL',
    now: { timestamp: 'CAST(SYSTIMESTAMP AS TIMESTAMP)', timestamptz: 'SYSTIMESTAMP' },
    ddlType: (type) => ddlType(type, oracleTypes),
  },
  sqlserver: {
    now: { timestamp: 'SYSDATETIME()', timestamptz: 'SYSDATETIMEOFFSET()' },
    // Of a UNION no column is an identity, which would refuse the values that it gets.
    emptyCopy: (copy, columns, of) => `SELECT ${columns} INTO ${copy} FROM ${of} ${noRow} UNION ALL SELECT ${columns} FROM ${of} ${noRow}`,
    exactText: (column) => `CAST(${column} AS VARBINARY(8000))`,
    ddlType: (type) => ddlType(type, sqlServerTypes),
  },
  db2: {
    fromNothing: ' FROM SYSIBM.SYSDUMMY1',
    now: { timestamp: 'CURRENT TIMESTAMP', timestamptz: null },
    emptyCopy: createWithNoData,
    ddlType: (type) => ddlType(type, db2Types),
  },
  derby: {
    fromNothing: ' FROM SYSIBM.SYSDUMMY1',
    now: { timestamp: 'CURRENT_TIMESTAMP', timestamptz: null },
    emptyCopy: (copy, columns, of) => `CREATE TABLE ${copy} AS SELECT ${columns} FROM ${of} WITH NO DATA`,
    ddlType: (type) => ddlType(type, derbyTypes),
  },
  h2: { exactText: (column) => `CAST(${column} AS VARBINARY)`, ddlType: (type) => ddlType(type, h2Types) },
  hsqldb: {
    fromNothing: ' FROM (VALUES(0))',
    // It takes a parameter for a value of the column, and the decimals off that the column does not have.
    moment: (type) => (baseType(type).kind === 'timestamptz' ? 'CAST(? AS TIMESTAMP(6) WITH TIME ZONE)' : 'CAST(? AS TIMESTAMP(6))'),
    emptyCopy: createWithNoData,
    // Its tables are locked as a whole, unless it is told otherwise.
    writers: 1,
    // Its texts are equal to others with more blanks.
    exactText: (column) => `${column} || '|'`,
    ddlType: (type) => ddlType(type, hsqldbTypes),
  },
  mysql: {
    now: { timestamp: "CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@global.time_zone)", timestamptz: 'UTC_TIMESTAMP(6)' },
    upsert: 'on duplicate key',
    // Of a float the server prints six digits.
    whole: (column, type) => (baseType(type).kind === 'float4' ? `${column} + 0e0` : null),
    exactText: (column) => `CAST(${column} AS BINARY)`,
    ddlType: (type) => ddlType(type, mysqlTypes),
  },
  postgres: { upsert: 'on conflict', ddlType: (type) => ddlType(type, postgresTypes) },
  snowflake: { now: { timestamp: 'SYSDATE()', timestamptz: 'CURRENT_TIMESTAMP()' } },
  sqlite: {
    now: { timestamp: null, timestamptz: null },
    upsert: 'on conflict',
    writers: 1,
    exactText: (column) => `CAST(${column} AS BLOB)`,
    ddlType: (type) => ddlType(type, sqliteTypes),
  },
};

export const dialectOf = (product: ProductName): Dialect => ({ ...standard, ...dialects[product], product });

/** Statements that every connection begins with, by its URL: what makes the text of a value the same everywhere. */
export function firstStatements(url: string): string[] {
  return /^jdbc:(?:mysql|mariadb):/i.test(url)
    ? ["SET time_zone = '+00:00'", "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"]
    : [];
}

/** Properties that make a driver quick or exact, where the author has not set them. */
export function defaultProperties(url: string): Record<string, string> {
  if (/^jdbc:postgresql:/i.test(url)) return { reWriteBatchedInserts: 'true', ApplicationName: 'millrace' };
  if (/^jdbc:mysql:/i.test(url)) return { rewriteBatchedStatements: 'true', yearIsDateType: 'false', tinyInt1isBit: 'false' };
  if (/^jdbc:mariadb:/i.test(url)) return { yearIsDateType: 'false', tinyInt1isBit: 'false' };
  if (/^jdbc:sqlserver:/i.test(url)) return { applicationName: 'millrace', useBulkCopyForBatchInsert: 'true' };
  if (/^jdbc:oracle:/i.test(url)) return { 'v$session.program': 'millrace' };
  return {};
}

/** Connector/J reads all rows at once, unless it is told this number. */
export const fetchSizeFor = (product: ProductName, url: string, wanted: number): number =>
  product === 'mysql' && /^jdbc:mysql:/i.test(url) ? -2_147_483_648 : wanted;

const standardNames: TypeNames = {
  bool: 'BOOLEAN',
  int2: 'SMALLINT',
  int4: 'INTEGER',
  int8: 'BIGINT',
  float4: 'REAL',
  float8: 'DOUBLE PRECISION',
  numeric: 'NUMERIC',
  text: 'CLOB',
  varchar: 'VARCHAR',
  char: 'CHAR',
  bytea: 'BLOB',
  date: 'DATE',
  time: 'TIME',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMP WITH TIME ZONE',
  timetz: 'TIME WITH TIME ZONE',
  uuid: 'UUID',
  json: 'CLOB',
  jsonb: 'CLOB',
};

function ddlType(type: ColumnType, names: TypeNames): string | null {
  const base = baseType(type);
  if (base.kind === 'varchar' && base.length === undefined) return ddlType({ kind: 'text' }, names);
  const name = base.kind in names ? names[base.kind] : standardNames[base.kind];
  if (name === undefined || name === null) return null;
  switch (base.kind) {
    case 'numeric':
      return base.precision === undefined ? (name === 'NUMERIC' ? null : name) : `${name}(${base.precision}, ${base.scale ?? 0})`;
    case 'varchar':
    case 'char':
      return name === 'TEXT' ? name : `${name}(${base.length})`;
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz': {
      const [word = '', ...rest] = name.split(' ');
      return [`${word}(${base.precision ?? 6})`, ...rest].join(' ');
    }
    default:
      return name;
  }
}

/** @throws UNSUPPORTED where the database has no such type */
export function ddlTypeOf(dialect: Dialect, column: string, type: ColumnType): string {
  const found = dialect.ddlType(type);
  if (found !== null) return found;
  throw new MillraceError('UNSUPPORTED', {
    message: `"${column}": this database has no type for ${typeName(type)} of which Millrace knows.`,
    remedy: 'Create the table yourself with the column that you want, or cast the column to another type before the load.',
    facts: { column, type: typeName(type) },
  });
}
