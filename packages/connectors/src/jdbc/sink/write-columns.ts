import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, type Table, typeName } from '@millrace/core/runtime';
import { sameName } from '../identifier.ts';
import type { ProductName } from '../product.ts';
import type { Kind, WriteColumn } from '../protocol.ts';
import type { AnswerColumn, FoundTable } from '../session.ts';
import { type SourceType, sourceType } from '../types.ts';

/** A column of the rows, and the column of the table that it goes to. */
export interface LandingColumn {
  /** As the table has it. */
  readonly target: AnswerColumn;
  /** What its values are on the way: numbers, or bytes of text where the database makes a value of them. */
  readonly wire: ColumnSchema;
  readonly write: WriteColumn;
  /** In the INSERT. */
  readonly placeholder: string;
}

/**
 * Pairs incoming columns with those of the table by name, upper and lower case being the same where only one fits.
 *
 * @throws SCHEMA_DRIFT with every column that is missing, or that might not take what is declared
 */
export function landingColumns(
  incoming: readonly ColumnSchema[],
  declared: Table,
  found: FoundTable,
  product: ProductName,
): LandingColumn[] {
  const problems = declared.columns.flatMap((column) => problemOf(column, found, product));
  if (problems.length > 0) throw drift(declared.name, problems);
  return incoming.map((column) => {
    const target = sameName(found.columns, column.name);
    if (!target)
      throw drift(declared.name, [{ column: column.name, message: `"${column.name}" (${typeName(column.type)}) is not in the table` }]);
    return landing(column, target, sourceType(product, target), product);
  });
}

interface Problem {
  readonly column: string;
  readonly message: string;
}

function problemOf({ name, type, nullable }: ColumnSchema, found: FoundTable, product: ProductName): Problem[] {
  const target = sameName(found.columns, name);
  if (!target) return [{ column: name, message: `"${name}" (${typeName(type)}) is not in the table` }];
  const problems: Problem[] = [];
  const is = sourceType(product, target);
  if (!takes(product, type, is.type)) {
    problems.push({
      column: name,
      message: `"${name}" is ${target.typeName} in the table, which takes ${typeName(is.type)}, and ${typeName(type)} in the declaration`,
    });
  }
  if (nullable && target.nullable === 'no' && !target.autoIncrement)
    problems.push({ column: name, message: `"${name}" must not be NULL in the table and may be in the declaration` });
  return problems;
}

/** Types that a database has under another name, made by `create`: each value is kept. */
function takes(product: ProductName, from: ColumnType, to: ColumnType): boolean {
  const [a, b] = [baseType(from), baseType(to)];
  if (fidelity(a, b) !== 'lossy') return true;
  if (a.kind === 'uuid' && b.kind === 'char' && b.length === 36) return true;
  if (a.kind === 'bool' && b.kind === 'int2') return product === 'oracle';
  if (product === 'sqlite') return b.kind === 'int8' && ['bool', 'int2', 'int4', 'int8'].includes(a.kind);
  if (['json', 'jsonb'].includes(a.kind) && ['json', 'jsonb'].includes(b.kind)) return true;
  // Of these the length counts bytes or is a bound that the server checks.
  return a.kind === 'char' && b.kind === 'char' && a.length <= b.length;
}

function landing(column: ColumnSchema, target: AnswerColumn, { type }: SourceType, product: ProductName): LandingColumn {
  const { kind, wire } = wireOf(column.type, type, product);
  const placeholder = product === 'h2' && baseType(type).kind === 'json' ? '? FORMAT JSON' : '?';
  return {
    target,
    wire: { name: column.name, type: wire, nullable: column.nullable },
    write: { name: column.name, kind, sqlType: target.sqlType },
    placeholder,
  };
}

const textual = ['text', 'varchar', 'char'];
const text: ColumnType = { kind: 'text' };

function wireOf(from: ColumnType, to: ColumnType, product: ProductName): { readonly kind: Kind; readonly wire: ColumnType } {
  const [a, b] = [baseType(from), baseType(to)];
  const asText = (kind: Kind) => ({ kind, wire: text });
  if (textual.includes(b.kind)) return asText('text');
  // Its driver knows no infinity, no 24:00:00 and no NaN; the server itself reads them from text.
  if (product === 'postgres' && ['numeric', 'date', 'time', 'timetz', 'timestamp', 'timestamptz'].includes(a.kind)) return asText('other');
  switch (a.kind) {
    case 'int2':
    case 'int4':
      return { kind: 'int', wire: a };
    case 'int8':
      return { kind: 'long', wire: a };
    case 'float4':
      // Of the digits that tell a float from the next one, MariaDB takes those of the greatest for more than it.
      return { kind: b.kind === 'float4' && product !== 'mysql' ? 'float' : 'double', wire: a };
    case 'float8':
      return { kind: 'double', wire: a };
    case 'bytea':
      return { kind: 'bytes', wire: a };
    case 'bool':
      return asText('bool');
    case 'numeric':
      return asText('decimal');
    case 'date':
      // Its driver counts days before 1582 by the calendar of then; the server itself does not.
      return asText(product === 'hsqldb' ? 'text' : 'date');
    case 'time':
      return asText('time');
    case 'timetz':
      return asText('timetz');
    case 'timestamp':
      return asText(product === 'hsqldb' ? 'text' : 'stamp');
    case 'timestamptz':
      return asText('stamptz');
    case 'uuid':
      return asText(product === 'h2' || product === 'hsqldb' || product === 'postgres' ? 'uuid' : 'text');
    default:
      return asText(product === 'postgres' ? 'other' : 'text');
  }
}

function drift(name: string, problems: readonly Problem[]): MillraceError {
  const shown = problems.slice(0, 20).map(({ message }) => `  ${message}`);
  const more = problems.length > shown.length ? [`  and ${problems.length - shown.length} more`] : [];
  return new MillraceError('SCHEMA_DRIFT', {
    message: [`The table ${name} is not as it is declared:`, ...shown, ...more].join('\n'),
    remedy:
      'Change the table by hand, correct the table() declaration ("millrace introspect" writes it anew), or cast() the column before the load.',
    facts: { columns: problems.map(({ column }) => column) },
  });
}
