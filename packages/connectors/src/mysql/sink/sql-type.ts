import { baseType, type ColumnType, MillraceError, typeName } from '@millrace/core/runtime';

/** What MySQL has for a type of Millrace: the column that holds all its values, and how exactly; or why there is none. */
export type SqlType =
  | {
      readonly sql: string;
      /** `text`: the value is kept as the text that Postgres prints. `range`: what MySQL's type cannot hold is refused when it comes. */
      readonly kept: 'exact' | 'text' | 'range';
    }
  | { readonly refused: string; readonly remedy: string };

const exact = (sql: string): SqlType => ({ sql, kept: 'exact' });
const asText = (sql: string): SqlType => ({ sql, kept: 'text' });
const inRange = (sql: string): SqlType => ({ sql, kept: 'range' });

/** In characters: 65,535 bytes of a row, four to a character, and room for others. */
const longestVarchar = 8_000;
const mostDigits = 65;
const mostDecimals = 30;

/** `docs/connectors/mysql.md` shows this table: a test holds the two together. */
export function sqlType(type: ColumnType): SqlType {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return exact('tinyint(1)');
    case 'int2':
      return exact('smallint');
    case 'int4':
      return exact('int');
    case 'int8':
      return exact('bigint');
    case 'float4':
      return inRange('float');
    case 'float8':
      return inRange('double');
    case 'numeric':
      return numericType(base);
    case 'text':
    case 'other':
    case 'array':
    case 'range':
      return base.kind === 'text' ? exact('longtext') : asText('longtext');
    case 'varchar':
      return exact(base.length !== undefined && base.length <= longestVarchar ? `varchar(${base.length})` : 'longtext');
    case 'char':
      return exact(base.length <= 255 ? `char(${base.length})` : `varchar(${base.length})`);
    case 'bytea':
      return exact('longblob');
    case 'date':
      return inRange('date');
    case 'time':
      return exact(`time(${base.precision ?? 6})`);
    case 'timestamp':
      return inRange(`datetime(${base.precision ?? 6})`);
    case 'timestamptz':
      return inRange(`timestamp(${base.precision ?? 6})`);
    case 'timetz':
      return asText('varchar(32)');
    case 'interval':
      return asText('varchar(64)');
    case 'uuid':
      return exact('char(36)');
    case 'json':
    case 'jsonb':
      return inRange('json');
    case 'inet':
    case 'cidr':
      return asText('varchar(49)');
    case 'macaddr':
    case 'macaddr8':
      return asText('varchar(23)');
    case 'bit':
      return base.length <= 64
        ? exact(`bit(${base.length})`)
        : asText(base.length <= longestVarchar ? `varchar(${base.length})` : 'longtext');
    case 'varbit':
      return asText(base.length !== undefined && base.length <= longestVarchar ? `varchar(${base.length})` : 'longtext');
    case 'enum':
      return exact(`enum(${base.labels.map(quotedText).join(', ')})`);
    default:
      return base satisfies never;
  }
}

/** Text as DDL takes it where it takes no other literals. A session that makes tables knows no backslashes: see `server.ts`. */
export const quotedText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function numericType(type: Extract<ColumnType, { kind: 'numeric' }>): SqlType {
  const { precision, scale = 0 } = type;
  if (precision === undefined) {
    return {
      refused: 'numeric without a precision has any number of digits, and decimal of MySQL 65',
      remedy: 'Declare the target column as numeric(p, s), or as text().',
    };
  }
  // numeric(3,5) holds 0.00123, numeric(3,-2) holds 12300: both have more digits when they are written out.
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  if (digits > mostDigits || scale > mostDecimals) {
    return {
      refused: `${typeName(type)} is wider than decimal(${mostDigits},${mostDecimals}), the widest of MySQL`,
      remedy: 'Declare the target column with fewer digits, or as text().',
    };
  }
  return exact(`decimal(${digits},${Math.max(scale, 0)})`);
}

/** Text that is compared by code point, blanks at the end included, whatever the server's default is. */
export const binaryCollation = { mysql: 'utf8mb4_0900_bin', mariadb: 'utf8mb4_nopad_bin' } as const;

/** A column as CREATE TABLE has it. An old server gives a timestamp without NULL a value of its own at each update, unless it has a default. */
export function columnSql(name: string, type: ColumnType, nullable: boolean, found: SqlType = sqlType(type)): string {
  if ('refused' in found) throw new MillraceError('UNSUPPORTED', { message: `${name}: ${found.refused}.`, remedy: found.remedy });
  const stamped = !nullable && found.sql.startsWith('timestamp') ? ` DEFAULT '1970-01-01 00:00:01'` : '';
  return `${name} ${found.sql} ${nullable ? 'NULL' : 'NOT NULL'}${stamped}`;
}
