import { fidelity, type LoadOwner, MillraceError, type RowSchema, type StreamTables, type Table } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { type Creation, creations } from '../sink/create.ts';
import { differences, driftError } from '../sink/drift.ts';
import { lockAlone, transaction } from '../sink/ledger.ts';
import { exists, tablesLock } from '../sink/prepare-table.ts';
import { hasUniqueKey } from '../sink/table-columns.ts';
import { passing } from './failpoints.ts';
import { type ApplySettings, deletedAt, extraColumns, history, targetName, versionPosition } from './settings.ts';
import { forgetTables, noteTable, tableState } from './stream-state.ts';
import { readTarget, type TargetTable } from './target-table.ts';

/**
 * Makes the tables that are missing and looks at the others.
 *
 * @throws TABLE_MISSING, SCHEMA_DRIFT with every difference of a table, ACCESS_DENIED
 */
export async function prepareTargets(
  session: Session,
  settings: ApplySettings,
  owner: LoadOwner,
  tables: StreamTables,
): Promise<Map<string, TargetTable>> {
  const targets = new Map<string, TargetTable>();
  await forgetTables(session, { owner }, Object.keys(tables));
  for (const [table, schema] of Object.entries(tables)) {
    const name = targetName(settings, table, schema);
    const key = schema.key ?? [];
    const made = await transaction(session, async () => {
      const missing = (await readTarget(session, table, name, key)) === null;
      if (missing) await create(session, settings, name, schema);
      await noteTable(session, { owner }, table, { target: name, mode: settings.mode, made: missing });
      return missing;
    });
    const target = (await readTarget(session, table, name, key)) as TargetTable;
    // From its first copy on a table changes with the stream, and may be ahead of its declaration.
    const state = await tableState(session, { owner }, table);
    if (!made) assertFits(target, settings, state.begun ? null : schema);
    if (!state.made) assertKey(target, settings); // else the end of its copy makes the index
    targets.set(table, target);
  }
  passing('postgres.apply.prepared');
  return targets;
}

async function create(session: Session, settings: ApplySettings, name: string, schema: RowSchema): Promise<void> {
  if (!settings.create) {
    throw new MillraceError('TABLE_MISSING', {
      message: `There is no table ${name} to apply changes to.`,
      remedy: 'Create it, or leave "create" of apply() at true to have it made.',
      facts: { table: name },
    });
  }
  await session.execute(`SET LOCAL lock_timeout = '60s'`);
  await lockAlone(session, tablesLock);
  for (const creation of targetCreations(settings, name, schema)) {
    if (!(await exists(session, creation))) await session.execute(creation.text, [], `${creation.of} ${creation.name}`);
  }
}

/** What `plan` shows and `begin` runs for a table that is missing. */
export function targetCreations(settings: Pick<ApplySettings, 'mode'>, name: string, schema: RowSchema): Creation[] {
  const table = { kind: 'table', name, columns: schema.columns, ...(schema.key && { key: schema.key }) } as unknown as Table;
  if (settings.mode === 'mirror') return creations(table, null);
  if (settings.mode === 'history') {
    const position = { name: versionPosition, type: { kind: 'text' }, nullable: false } as const;
    const versioned = { ...table, columns: [...table.columns, position] } as unknown as Table;
    return creations(versioned, history, [...(schema.key ?? []), versionPosition]).map((creation) => ({
      ...creation,
      // Positions are compared byte by byte.
      text: creation.text.replace(`"${versionPosition}" text`, `"${versionPosition}" text COLLATE "C"`),
    }));
  }
  const end = { name: deletedAt, type: { kind: 'timestamptz' }, nullable: true } as const;
  return creations({ ...table, columns: [...table.columns, end] } as unknown as Table, null);
}

/** Without a schema only the columns of the mode are looked for. */
function assertFits(target: TargetTable, settings: ApplySettings, schema: RowSchema | null): void {
  const { real } = target;
  const extra = extraColumns[settings.mode];
  // A wider type takes whatever comes.
  const coming = (schema?.columns ?? []).map((column) => {
    const there = target.columns.get(column.name);
    return there && fidelity(column.type, there.type) !== 'lossy' ? { ...column, type: there.type } : column;
  });
  const wrong = schema ? differences(coming, real, extra) : [];
  const lacking = extra.filter((name) => !target.columns.has(name));
  if (wrong.length > 0 || lacking.length > 0) {
    throw driftError(
      { name: target.shown },
      [
        ...wrong,
        ...lacking.map((column) => ({
          column,
          message: `"${column}", which mode "${settings.mode}" fills, is not in the table`,
          alter: [],
          before: [],
          curable: false,
        })),
      ],
      true,
    );
  }
}

function assertKey(target: TargetTable, settings: ApplySettings): void {
  const { key } = target;
  const unique = settings.mode === 'history' ? [...key, versionPosition] : key;
  if (key.length > 0 && !hasUniqueKey(target.real, unique)) {
    const columns = unique.map((name) => quoteIdentifier(name)).join(', ');
    throw new MillraceError('SCHEMA_DRIFT', {
      message: `${target.shown} has no unique index on (${unique.join(', ')}), by which changes find their rows.`,
      remedy: `ALTER TABLE ${target.quoted} ADD PRIMARY KEY (${columns});`,
      facts: { table: target.shown, columns: key },
    });
  }
}
