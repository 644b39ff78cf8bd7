import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, typeName } from '@millrace/core/runtime';
import type { CatalogColumn } from './catalog.ts';
import { castTo, type Expression } from './expression.ts';
import { quoteIdentifier } from './identifier.ts';

/** What is read, as its messages call it. */
export interface ReadFrom {
  /** `public.orders` */
  readonly object: string;
  /** Of a view or a query the catalog does not know which columns may be NULL. */
  readonly knowsNulls: boolean;
}

/**
 * The declared columns as expressions over those of the source: each as it is, or in the wider type that is declared. Columns that
 * are not declared are not read.
 *
 * @throws SCHEMA_DRIFT with every column that is missing, that might not fit, or that may be NULL against its declaration
 */
export function declaredColumns(declared: readonly ColumnSchema[], actual: readonly CatalogColumn[], from: ReadFrom): Expression[] {
  const found = new Map(actual.map((column) => [column.name, column]));
  const problems = declared.flatMap((column) => problemOf(column, found.get(column.name), from));
  if (problems.length > 0) throw drift(from.object, problems);
  return declared.map((column) => {
    const source = found.get(column.name)!;
    return castTo({ name: column.name, type: source.type, nullable: column.nullable, sql: quoteIdentifier(column.name) }, column.type);
  });
}

interface Problem {
  readonly column: string;
  readonly message: string;
}

function problemOf(declared: ColumnSchema, actual: CatalogColumn | undefined, { knowsNulls }: ReadFrom): Problem[] {
  const { name } = declared;
  if (!actual) return [{ column: name, message: `"${name}" (${typeName(declared.type)}) is not there` }];
  const problems: Problem[] = [];
  if (!readable(actual.type, declared.type)) {
    problems.push({
      column: name,
      message: `"${name}" is ${describe(actual.type, actual.sqlType)} and declared as ${describe(declared.type, typeName(declared.type))}`,
    });
  }
  if (knowsNulls && !declared.nullable && !actual.notNull)
    problems.push({ column: name, message: `"${name}" may be NULL and is declared without orNull()` });
  return problems;
}

/** Whether every value of the actual type is one of the declared type. */
export function readable(actual: ColumnType, declared: ColumnType): boolean {
  const a = baseType(actual);
  const b = baseType(declared);
  if ((a.kind === 'other' && b.kind === 'other') || (a.kind === 'range' && b.kind === 'range')) return bare(a.name) === bare(b.name);
  return fidelity(a, b) !== 'lossy';
}

/** Whether a schema stands before a name depends on the search path of whoever wrote it down. */
const bare = (name: string): string => name.replace(/^(?:"(?:[^"]|"")*"|[^".(]*)\.(?=[^.])/, '').replaceAll('"', '');

function describe(type: ColumnType, printed: string): string {
  const base = baseType(type);
  return base.kind === 'enum' ? `${printed} (${base.labels.join(', ')})` : printed;
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
