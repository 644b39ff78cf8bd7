import {
  type ColumnChange,
  type ColumnSchema,
  type ColumnType,
  fidelity,
  MillraceError,
  type SchemaChange,
  sameType,
  type Table,
  typeName,
} from '@millrace/core/runtime';
import { type ColumnsThere, standing } from '../../changes/standing.ts';
import type { Session } from '../client.ts';
import { quoteIdentifier, showName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { creations } from '../sink/create.ts';
import { addedLabels } from '../sink/drift.ts';
import { exists } from '../sink/prepare-table.ts';
import { sqlType } from '../sink/sql-type.ts';
import type { Writing } from './group-writer.ts';
import { readTarget, type TargetTable } from './target-table.ts';

const lockWait = '60s';

/**
 * Makes the table what it has become at the source, as far as the pipeline's policy goes, in the transaction of the changes around it. What
 * is so already is left alone.
 *
 * @throws SCHEMA_CHANGED for what the policy does not let through
 */
export async function applySchemaChange(writing: Writing, told: SchemaChange): Promise<void> {
  const { session, targets } = writing;
  const { table, schema, changes } = told;
  const target = targets.get(table);
  if (!target) return;
  await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
  let now = (await readTarget(session, table, showName(target.real), target.key)) ?? target;
  const declared = writing.stream.tables[table]?.columns ?? [];
  for (const [at, change] of changes.entries()) {
    const stands = standing(told, at, columnsOf(now), declared);
    if (stands === 'done') continue;
    if (stands !== 'todo') throw changed(writing, target, stands.unclear, 'resync');
    for (const statement of await statements(writing, now, change)) await session.execute(statement, [], target.shown);
    now = (await readTarget(session, table, showName(target.real), schema.key ?? [])) ?? now;
  }
  const lost = now.key.find((name) => !now.columns.has(name));
  if (lost !== undefined || (schema.key ?? []).length !== target.key.length)
    throw changed(writing, target, 'has another key now', 'resync');
  targets.set(table, now);
}

const columnsOf = ({ columns }: TargetTable): ColumnsThere => ({
  has: (name) => columns.has(name),
  isOf: (name, { type }) => {
    const there = columns.get(name);
    return there !== undefined && sameType(there.type, type);
  },
});

async function statements(writing: Writing, target: TargetTable, change: ColumnChange): Promise<string[]> {
  const { policy } = writing.stream;
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
      return [...(await missingTypes(writing.session, column)), ...addColumn(target, column, change.fill)];
    }
    case 'drop': {
      const column = target.columns.get(change.name);
      if (!column) return [];
      if (policy.drop === 'pause' || target.key.includes(change.name))
        throw changed(writing, target, `no longer has the column "${change.name}"`, 'drop');
      if (policy.drop === 'apply') return [`ALTER TABLE ${target.quoted} DROP COLUMN ${column.quoted}`];
      return column.notNull ? [`ALTER TABLE ${target.quoted} ALTER COLUMN ${column.quoted} DROP NOT NULL`] : [];
    }
    case 'rename': {
      const column = target.columns.get(change.from);
      if (!column) return [];
      if (policy.rename === 'pause') throw changed(writing, target, `calls its column "${change.from}" "${change.to}" now`, 'rename');
      return [`ALTER TABLE ${target.quoted} RENAME COLUMN ${column.quoted} TO ${quoteIdentifier(change.to)}`];
    }
    case 'retype':
      return retype(writing, target, change);
    default:
      return change satisfies never;
  }
}

/** Rows that are there get what they have got at the source; rows to come bring their own. */
function addColumn(target: TargetTable, column: ColumnSchema, fill: string | null): string[] {
  const name = quoteIdentifier(column.name);
  const type = sqlType(column.type);
  if (fill === null) return [`ALTER TABLE ${target.quoted} ADD COLUMN ${name} ${type}`];
  return [
    `ALTER TABLE ${target.quoted} ADD COLUMN ${name} ${type} DEFAULT ${literal(fill)}${column.nullable ? '' : ' NOT NULL'}`,
    `ALTER TABLE ${target.quoted} ALTER COLUMN ${name} DROP DEFAULT`,
  ];
}

