import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, typeName } from '@millrace/core/runtime';
import { sameName } from './identifier.ts';
import type { ProductName } from './product.ts';
import type { Kind, ReadColumn } from './protocol.ts';
import type { AnswerColumn } from './session.ts';
import { readType, type SourceType, sourceType } from './types.ts';

/** A declared column, and the column of the source that it is read from. */
export interface SourceColumn extends ColumnSchema {
  readonly source: AnswerColumn;
  /** What the source's column is here. */
  readonly actual: SourceType;
}

/** What is read, as its messages call it. */
export interface ReadFrom {
  readonly object: string;
  /** Of a view or a query few drivers know which columns may be NULL. */
  readonly knowsNulls: boolean;
}

/**
 * Pairs declared columns with those of the source by name, upper and lower case being the same where only one fits. Columns that are not
 * declared are not read.
 *
 * @throws SCHEMA_DRIFT with every column that is missing, that might not fit, or that may be NULL against its declaration
 */
export function declaredColumns(
  declared: readonly ColumnSchema[],
  actual: readonly AnswerColumn[],
  product: ProductName,
  from: ReadFrom,
): SourceColumn[] {
  const problems: { readonly column: string; readonly message: string }[] = [];
  const found = declared.flatMap((column): SourceColumn[] => {
    const source = sameName(actual, column.name);
    if (!source) {
      problems.push({ column: column.name, message: `"${column.name}" (${typeName(column.type)}) is not there` });
      return [];
    }
    const is = readType(product, source);
    if (fidelity(is.type, column.type) === 'lossy' && !isPadded(product, source, column.type)) {
      problems.push({
        column: column.name,
        message: `"${column.name}" is ${shown(source)}, which is ${typeName(is.type)} here, and declared as ${typeName(column.type)}`,
      });
    }
    if (from.knowsNulls && !column.nullable && source.nullable === 'yes')
      problems.push({ column: column.name, message: `"${column.name}" may be NULL and is declared without orNull()` });
    return [{ ...column, source, actual: is }];
  });
  if (problems.length === 0) return found;
  const lines = problems.slice(0, 20).map(({ message }) => `  ${message}`);
  const more = problems.length > lines.length ? [`  and ${problems.length - lines.length} more`] : [];
  throw new MillraceError('SCHEMA_DRIFT', {
    message: [`${from.object} is not as it is declared:`, ...lines, ...more].join('\n'),
    remedy:
      'Correct the table() declaration ("millrace introspect" writes it anew), cast() the column after the extract, or cast it in a query of your own: query("SELECT CAST(…) …", { as }).',
    facts: { object: from.object, columns: [...new Set(problems.map(({ column }) => column))] },
  });
}

/** A char of MySQL as one: its blanks are put back. */
function isPadded(product: ProductName, source: AnswerColumn, declared: ColumnType): boolean {
  const [from, to] = [baseType(sourceType(product, source).type), baseType(declared)];
  return product === 'mysql' && from.kind === 'char' && to.kind === 'char' && to.length >= from.length;
}

const shown = ({ typeName: name, precision, scale }: AnswerColumn): string =>
  name.includes('(') || precision <= 0 ? name : scale > 0 ? `${name}(${precision},${scale})` : `${name}(${precision})`;

/** How its values are asked for, so that they come as what is declared. */
export function readColumn({ name, type, actual }: Pick<SourceColumn, 'name' | 'type' | 'actual'>): ReadColumn {
  const kind = kindFor(actual, type);
  return { name, kind, digits: digitsFor(kind, actual.type, type) };
}

const textual = (type: ColumnType): boolean => ['text', 'varchar', 'char'].includes(baseType(type).kind);

function kindFor({ type, kind }: SourceType, declared: ColumnType): Kind {
  const to = baseType(declared).kind;
  if (kind === 'bytes' && textual(declared)) return 'hex';
  if (kind === 'whole' || kind === 'real') return kind;
  switch (to) {
    case 'int2':
    case 'int4':
      return 'int';
    case 'int8':
      return 'long';
    case 'numeric':
      return 'decimal';
    case 'float4':
    case 'float8':
      return baseType(type).kind === 'float4' ? 'float' : 'double';
    default:
      return kind;
  }
}

function digitsFor(kind: Kind, actual: ColumnType, declared: ColumnType): number {
  const [from, to] = [baseType(actual), baseType(declared)];
  switch (kind) {
    case 'decimal': {
      const scaled = to.kind === 'numeric' && to.precision !== undefined ? to : from;
      return scaled.kind === 'numeric' && scaled.precision !== undefined ? (scaled.scale ?? 0) : scaled.kind === 'numeric' ? -1 : 0;
    }
    case 'text':
      return from.kind === 'char' ? from.length : to.kind === 'char' ? to.length : 0;
    case 'time':
    case 'timetz':
    case 'stamp':
    case 'stamptz':
    case 'printedStamp':
    case 'printedStamptz':
    case 'printedTime':
      return textual(declared) ? 9 : (('precision' in to ? to.precision : undefined) ?? 6);
    default:
      return 0;
  }
}

/**
 * The type in which values of `readColumn` come: numbers of a fixed width in that of the source where the declaration wants text, all others
 * in the declared one.
 */
export const comesAs = ({ type, actual }: Pick<SourceColumn, 'type' | 'actual'>): ColumnType =>
  textual(type) && baseType(actual.type).kind !== 'bytea' ? actual.type : type;
