import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteName } from '../identifier.ts';
import { type Creation, creations } from './create.ts';
import { type Difference, differences, driftError } from './drift.ts';
import { passing } from './failpoints.ts';
import { lockAlone, transaction } from './ledger.ts';
import type { TableSettings } from './load-work.ts';
import { readTable } from './read-table.ts';
import type { RealTable } from './table-columns.ts';

/** Keeps two loads from making or altering the same things at once. */
export const tablesLock = 7_262_114_004;
const lockWait = '60s';

/**
 * Makes the table what its declaration says, as far as the target's `schema` option allows, and answers what it is.
 *
 * @throws TABLE_MISSING, SCHEMA_DRIFT with every difference, ACCESS_DENIED
 */
export async function prepareTable(session: Session, settings: TableSettings): Promise<RealTable> {
  const { table, history, schema } = settings;
  const found = await readTable(session, table.name);
  if (!found && schema === 'strict') throw missing(settings);
  const before = found ?? (await create(session, settings));
  const extra = history ? Object.values(history) : [];
  const wrong = differences(table.columns, before, extra);
  const lacking = history ? Object.values(history).filter((name) => !before.columns.some((column) => column.name === name)) : [];
  if (lacking.length > 0)
    throw driftError(
      table,
      lacking.map((column) => lackingHistory(column)),
      false,
    );
  if (wrong.length === 0) return before;
  const evolving = schema === 'evolve';
  if (!evolving || wrong.some(({ curable }) => !curable))
    throw driftError(table, evolving ? wrong.filter(({ curable }) => !curable) : wrong, evolving);
  await evolve(session, settings, wrong);
  return existing(await readTable(session, table.name), settings);
}

const lackingHistory = (column: string): Difference => ({
  column,
  message: `"${column}", which the history fills, is not in the table`,
  alter: [],
  before: [],
  curable: false,
});

async function create(session: Session, settings: TableSettings): Promise<RealTable> {
  await transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
    await lockAlone(session, tablesLock);
    for (const creation of creations(settings.table, settings.history)) {
      if (!(await exists(session, creation))) await session.execute(creation.text, [], `${creation.of} ${creation.name}`);
    }
    passing('postgres.table.created');
  });
  return existing(await readTable(session, settings.table.name), settings);
}

export async function exists(session: Session, { of, name }: Creation): Promise<boolean> {
  const look = { schema: 'to_regnamespace', type: 'to_regtype', table: 'to_regclass', index: 'to_regclass' }[of];
  const [row] = await session.query(`SELECT ${look}($1) IS NOT NULL AS there`, [name]);
  return row?.['there'] === 't';
}

async function evolve(session: Session, settings: TableSettings, wrong: readonly Difference[]): Promise<void> {
  const { table } = settings;
  // A new label cannot be used in the transaction that adds it.
  for (const statement of wrong.flatMap(({ before }) => before)) await session.execute(statement, [], table.name);
  for (const creation of creations(table, null).filter(({ of }) => of === 'type' || of === 'schema')) {
    if (!(await exists(session, creation))) await session.execute(creation.text, [], creation.name);
  }
  const alter = wrong.flatMap((difference) => difference.alter);
  if (alter.length === 0) return;
  await transaction(session, async () => {
    await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
    await lockAlone(session, tablesLock);
    const now = await readTable(session, table.name);
    const still = now
      ? differences(table.columns, now, settings.history ? Object.values(settings.history) : []).flatMap((difference) => difference.alter)
      : alter;
    if (still.length > 0) await session.execute(`ALTER TABLE ${quoteName(table.name)} ${still.join(', ')}`, [], table.name);
    passing('postgres.table.altered');
  });
}

function existing(table: RealTable | null, settings: TableSettings): RealTable {
  if (table) return table;
  throw missing(settings);
}

function missing({ table, schema }: TableSettings): MillraceError {
  return new MillraceError('TABLE_MISSING', {
    message: `There is no table ${table.name} to load into.`,
    remedy:
      schema === 'strict'
        ? `Create it, or load with schema: 'create' to have it made from the table() declaration.`
        : 'Look for somebody who drops it.',
    facts: { table: table.name },
  });
}
