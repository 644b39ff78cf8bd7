import { type LoadMode, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type HistoryColumns, historyStatements } from './history.ts';
import { mergeStatements } from './merge.ts';
import { type StagedRows, written } from './staged-rows.ts';
import type { RealTable } from './table-columns.ts';

/** What brings staged rows into the table, within the transaction that commits them. */
export interface Writing {
  readonly session: Session;
  readonly table: RealTable;
  /** Quoted. */
  readonly target: string;
  readonly mode: LoadMode;
  readonly key: readonly string[];
  readonly history: HistoryColumns | null;
  /** End the current version of keys that a load of all rows did not bring. */
  readonly closeMissing: boolean;
  /** The run's logical time. */
  readonly time: string;
}

export type Changed = Readonly<Record<string, number>>;

/** What a merge or a history uses to hold the newest row of each key. Gone with the transaction. */
const fresh = '"__millrace_fresh"';

/** @throws UNSUPPORTED where the database inserted another number of rows than were staged */
export async function insertRows(session: Session, target: string, rows: StagedRows, staged: number): Promise<Changed> {
  const { into, values } = written(rows.landing);
  const { affected } = await session.execute(
    `INSERT INTO ${target} (${into}) OVERRIDING SYSTEM VALUE SELECT ${values} FROM ${rows.from} AS s`,
  );
  if (affected !== staged) {
    throw new MillraceError('UNSUPPORTED', {
      message: `${staged} rows were staged for ${target}, and it took ${affected}.`,
      remedy: 'Look for a rule or a trigger on the table that swallows rows.',
      facts: { staged, inserted: affected },
    });
  }
  return { inserted: staged };
}

export async function mergeRows(writing: Writing, rows: StagedRows, staged: number): Promise<Changed> {
  const { session, table, target, key } = writing;
  // New tables have no statistics, and a join without them may take the slowest way.
  for (const staging of rows.tables) await session.execute(`ANALYZE ${staging}`);
  const statements = mergeStatements(table, target, key, rows, fresh);
  let counts: Readonly<Record<string, string | null>> = {};
  for (const statement of statements) counts = (await session.query(statement))[0] ?? {};
  const inserted = Number(counts['inserted'] ?? 0);
  const updated = Number(counts['updated'] ?? 0);
  return { inserted, updated, unchanged: Math.max(0, staged - inserted - updated) };
}

/** @throws CHECKPOINT_MOVED where the history already knows a later state of a row */
export async function writeHistory(writing: Writing, rows: StagedRows): Promise<Changed> {
  const { session, target, key, history, time } = writing;
  if (!history) throw new Error('A history has columns.');
  const statements = historyStatements(target, key, history, rows, fresh);
  for (const statement of statements.prepare) await session.execute(statement);
  const [{ later = '0' } = {}] = await session.query(statements.later, [time]);
  if (later !== '0') {
    throw new MillraceError('CHECKPOINT_MOVED', {
      message: `${target} already has ${later} versions that began after ${time}, the time this run is for, and that this load would change.`,
      remedy: 'A history only grows at its end. Run the pipeline for a later time, or empty the table and load the history in order.',
      facts: { later: Number(later), time },
    });
  }
  const affected = async (statement: string): Promise<number> => (await session.execute(statement, [time])).affected ?? 0;
  const corrected = await affected(statements.corrected);
  const closed = await affected(statements.closed);
  const inserted = await affected(statements.opened);
  let removed = 0;
  if (writing.closeMissing) for (const statement of statements.removed) removed += await affected(statement);
  return { inserted, closed: closed + removed, corrected };
}
