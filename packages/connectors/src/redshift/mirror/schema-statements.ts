import {
  type ColumnChange,
  type ColumnSchema,
  fidelity,
  MillraceError,
  type SchemaChange,
  type SchemaPolicy,
  sameType,
  typeName,
} from '@millrace/core/runtime';
import { literal } from '../../postgres/literal.ts';
import { quote } from '../name.ts';

/** What is different in Redshift and in the Postgres that stands for it. */
export interface ColumnDialect {
  /** The type of a column that is added. */
  type(column: ColumnSchema): string;
  /** A text as a value of the column. */
  value(column: ColumnSchema, text: string): string;
  /** Makes the column one of another type, its values kept. */
  retype(table: string, column: string, to: ColumnSchema): readonly string[];
}

/** What a column is called in the end; null where it is dropped. */
export type Names = (column: string) => string | null;

/** The columns of a table now, with their types. */
export type Columns = ReadonlyMap<string, string>;

/** The statements that a change of columns which is still to be done (see `standing`) needs in the table as it is now. `table` is quoted, with its schema. */
export function schemaStatements(
  change: ColumnChange,
  table: string,
  there: Columns,
  policy: SchemaPolicy,
  dialect: ColumnDialect,
): readonly string[] {
  switch (change.change) {
    case 'add': {
      const { column } = change;
      if (policy.add === 'ignore' || there.has(column.name)) return [];
      const added = `ALTER TABLE ${table} ADD COLUMN ${quote(column.name)} ${dialect.type(column)}`;
      return [added, ...fill(change, table, column.name, dialect)];
    }
    case 'drop':
      return there.has(change.name) && policy.drop === 'apply' ? [`ALTER TABLE ${table} DROP COLUMN ${quote(change.name)}`] : [];
    case 'rename':
      return [`ALTER TABLE ${table} RENAME COLUMN ${quote(change.from)} TO ${quote(change.to)}`];
    case 'retype': {
      const now = there.get(change.name);
      if (now === undefined || now === dialect.type(change.to)) return [];
      return dialect.retype(table, change.name, change.to);
    }
    default:
      return change satisfies never;
  }
}

/**
 * The same for a table that has been changed at its place in the stream already, and whose rows come to it from before: they only lack what
 * a new column was filled with. `later`: what the changes after this one make of its name.
 */
export function fillStatements(
  change: ColumnChange,
  table: string,
  there: Columns,
  later: Names,
  policy: SchemaPolicy,
  dialect: ColumnDialect,
): readonly string[] {
  if (change.change !== 'add' || policy.add === 'ignore') return [];
  const name = later(change.column.name);
  return name !== null && there.has(name) ? fill(change, table, name, dialect) : [];
}

const fill = ({ column, fill: value }: AddedColumn, table: string, name: string, dialect: ColumnDialect): readonly string[] =>
  value === null ? [] : [`UPDATE ${table} SET ${quote(name)} = ${dialect.value(column, literal(value))}`];

type AddedColumn = Extract<ColumnChange, { change: 'add' }>;

/** Looks at a change before anything of it is written. @throws SCHEMA_CHANGED for what the policy does not let through */
export function assertAllowed({ table, changes, schema }: SchemaChange, policy: SchemaPolicy, key: readonly string[]): void {
  for (const change of changes) {
    const refuse = (what: string, remedy: string) => {
      throw new MillraceError('SCHEMA_CHANGED', {
        message: `The table "${table}" ${what} at the source; nothing has been changed here.`,
        remedy,
        facts: { table, change },
      });
    };
    const orElse = (kind: keyof SchemaPolicy, values: string) => `Set schemaChanges.${kind} of the capture to ${values}, and start again.`;
    const again = `Copy the table again: millrace resync <pipeline> --table ${table}`;
    switch (change.change) {
      case 'add':
        if (policy.add === 'pause') refuse(`has a new column "${change.column.name}"`, orElse('add', '"apply" or "ignore"'));
        if (policy.add === 'apply' && change.computed)
          refuse(`has a new column "${change.column.name}", in which every row has got a value that the stream does not bring,`, again);
        break;
      case 'drop':
        if (key.includes(change.name)) refuse(`no longer has "${change.name}", a part of its key`, again);
        if (policy.drop === 'pause')
          refuse(
            `no longer has the column "${change.name}"`,
            orElse('drop', '"apply" (the column goes here too) or "ignore" (it stays, NULL from here on)'),
          );
        break;
      case 'rename':
        if (policy.rename === 'pause') refuse(`calls its column "${change.from}" now "${change.to}"`, orElse('rename', '"apply"'));
        break;
      case 'retype': {
        const { name, from, to } = change;
        if (sameType(from.type, to.type)) break;
        const what = `has changed "${name}" from ${typeName(from.type)} to ${typeName(to.type)}`;
        if (policy.retype === 'resync') refuse(what, again);
        if (policy.retype === 'pause' || (policy.retype === 'widen' && fidelity(from.type, to.type) === 'lossy'))
          refuse(what, orElse('retype', '"apply"'));
        break;
      }
      default:
        change satisfies never;
    }
  }
  if ((schema.key ?? []).length !== key.length) {
    throw new MillraceError('SCHEMA_CHANGED', {
      message: `The table "${table}" has another key at the source now.`,
      remedy: `Bring the table() declaration up to date and copy the table again: millrace resync <pipeline> --table ${table}`,
      facts: { table },
    });
  }
}
