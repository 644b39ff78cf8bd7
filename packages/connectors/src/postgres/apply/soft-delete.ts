import { changeKinds, type SourceTransaction } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { arrayForm, arrayParameter, perTransaction } from './array-parameter.ts';
import { type Compacted, compactOnce } from './compact.ts';
import { type Act, isWhole, movedRow, Parameters, update, upsert } from './mirror-acts.ts';
import { insertSql, rowsOf, sameKey, updateSql } from './mirror-sql.ts';
import { keyOf, movesKey, type OneChange, valuesAfter } from './one-change.ts';
import { chunksOf, type Piece, rowCount } from './pieces.ts';
import { deletedAt } from './settings.ts';
import { statement } from './statement.ts';
import type { TargetTable } from './target-table.ts';
import type { Turns } from './turns.ts';
import { incoming, missingRows, statementRows, type TableParts } from './write-mirror.ts';

/** Deleted rows stay, with the time of the transaction that deleted them; one that is inserted again lives again. */
const end = quoteIdentifier(deletedAt);
const alive = `${end} = NULL`;

export async function writeSoftDeletes(
  turns: Turns,
  tables: readonly TableParts[],
  transactions: readonly SourceTransaction[],
): Promise<boolean> {
  const times = transactions.map(({ committedAt }) => committedAt);
  const works: (TableParts & { readonly compacted: Compacted })[] = [];
  for (const table of tables) {
    const compacted = compactOnce(table.parts, table.target.key);
    if (!compacted) return false;
    works.push({ ...table, compacted });
  }
  for (const work of works) {
    const { compacted, target } = work;
    for (const { unknown, pieces } of compacted.updates) await updateRows(turns, work, unknown, pieces);
    await upsertRows(turns, work, [...compacted.inserts, ...compacted.passed.rows]);
    await endRows(turns, target, [...compacted.deletes, ...compacted.passed.keys], times);
  }
  await turns.end();
  return true;
}

async function updateRows(turns: Turns, work: TableParts, unknown: readonly string[], pieces: readonly Piece[]): Promise<void> {
  const { target } = work;
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, unknown);
    const text = updateSql(target, columns, alive)!;
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    await turns.next(async () => {
      const { affected } = await turns.session.prepared(statement(text), values, target.shown);
      if (affected === rowCount(chunk)) return;
      if (unknown.length > 0) throw missingRows(target, rowCount(chunk) - (affected ?? 0));
      await turns.session.prepared(statement(insertSql(target, columns, 'nothing')), values, target.shown);
    });
  }
}

async function upsertRows(turns: Turns, work: TableParts, pieces: readonly Piece[]): Promise<void> {
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, []);
    const text = insertSql(work.target, columns, 'update', [alive]);
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    await turns.next(() => turns.session.prepared(statement(text), values, work.target.shown));
  }
}

async function endRows(turns: Turns, target: TargetTable, pieces: readonly Piece[], times: readonly string[]): Promise<void> {
  for (const chunk of chunksOf(pieces, statementRows)) {
    const key = target.key.map((name) => ({ column: target.columns.get(name)!, form: arrayForm(chunk, name) }));
    const values = [...key.map(({ column, form }) => arrayParameter(chunk, column.name, form)), perTransaction(chunk, times)];
    const text = `UPDATE ${target.quoted} AS t SET ${end} = u.c${key.length}::timestamptz FROM ${rowsOf(key, ['text[]'])} WHERE ${sameKey(target, key)} AND t.${end} IS NULL`;
    await turns.next(() => turns.session.prepared(statement(text), values, target.shown));
  }
}

export function softDeleteActs(change: OneChange): Act[] {
  const { part, row } = change;
  if (part.kinds[row] === changeKinds.insert) return [upsert(change, [alive])];
  if (part.kinds[row] === changeKinds.delete) return [endByKey(change)];
  if (!movesKey(change)) return [update(change, [alive])];
  return [isWhole(change, valuesAfter(change)) ? upsert(change, [alive]) : movedRow(change, [alive]), endByKey(change)];
}

function endByKey(change: OneChange): Act {
  const parameters = new Parameters();
  const time = parameters.text(change.transaction.committedAt);
  const where = parameters.same(keyOf(change));
  return {
    text: `UPDATE ${change.target.quoted} AS t SET ${end} = ${time}::timestamptz WHERE ${where} AND t.${end} IS NULL`,
    values: parameters.values,
  };
}

export async function truncateSoftly(session: Session, targets: readonly TargetTable[], transaction: SourceTransaction): Promise<void> {
  for (const { quoted, shown } of targets)
    await session.query(`UPDATE ${quoted} SET ${end} = $1::timestamptz WHERE ${end} IS NULL`, [transaction.committedAt], shown);
}
