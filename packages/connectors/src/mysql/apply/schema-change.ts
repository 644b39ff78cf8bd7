import {
  baseType,
  type ColumnChange,
  type ColumnSchema,
  type ColumnType,
  fidelity,
  MillraceError,
  type SchemaChange,
  type SchemaPolicy,
  sameType,
  typeName,
} from '@millrace/core/runtime';
import { type ColumnsThere, standing } from '../../changes/standing.ts';
import type { CatalogColumn } from '../catalog.ts';
import { quoteIdentifier } from '../identifier.ts';
import { bytesLiteral } from '../literal.ts';
import { fieldOf } from '../sink/field.ts';
import { keyTypes } from '../sink/key-type.ts';
import { definitionOf } from '../sink/landing.ts';
import { holds } from '../sink/prepare-table.ts';
import { columnSql, quotedText, sqlType } from '../sink/sql-type.ts';
import type { Writing } from './group-writer.ts';
import type { NetChange } from './net-changes.ts';
import { readAgain, type TargetTable } from './target-table.ts';

type NetSchemaChange = Pick<SchemaChange, 'schema' | 'retold'> & { readonly changes: readonly NetChange[] };

/**
 * Statements that make the table what it has become at the source, as far as the pipeline's policy goes; each is to be run before the next
 * is asked for. What is so already needs none, so that a change which was broken off in the middle is gone on with.
 *
 * @throws SCHEMA_CHANGED for what the policy does not let through
 */
export async function* alterations(writing: Writing, target: TargetTable, told: NetSchemaChange): AsyncGenerator<string> {
  const { schema, changes } = told;
  // DDL cannot be taken back: what is not let through is said before anything is done.
  changes.reduce((now, _, at) => {
    for (const change of ofTarget(writing, now, told, at)) {
      statements(writing, now, schema.key, change);
      now = columnsAfter(now, change, writing.stream.policy);
    }
    return now;
  }, target);
  if ((schema.key ?? []).length !== target.key.length) throw changed(writing, target, 'has another key now', 'resync');
  for (const at of changes.keys()) {
    const now = (await readAgain(writing.session, target)) ?? target;
    for (const change of ofTarget(writing, now, told, at)) yield* statements(writing, now, schema.key, change);
  }
}

/**
 * What is left of a change to be done to a target that may have gone part of the way before: by the name that the column has there.
 *
 * @throws SCHEMA_CHANGED where nobody can tell whether a column of that name is the one before or the one after
 */
function ofTarget(writing: Writing, target: TargetTable, all: NetSchemaChange, at: number): ColumnChange[] {
  const { changes } = all;
  const told = changes[at] as NetChange;
  const later = changes.slice(at + 1);
  const { formerly = [] } = told;
  const known = formerly.find((name) => target.columns.has(name));
  if (told.change === 'add') {
    if (known === undefined || target.columns.has(told.column.name)) return [told];
    return [{ change: 'rename', from: known, to: told.column.name }];
  }
  if (told.change !== 'drop' || formerly.length === 0) {
    const stands = standing(all, at, columnsOf(target), writing.stream.tables[target.table]?.columns ?? []);
    if (stands !== 'todo' && stands !== 'done') throw changed(writing, target, stands.unclear, 'resync');
    return stands === 'todo' ? [told] : [];
  }
  const name = known ?? told.name;
  if (!target.columns.has(name)) return [told];
  const taken = later.find((one) => one.change === 'rename' && one.to === name);
  if (taken?.change === 'rename' && !target.columns.has(taken.from)) return [];
  if (known === undefined && later.some((one) => one.change === 'add' && one.column.name === name))
    throw changed(writing, target, `has given up its column "${formerly[0]}" and has another "${name}" now`, 'resync');
  return [{ change: 'drop', name }];
}

const columnsOf = ({ columns }: TargetTable): ColumnsThere => ({
  has: (name) => columns.has(name),
  isOf: (name, { type }) => {
    const there = columns.get(name);
    return there !== undefined && sameType(there.type, type);
  },
});

/** As far as the names of columns go. */
function columnsAfter(target: TargetTable, change: ColumnChange, policy: SchemaPolicy): TargetTable {
  const columns = new Map(target.columns);
  const renamed = change.change === 'rename' ? columns.get(change.from) : undefined;
  if (change.change === 'rename' && renamed) {
    columns.delete(change.from);
    columns.set(change.to, { ...renamed, name: change.to });
  } else if (change.change === 'drop' && policy.drop === 'apply') columns.delete(change.name);
  else if (change.change === 'add' && !columns.has(change.column.name)) columns.set(change.column.name, toCome(change.column));
  return { ...target, columns };
}

const toCome = ({ name, type, nullable }: ColumnSchema): CatalogColumn => ({
  name,
  type,
  form: 'text',
  dataType: '',
  sqlType: '',
  charset: null,
  collation: null,
  notNull: !nullable,
  hasDefault: false,
  generated: false,
  autoIncrement: false,
  hasMore: false,
});

