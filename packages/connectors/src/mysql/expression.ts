import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, typeName } from '@millrace/core/runtime';
import type { CatalogColumn } from './catalog.ts';
import { type Form, labelsOf } from './column-type.ts';
import { quoteIdentifier } from './identifier.ts';
import { sqlType } from './sink/sql-type.ts';

/** A column of a SELECT: what it is called, the SQL that makes it, and how its values come. */
export interface Expression extends ColumnSchema {
  readonly sql: string;
  readonly form: WireForm;
  /** The type that the form prints, where it is not the declared one: `interval` of a `time` that is declared `text()`. */
  readonly from: ColumnType;
  /** The column itself where `sql` makes something of it, for comparisons that an index can answer. */
  readonly bare?: string;
}

/** `flag` is `t` or `f`, `clock` a `duration` that must be a time of day, `uuid` text that must be one. */
export type WireForm = Form | 'flag' | 'clock' | 'uuid';

/** What is read, as its messages call it. */
export interface ReadFrom {
  /** `shop.orders` */
  readonly object: string;
  /** Of a view or a query the catalog does not know which columns may be NULL. */
  readonly knowsNulls: boolean;
  /** Millrace has written it. */
  readonly own?: boolean;
}

/**
 * The declared columns as expressions over those of the source: each as it is, or in the wider type that is declared. Columns that
 * are not declared are not read.
 *
 * @throws SCHEMA_DRIFT with every column that is missing, that might not fit, or that may be NULL against its declaration
 */
export function declaredColumns(declared: readonly ColumnSchema[], actual: readonly CatalogColumn[], from: ReadFrom): Expression[] {
  const found = new Map(actual.map((column) => [column.name, column]));
  const problems: Problem[] = [];
  const expressions = declared.flatMap((column): Expression[] => {
    const source = found.get(column.name);
    if (!source) {
      problems.push({ column: column.name, message: `"${column.name}" (${typeName(column.type)}) is not there` });
      return [];
    }
    const read = readAs(source, column.type) ?? (from.own ? keptAsText(source, column.type) : null);
    if (!read) {
      problems.push({
        column: column.name,
        message: `"${column.name}" is ${source.sqlType}, which is read as ${typeName(source.type)}, and declared as ${typeName(column.type)}`,
      });
      return [];
    }
    if (from.knowsNulls && !column.nullable && !source.notNull)
      problems.push({ column: column.name, message: `"${column.name}" may be NULL and is declared without orNull()` });
    return [{ name: column.name, type: column.type, nullable: column.nullable, ...read }];
  });
  if (problems.length > 0) throw drift(from.object, problems);
  return expressions;
}

type Read = Pick<Expression, 'sql' | 'form' | 'from' | 'bare'>;

/** How a column is selected so that it is of the declared type; null where not every value would fit. */
export function readAs(source: CatalogColumn, declared: ColumnType): Read | null {
  const column = quoteIdentifier(source.name);
  const to = baseType(declared);
  return (
    asAnother(source, column, to) ?? (fidelity(source.type, to) === 'lossy' ? null : { ...natural(source, column, to), from: source.type })
  );
}

/** What `sqlType` keeps as the text that Postgres prints. */
function keptAsText({ name, sqlType: real, charset }: CatalogColumn, declared: ColumnType): Read | null {
  const made = sqlType(declared);
  const isSo = charset !== null && 'sql' in made && (made.sql === real || made.kept === 'text');
  return isSo ? { sql: quoteIdentifier(name), form: 'text', from: declared } : null;
}

