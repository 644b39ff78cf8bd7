import { MillraceError, type TableChanges } from '@millrace/core/runtime';
import { type Compacted, compactOnce, type UpdatedRows } from '../../postgres/apply/compact.ts';
import { rowCount } from '../../postgres/apply/pieces.ts';
import { quoteIdentifier } from '../identifier.ts';
import type { Session } from '../session.ts';
import type { LandingColumn } from '../sink/landing.ts';
import { loadPieces, type Scratch } from './scratch.ts';
import type { TargetTable } from './target-table.ts';

/** Changes of one table, for one go. */
export interface TableParts {
  readonly target: TargetTable;
  /** For each column of the incoming rows where it goes, or null. */
  readonly columns: readonly (LandingColumn | null)[];
  readonly parts: readonly TableChanges[];
}

interface TableWork extends Omit<TableParts, 'parts'> {
  readonly compacted: Compacted;
}

/** Deletes, then updates and inserts. False, and nothing done, where the changes must be applied one by one. */
export async function writeMirror(session: Session, scratch: Scratch, tables: readonly TableParts[]): Promise<boolean> {
  const works: TableWork[] = [];
  for (const table of tables) {
    const compacted = compactOnce(table.parts, table.target.key);
    if (!compacted) return false;
    works.push({ ...table, compacted });
  }
  for (const work of works) await deletes(session, scratch, work);
  for (const work of works) {
    for (const rows of work.compacted.updates) await updates(session, scratch, work, rows);
    const { inserts } = work.compacted;
    if (rowCount(inserts) > 0) await loadPieces(session, work.target.quoted, work.target.shown, known(work, []), inserts);
  }
  return true;
}

const known = ({ columns }: Pick<TableParts, 'columns'>, unknown: readonly string[]): LandingColumn[] =>
  columns.filter((column) => column !== null).filter(({ name }) => !unknown.includes(name));

/** The rows that came first, each then looked for by the key's index, whatever the statistics say. */
const found = (target: TargetTable, rows: string): string =>
  `${rows} AS f STRAIGHT_JOIN ${target.quoted} AS t ON ${target.key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ')}`;

async function deletes(session: Session, scratch: Scratch, { target, columns, compacted }: TableWork): Promise<void> {
  if (rowCount(compacted.deletes) === 0) return;
  const key = known({ columns }, []).filter(({ name }) => target.key.includes(name));
  const rows = await scratch.fill(target, key, compacted.deletes);
  await session.execute(`DELETE t FROM ${found(target, rows)}`, target.shown);
}

async function updates(session: Session, scratch: Scratch, work: TableWork, { unknown, pieces }: UpdatedRows): Promise<void> {
  const { target } = work;
  const count = rowCount(pieces);
  if (count === 0) return;
  const columns = known(work, unknown);
  const rows = await scratch.fill(target, columns, pieces);
  const set = columns.filter(({ name }) => !target.key.includes(name)).map(({ quoted }) => `t.${quoted} = f.${quoted}`);
  const matched = await matches(session, target, rows, set);
  if (matched === count) return;
  if (unknown.length > 0) throw missingRows(target, count - matched);
  const names = columns.map(({ quoted }) => quoted);
  const same = target.key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ');
  await session.execute(
    `INSERT INTO ${target.quoted} (${names.join(', ')}) SELECT ${names.map((name) => `f.${name}`).join(', ')} FROM ${rows} AS f LEFT JOIN ${target.quoted} AS t ON ${same} WHERE t.${quoteIdentifier(target.key[0] ?? '')} IS NULL`,
    target.shown,
  );
}

/** Rows that were there, whether they have changed or not. */
async function matches(session: Session, target: TargetTable, rows: string, set: readonly string[]): Promise<number> {
  if (set.length === 0) {
    const [row] = await session.query(`SELECT COUNT(*) AS n FROM ${found(target, rows)}`, target.shown);
    return Number(row?.['n']);
  }
  const { info } = await session.execute(`UPDATE ${found(target, rows)} SET ${set.join(', ')}`, target.shown);
  const matched = /Rows matched: (\d+)/.exec(info)?.[1];
  if (matched !== undefined) return Number(matched);
  throw new MillraceError('WIRE_CORRUPT', {
    message: `${target.shown}: the server does not say how many rows an UPDATE has met ("${info}").`,
    remedy: 'Please report it.',
  });
}

/** Found again, one by one, when the changes are applied in their order. */
export const missingRows = (target: TargetTable, count: number): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `${count} updates of ${target.shown} came without all their values, and their rows are not there.`,
    remedy: 'Copy the table again with "millrace resync".',
  });