function statements(writing: Writing, target: TargetTable, key: readonly string[] = [], change: ColumnChange): string[] {
  const { policy } = writing.stream;
  const alter = (text: string): string => `ALTER TABLE ${target.quoted} ${text}`;
  switch (change.change) {
    case 'add': {
      const { column } = change;
      if (target.columns.has(column.name) || target.computed.has(column.name) || policy.add === 'ignore') return [];
      if (policy.add === 'pause') throw changed(writing, target, `has a new column "${column.name}" (${typeName(column.type)})`, 'add');
      if (change.computed)
        throw changed(
          writing,
          target,
          `has a new column "${column.name}", in which every row has got a value that the stream does not bring`,
          'resync',
        );
      return addColumn(column, change.fill).map(alter);
    }
    case 'drop': {
      const column = target.columns.get(change.name);
      if (!column) return [];
      if (policy.drop === 'pause' || target.key.includes(change.name) || key.includes(change.name))
        throw changed(writing, target, `no longer has the column "${change.name}"`, 'drop');
      if (policy.drop === 'apply') return [alter(`DROP COLUMN ${quoteIdentifier(column.name)}`)];
      return column.notNull ? [alter(madeNullable(column))] : [];
    }
    case 'rename': {
      const column = target.columns.get(change.from);
      if (!column) return [];
      if (policy.rename === 'pause') throw changed(writing, target, `calls its column "${change.from}" "${change.to}" now`, 'rename');
      return [alter(renamed(writing, column, change.to))];
    }
    case 'retype':
      return retype(writing, target, change).map(alter);
    default:
      return change satisfies never;
  }
}

/** Rows that are there get what they have got at the source; rows to come bring their own. */
function addColumn(column: ColumnSchema, fill: string | null): string[] {
  const name = quoteIdentifier(column.name);
  if (fill === null) return [`ADD COLUMN ${columnSql(name, column.type, true)}`];
  const made = sqlType(column.type);
  if ('refused' in made) throw new MillraceError('UNSUPPORTED', { message: `${name}: ${made.refused}.`, remedy: made.remedy });
  const value = fillSql(column.type, fill);
  // A large object takes an expression only.
  const given = /text$|blob$|^json$/.test(made.sql) ? `(${value})` : value;
  return [`ADD COLUMN ${name} ${made.sql} ${column.nullable ? 'NULL' : 'NOT NULL'} DEFAULT ${given}`, `ALTER COLUMN ${name} DROP DEFAULT`];
}

function fillSql(type: ColumnType, fill: string): string {
  const base = baseType(type);
  const field = fieldOf(base)(fill);
  if (base.kind === 'bytea') return bytesLiteral(Buffer.from(field, 'hex'));
  return base.kind === 'bit' && base.length <= 64 ? `b'${field}'` : quotedText(field);
}

const madeNullable = (column: CatalogColumn): string => `MODIFY COLUMN ${quoteIdentifier(column.name)} ${definitionOf(column)} NULL`;

/** RENAME COLUMN came with MySQL 8.0 and MariaDB 10.5.2. */
function renamed({ session }: Writing, column: CatalogColumn, to: string): string {
  const [from, name] = [quoteIdentifier(column.name), quoteIdentifier(to)];
  if (session.server.flavour === 'mysql' || session.server.version >= 100_502) return `RENAME COLUMN ${from} TO ${name}`;
  return `CHANGE COLUMN ${from} ${name} ${definitionOf(column)} ${column.notNull ? 'NOT NULL' : 'NULL'}`;
}

function retype(writing: Writing, target: TargetTable, change: Extract<ColumnChange, { change: 'retype' }>): string[] {
  const { policy } = writing.stream;
  const { name, from, to } = change;
  const column = target.columns.get(name);
  if (!column) return [];
  const isKey = target.key.includes(name);
  const needed = to.nullable && column.notNull && !isKey ? [madeNullable(column)] : [];
  if (sameType(from.type, to.type)) return needed;
  const widens = fidelity(from.type, to.type) !== 'lossy';
  const keyed = isKey ? keyTypes({ columns: [to], key: [name] }).get(name) : undefined;
  const wanted = keyed ?? sqlType(to.type);
  // A wider type takes what comes.
  const takes = holds(column, to.type) || ('sql' in wanted && wanted.sql === column.sqlType);
  if (widens && takes) return needed;
  const told = `has changed "${name}" from ${typeName(from.type)} to ${typeName(to.type)}`;
  if (policy.retype === 'pause' || (policy.retype === 'widen' && !widens)) throw changed(writing, target, told, 'retype');
  if (policy.retype === 'resync') throw changed(writing, target, told, 'resync');
  if (takes) return needed;
  const isNullable = !isKey && (to.nullable || !column.notNull);
  return [`MODIFY COLUMN ${columnSql(quoteIdentifier(name), to.type, isNullable, wanted)}`];
}

const remedies = {
  add: () => 'Set schemaChanges.add of the capture to "apply" or "ignore", or add the column by hand, and start again.',
  drop: (target: TargetTable) =>
    `Set schemaChanges.drop of the capture to "apply" (the target loses the column) or "ignore" (it stays, NULL from here on), or drop it by hand: ALTER TABLE ${target.quoted} DROP COLUMN …; then start again.`,
  rename: () => 'Set schemaChanges.rename of the capture to "apply", or rename the column by hand, and start again.',
  retype: () => `Set schemaChanges.retype of the capture to "apply", or change the column's type by hand, and start again.`,
  resync: (target: TargetTable, pipeline: string) => `Copy the table again: millrace resync ${pipeline} --table ${target.table}`,
} as const;

const changed = ({ stream }: Pick<Writing, 'stream'>, target: TargetTable, what: string, how: keyof typeof remedies): MillraceError =>
  new MillraceError('SCHEMA_CHANGED', {
    message: `The table "${target.table}" ${what} at the source; ${target.shown} has not been changed.`,
    remedy: remedies[how](target, stream.owner.pipeline),
    facts: { table: target.shown },
  });
