import { baseType, type ColumnSchema, type ColumnType, fidelity, MillraceError, sameType } from '@millrace/core/runtime';
import { quoteIdentifier } from '../identifier.ts';
import { sqlType } from './sql-type.ts';
import type { RealTable } from './table-columns.ts';

/** How incoming columns reach the columns of the table. */
export interface Landing {
  readonly columns: readonly LandingColumn[];
  /** True where the bytes can go straight into the table: no column needs a cast or is computed by the database. */
  readonly direct: boolean;
}

export interface LandingColumn {
  readonly name: string;
  /** The type of its column in a staging table. */
  readonly sqlType: string;
  /** What an INSERT into the table selects from the staging table, or null for a column that the database computes. */
  readonly value: string | null;
}

/** Pairs incoming columns with those of the table by name. @throws SCHEMA_DRIFT for a column that the table lacks */
export function landingOf(incoming: readonly ColumnSchema[], table: RealTable): Landing {
  const real = new Map(table.columns.map((column) => [column.name, column]));
  let direct = true;
  const columns = incoming.map((column): LandingColumn => {
    const target = real.get(column.name);
    if (!target) {
      throw new MillraceError('SCHEMA_DRIFT', {
        message: `Rows come with a column "${column.name}", which "${table.schema}.${table.name}" does not have.`,
        remedy: `Add the column to the table() declaration and load with schema: 'evolve', or leave it out with select().`,
        facts: { column: column.name },
      });
    }
    const name = quoteIdentifier(column.name);
    const fits = fitsOnTheWire(column.type, target.type);
    direct &&= fits && !target.generated;
    return {
      name: column.name,
      sqlType: fits ? target.sqlType : landingType(column.type),
      value: target.generated ? null : fits ? name : castTo(name, column.type, target.type, target.sqlType),
    };
  });
  return { columns, direct };
}

const characters = new Set(['text', 'varchar', 'char', 'enum', 'json']);
const isText = (type: ColumnType): boolean => type.kind === 'text' || type.kind === 'varchar';

/** True where bytes written for `from`, binary or CSV, read as `to` mean the same value, or are refused. */
export function fitsOnTheWire(from: ColumnType, to: ColumnType): boolean {
  const a = baseType(from);
  const b = baseType(to);
  if (sameType(a, b)) return true;
  if (isText(b) && characters.has(a.kind)) return true;
  if (a.kind !== b.kind) return a.kind === 'bit' && b.kind === 'varbit' && fidelity(a, b) === 'widening';
  // Labels are compared by the database as they come.
  if (a.kind === 'enum') return true;
  if (a.kind === 'array' && b.kind === 'array') return a.of.kind === b.of.kind && fidelity(a, b) !== 'lossy';
  return a.kind !== 'other' && a.kind !== 'range' && a.kind !== 'char' && fidelity(a, b) === 'widening';
}

/** A type that every Postgres has and that reads the incoming bytes; types of the source's own come as text. */
function landingType(type: ColumnType): string {
  const base = baseType(type);
  switch (base.kind) {
    case 'enum':
    case 'other':
    case 'json':
      return 'text';
    case 'array': {
      const of = baseType(base.of);
      return of.kind === 'enum' || of.kind === 'other' ? 'text' : `${sqlType(of)}[]`;
    }
    default:
      return sqlType(base);
  }
}

/**
 * INSERT converts by assignment, which refuses a text that is too long where CAST would cut it. A cast by name stands only where
 * assignment knows no way.
 */
function castTo(name: string, from: ColumnType, to: ColumnType, target: string): string {
  const a = baseType(from);
  const b = baseType(to);
  if (a.kind === 'array' && b.kind === 'array' && baseType(a.of).kind === 'char') return `${name}::text::${target}`;
  if (a.kind === 'enum' || a.kind === 'other') return isText(b) || b.kind === 'char' ? name : `${name}::${target}`;
  return fidelity(a, b) === 'lossy' && !isText(b) && b.kind !== 'char' ? `${name}::${target}` : name;
}