/** What MySQL has no type of its own for, and keeps in another. Each value is looked at. */
function asAnother({ dataType, type, sqlType }: CatalogColumn, column: string, to: ColumnType): Read | null {
  const from = to;
  switch (to.kind) {
    case 'bool':
      if (dataType === 'tinyint') return { sql: `CASE ${column} WHEN 0 THEN 'f' WHEN 1 THEN 't' ELSE ${column} END`, form: 'flag', from };
      if (type.kind === 'bit' && type.length === 1)
        return { sql: `CASE ${column} + 0 WHEN 0 THEN 'f' WHEN 1 THEN 't' END`, form: 'flag', from };
      return null;
    case 'time':
      return dataType === 'time' ? { sql: column, form: 'clock', from } : null;
    case 'char':
      return dataType === 'char' && type.kind === 'varchar' && (type.length ?? 0) <= to.length
        ? { sql: `RPAD(${column}, ${to.length}, ' ')`, form: 'text', from }
        : null;
    case 'enum':
      return dataType === 'enum' && labelsOf(sqlType).every((label) => to.labels.includes(label))
        ? { sql: column, form: 'text', from }
        : null;
    case 'jsonb':
      return type.kind === 'json' ? { sql: column, form: 'text', from } : null;
    case 'uuid':
      if (sqlType === 'binary(16)') return { sql: hyphened(column), form: 'text', from };
      return type.kind === 'varchar' && type.length === 36 ? { sql: `LOWER(${column})`, form: 'uuid', from } : null;
    default:
      return null;
  }
}

/** 32 digits as 8-4-4-4-12: hyphens before the digits 21, 17, 13 and 9, from behind. */
const hyphened = (column: string): string =>
  [21, 17, 13, 9].reduce((sql, place) => `INSERT(${sql}, ${place}, 0, '-')`, `LOWER(HEX(${column}))`);

function natural(
  { dataType, sqlType, type, form }: CatalogColumn,
  column: string,
  to: ColumnType,
): { sql: string; form: Form; bare?: string } {
  switch (form) {
    case 'float':
      // A float alone is printed with six digits; as a double it has all that it needs.
      return { sql: dataType === 'float' ? `${column} + 0e0` : column, form };
    case 'instant':
      return { sql: `CONCAT(${column}, '+00')`, form, bare: column };
    case 'text':
      if (type.kind === 'bit') return { sql: `LPAD(BIN(${column}), ${type.length}, '0')`, form };
      if (dataType === 'year') return { sql: `${column} + 0`, form };
      if (to.kind === 'numeric' && rescaled(type, to))
        return { sql: `CAST(${column} AS DECIMAL(${to.precision}, ${to.scale ?? 0}))`, form };
      if (/\bzerofill\b/.test(sqlType))
        return { sql: type.kind === 'numeric' ? `CAST(${column} AS ${decimalOf(type)})` : `CAST(${column} AS UNSIGNED)`, form };
      return { sql: column, form };
    default:
      return { sql: column, form };
  }
}

/** `5` is `5.00` once two decimals are declared. MySQL has room for 65 digits, 30 of them after the point. */
const rescaled = (from: ColumnType, to: Extract<ColumnType, { kind: 'numeric' }>): boolean =>
  to.precision !== undefined &&
  to.precision <= 65 &&
  (to.scale ?? 0) <= 30 &&
  (from.kind === 'numeric' ? (from.scale ?? 0) : 0) !== (to.scale ?? 0);

const decimalOf = ({ precision = 65, scale = 0 }: Extract<ColumnType, { kind: 'numeric' }>): string => `DECIMAL(${precision}, ${scale})`;

interface Problem {
  readonly column: string;
  readonly message: string;
}

function drift(object: string, problems: readonly Problem[]): MillraceError {
  const shown = problems.slice(0, 20).map(({ message }) => `  ${message}`);
  const more = problems.length > shown.length ? [`  and ${problems.length - shown.length} more`] : [];
  return new MillraceError('SCHEMA_DRIFT', {
    message: [`${object} is not as it is declared:`, ...shown, ...more].join('\n'),
    remedy: 'Correct the table() declaration; "millrace introspect" writes it anew from the database.',
    facts: { object, columns: [...new Set(problems.map(({ column }) => column))] },
  });
}
