import { type ColumnSchema, type ColumnType, fidelity, MillraceError, sameType, type Table, typeName } from '@millrace/core/runtime';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { sqlType } from './sql-type.ts';
import type { RealColumn, RealTable } from './table-columns.ts';

/** One way in which the table is not as declared, and the statement that would widen it, where one loses nothing. */
export interface Difference {
  readonly column: string;
  readonly message: string;
  /** Parts of one ALTER TABLE. */
  readonly alter: readonly string[];
  /** Statements of their own: an enum gains labels before they can be used. */
  readonly before: readonly string[];
  readonly curable: boolean;
}

/**
 * What stands between the declaration and the table. A column of the table that the declaration lacks counts only where no row
 * could be inserted without it; a column that may be NULL there and not here takes all rows, so it does not count.
 */
export function differences(declared: readonly ColumnSchema[], real: RealTable, extra: readonly string[] = []): Difference[] {
  const columns = new Map(real.columns.map((column) => [column.name, column]));
  const known = new Set([...declared.map(({ name }) => name), ...extra]);
  return [
    ...declared.flatMap((column) => {
      const found = columns.get(column.name);
      return found ? between(column, found) : [missing(column)];
    }),
    ...real.columns
      .filter((column) => !known.has(column.name) && column.notNull && !column.hasDefault && !column.generated && !column.identity)
      .map((column) => incurable(column.name, `"${column.name}" must not be NULL in the table, and rows do not bring it`)),
  ];
}

function missing({ name, type, nullable }: ColumnSchema): Difference {
  const message = `"${name}" (${typeName(type)}) is not in the table`;
  if (!nullable)
    return incurable(name, `${message}; rows that are there would need a value for it, so add it by hand or declare it orNull()`);
  return { column: name, message, alter: [`ADD COLUMN ${quoteIdentifier(name)} ${sqlType(type)}`], before: [], curable: true };
}

function between(declared: ColumnSchema, real: RealColumn): Difference[] {
  const found: Difference[] = [];
  const name = quoteIdentifier(declared.name);
  if (!sameColumnType(declared.type, real.type)) {
    const message = `"${declared.name}" is ${real.sqlType} in the table and ${typeName(declared.type)} in the declaration`;
    const labels = addedLabels(real.type, declared.type);
    if (real.generated || fidelity(declared.type, real.type) === 'exact') {
      // Computed there, or a domain over the same type: whatever comes is checked by the database.
    } else if (labels) {
      found.push({ column: declared.name, message, alter: [], before: labels, curable: true });
    } else if (fidelity(real.type, declared.type) === 'widening') {
      const to = sqlType(declared.type);
      found.push({
        column: declared.name,
        message,
        alter: [`ALTER COLUMN ${name} TYPE ${to} USING ${name}::${to}`],
        before: [],
        curable: true,
      });
    } else {
      found.push({ ...incurable(declared.name, message), curable: fidelity(declared.type, real.type) === 'widening' });
    }
  }
  if (declared.nullable && real.notNull && !real.generated) {
    const message = `"${declared.name}" must not be NULL in the table and may be in the declaration`;
    found.push({ column: declared.name, message, alter: [`ALTER COLUMN ${name} DROP NOT NULL`], before: [], curable: true });
  }
  return found;
}

const incurable = (column: string, message: string): Difference => ({ column, message, alter: [], before: [], curable: false });

/** `timestamp(6)` is `timestamp`, and `varchar` without a length takes what `text` takes. */
function sameColumnType(a: ColumnType, b: ColumnType): boolean {
  if (sameType(a, b)) return true;
  if (a.kind === 'enum' && b.kind === 'enum')
    return a.labels.length === b.labels.length && fidelity(a, b) === 'widening' && fidelity(b, a) === 'widening';
  if (isClock(a) && isClock(b)) return a.kind === b.kind && (a.precision ?? 6) === (b.precision ?? 6);
  if (a.kind === 'other' && b.kind === 'other') return a.name.replaceAll('"', '') === b.name.replaceAll('"', '');
  return false;
}

type Clock = Extract<ColumnType, { kind: 'time' | 'timetz' | 'timestamp' | 'timestamptz' }>;
const isClock = (type: ColumnType): type is Clock => ['time', 'timetz', 'timestamp', 'timestamptz'].includes(type.kind);

/** ALTER TYPE … ADD VALUE for each label that the table's enum lacks, where the order of those it has is kept. */
export function addedLabels(real: ColumnType, declared: ColumnType): string[] | null {
  if (real.kind !== 'enum' || declared.kind !== 'enum' || fidelity(real, declared) === 'lossy') return null;
  return declared.labels.flatMap((label, at) => {
    if (real.labels.includes(label)) return [];
    const after = declared.labels[at - 1];
    const place =
      after === undefined ? (real.labels[0] === undefined ? '' : ` BEFORE ${literal(real.labels[0])}`) : ` AFTER ${literal(after)}`;
    return [`ALTER TYPE ${quoteName(real.name)} ADD VALUE IF NOT EXISTS ${literal(label)}${place}`];
  });
}

/** One error that names every difference. */
export function driftError(table: Pick<Table, 'name'>, found: readonly Difference[], evolving: boolean): MillraceError {
  const shown = found.slice(0, 20).map(({ message }) => `  ${message}`);
  const more = found.length > shown.length ? [`  and ${found.length - shown.length} more`] : [];
  return new MillraceError('SCHEMA_DRIFT', {
    message: [`The table ${table.name} is not as it is declared:`, ...shown, ...more].join('\n'),
    remedy:
      !evolving && found.every(({ curable }) => curable)
        ? `Load with schema: 'evolve', which makes these changes without losing anything, or correct the table() declaration.`
        : 'Change the table by hand, or correct the table() declaration ("millrace introspect" writes it anew).',
    facts: { columns: found.map(({ column }) => column) },
  });
}
