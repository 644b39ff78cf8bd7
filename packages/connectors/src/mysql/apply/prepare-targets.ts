import { type Log, MillraceError, type RowSchema, type StreamTables } from '@millrace/core/runtime';
import { driftError } from '../../postgres/sink/drift.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import type { Session } from '../session.ts';
import { createTable } from '../sink/create.ts';
import { assertTransactional, differences } from '../sink/prepare-table.ts';
import { reasonsAgainst } from '../sink/swap.ts';
import { sameColumns } from '../sink/write-table.ts';
import { passing } from './failpoints.ts';
import { type ApplySettings, targetName } from './settings.ts';
import { forgetTables, type Hold, noteTable, tableState } from './stream-state.ts';
import { readTarget, type TargetTable } from './target-table.ts';

/**
 * Makes the tables that are missing and looks at the others.
 *
 * @throws TABLE_MISSING, SCHEMA_DRIFT with every difference of a table, UNSUPPORTED, ACCESS_DENIED
 */
export async function prepareTargets(
  session: Session,
  settings: ApplySettings,
  hold: Hold,
  tables: StreamTables,
  log: Log,
): Promise<Map<string, TargetTable>> {
  const targets = new Map<string, TargetTable>();
  await forgetTables(session, hold, Object.keys(tables));
  for (const [table, schema] of Object.entries(tables)) {
    const name = targetName(settings, table, schema);
    const key = schema.key ?? [];
    const there = await readTarget(session, table, name, key);
    await noteTable(session, hold, table, quoteName(name), there === null);
    if (!there) await create(session, settings, name, schema);
    const target = there ?? (await readTarget(session, table, name, key));
    if (!target) throw missing(name, 'Look for somebody who drops it.');
    assertTransactional(target.relation);
    // From its first copy on a table changes with the stream, and may be ahead of its declaration.
    if (there && !(await tableState(session, hold, table)).begun) {
      assertKey(target);
      assertFits(target, schema);
    }
    if (there && (await reasonsAgainst(session, { table: target.relation })).includes('it has triggers'))
      log.warn(
        `${target.shown} has triggers, which MySQL runs for what the stream brings too: what they do is done twice where the source did it.`,
      );
    targets.set(table, target);
  }
  passing('mysql.apply.prepared');
  return targets;
}

async function create(session: Session, settings: ApplySettings, name: string, schema: RowSchema): Promise<void> {
  if (!settings.create) throw missing(name, 'Create it, or leave "create" of apply() at true to have it made.');
  const { columns, key } = schema;
  await session.execute(createTable({ name, columns, ...(key && { key }) }, null, session.server.flavour), name);
}

const missing = (table: string, remedy: string): MillraceError =>
  new MillraceError('TABLE_MISSING', { message: `There is no table ${table} to apply changes to.`, remedy, facts: { table } });

/** A wider type takes whatever comes. */
function assertFits(target: TargetTable, schema: RowSchema): void {
  const wrong = differences(schema, target.relation, []);
  if (wrong.length > 0) throw driftError({ name: target.shown }, wrong, true);
}

function assertKey({ relation, key, shown, quoted }: TargetTable): void {
  if (relation.uniqueKeys.some((columns) => sameColumns(columns, key))) return;
  throw new MillraceError('SCHEMA_DRIFT', {
    message: `${shown} has no unique index on (${key.join(', ')}), by which changes find their rows.`,
    remedy: `ALTER TABLE ${quoted} ADD PRIMARY KEY (${key.map(quoteIdentifier).join(', ')});`,
    facts: { table: shown, columns: [...key] },
  });
}