/** Statements that make the enums and domains of a column that are not there yet. */
export async function missingTypes(session: Session, column: ColumnSchema): Promise<string[]> {
  const table = { kind: 'table', name: 'unused', columns: [column] } as unknown as Table;
  const found: string[] = [];
  for (const creation of creations(table, null)) {
    if ((creation.of === 'type' || creation.of === 'schema') && !(await exists(session, creation))) found.push(creation.text);
  }
  return found;
}

async function retype(writing: Writing, target: TargetTable, change: Extract<ColumnChange, { change: 'retype' }>): Promise<string[]> {
  const { policy } = writing.stream;
  const { name, from, to } = change;
  const column = target.columns.get(name);
  if (!column) return [];
  const needed: string[] = [];
  if (to.nullable && column.notNull && !target.key.includes(name))
    needed.push(`ALTER TABLE ${target.quoted} ALTER COLUMN ${column.quoted} DROP NOT NULL`);
  if (sameType(to.type, column.type) || sameType(from.type, to.type)) return needed;
  const widens = fidelity(from.type, to.type) !== 'lossy';
  // A wider type takes what comes.
  const takes = fidelity(to.type, column.type) !== 'lossy';
  if (widens && takes) return needed;
  const told = `has changed "${name}" from ${typeName(from.type)} to ${typeName(to.type)}${labelsTold(from.type, to.type)}`;
  if (policy.retype === 'pause' || (policy.retype === 'widen' && !widens)) throw changed(writing, target, told, 'retype');
  if (policy.retype === 'resync') throw changed(writing, target, told, 'resync');
  if (takes) return needed;
  const labels = addedLabels(column.type, to.type);
  if (labels) {
    // A label cannot be used in the transaction that adds it, and one that nobody uses harms nobody.
    await writing.lanes.use(async (session) => {
      for (const statement of labels) await session.execute(statement, [], target.shown);
    });
    return needed;
  }
  const type = sqlType(to.type);
  return [
    ...needed,
    ...(await missingTypes(writing.session, to)),
    `ALTER TABLE ${target.quoted} ALTER COLUMN ${column.quoted} TYPE ${type} USING ${column.quoted}::${type}`,
  ];
}

/** Enums of one name: which labels are others. */
function labelsTold(from: ColumnType, to: ColumnType): string {
  if (from.kind !== 'enum' || to.kind !== 'enum') return '';
  const list = (labels: readonly string[], without: readonly string[]): string =>
    labels.flatMap((label) => (without.includes(label) ? [] : [`"${label}"`])).join(', ') || 'none';
  return ` (labels gone: ${list(from.labels, to.labels)}; new: ${list(to.labels, from.labels)})`;
}

const remedies = {
  add: () => `Set schemaChanges.add of the capture to "apply" or "ignore", or add the column by hand, and start again.`,
  drop: (target: TargetTable) =>
    `Set schemaChanges.drop of the capture to "apply" (the target loses the column) or "ignore" (it stays, NULL from here on), or drop it by hand: ALTER TABLE ${target.quoted} DROP COLUMN …; then start again.`,
  rename: () => `Set schemaChanges.rename of the capture to "apply", or rename the column by hand, and start again.`,
  retype: () => `Set schemaChanges.retype of the capture to "apply", or change the column's type by hand, and start again.`,
  resync: (target: TargetTable, pipeline: string) => `Copy the table again: millrace resync ${pipeline} --table ${target.table}`,
} as const;

const changed = ({ stream }: Pick<Writing, 'stream'>, target: TargetTable, what: string, how: keyof typeof remedies): MillraceError =>
  new MillraceError('SCHEMA_CHANGED', {
    message: `The table "${target.table}" ${what} at the source; ${target.shown} has not been changed.`,
    remedy: remedies[how](target, stream.owner.pipeline),
    facts: { table: target.shown },
  });
