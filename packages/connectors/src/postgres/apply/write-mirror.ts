import {
  type ColumnBatch,
  changeKinds,
  MillraceError,
  positionOf,
  type RowSchema,
  type SourceTransaction,
  type TableChanges,
  takeRows,
} from '@millrace/core/runtime';
import { formOf } from '../binary/form.ts';
import type { Session } from '../client.ts';
import { copyBatches } from '../sink/copy-batches.ts';
import { fitsOnTheWire } from '../sink/landing.ts';
import { arrayForm, arrayParameter } from './array-parameter.ts';
import { type Compacted, compactOnce, type UpdatedRows } from './compact.ts';
import { applyOne } from './in-order.ts';
import { mirrorActs } from './mirror-acts.ts';
import { deleteSql, type IncomingColumn, insertSql, updateSql } from './mirror-sql.ts';
import { chunksOf, type Piece, rowCount, vectorOf } from './pieces.ts';
import { statement } from './statement.ts';
import type { TargetColumn, TargetTable } from './target-table.ts';
import type { Turns } from './turns.ts';

/** Changes of one table, for one go. */
export interface TableParts {
  readonly target: TargetTable;
  /** For each column of the incoming rows where it goes, or null. */
  readonly columns: readonly (TargetColumn | null)[];
  readonly parts: readonly TableChanges[];
}

export interface TableWork extends Omit<TableParts, 'parts'> {
  readonly compacted: Compacted;
}

/** From so many rows on a COPY costs less than a statement with parameters. */
const copyFrom = 500;
/** Rows in the parameters of one statement: enough that its round trip costs nothing, few enough to be made while the one before runs. */
export const statementRows = 4_096;

/**
 * Deletes, then updates and inserts: tables that others refer to first, and for the deletes last. False, and nothing done, where the changes
 * must be applied one by one.
 */
export async function writeMirror(turns: Turns, tables: readonly TableParts[]): Promise<boolean> {
  const works: TableWork[] = [];
  const keyless: TableParts[] = [];
  for (const table of tables) {
    if (table.target.key.length === 0) keyless.push(table);
    else {
      const compacted = compactOnce(table.parts, table.target.key);
      if (!compacted) return false;
      works.push({ ...table, compacted });
    }
  }
  for (const work of works.toReversed()) await deletes(turns, work);
  for (const work of works) {
    for (const rows of work.compacted.updates) await updates(turns, work, rows);
    turns.meanwhile();
    await inserts(turns, work, work.compacted.inserts);
  }
  for (const table of keyless) await writeKeyless(turns, table);
  await turns.end();
  return true;
}

/** In their order, since nothing tells which changes are of one row. Inserts that follow one another go together. */
async function writeKeyless(turns: Turns, table: TableParts): Promise<void> {
  for (const part of table.parts) {
    for (let from = 0; from < part.kinds.length; ) {
      let to = from + 1;
      if (part.kinds[from] === changeKinds.insert) {
        while (to < part.kinds.length && part.kinds[to] === changeKinds.insert) to++;
        const all = { batch: part.rows, rows: null, transactions: part.transactions };
        const rows = from === 0 && to === part.kinds.length ? all : { ...all, rows: range(from, to) };
        await inserts(turns, table, [rows]);
      } else {
        const change = { ...table, part, row: from, transaction: nowhere, ordinal: 0 };
        await turns.next(() => applyOne({ session: turns.session, acts: mirrorActs }, change));
      }
      from = to;
    }
  }
}

const range = (from: number, to: number): Int32Array => Int32Array.from({ length: to - from }, (_, at) => from + at);
/** Of a change that is not told of. */
const nowhere: SourceTransaction = { commit: positionOf('0'), committedAt: '', xid: '', firstOrdinal: 0 };

async function deletes(turns: Turns, { target, compacted }: TableWork): Promise<void> {
  for (const pieces of chunksOf(compacted.deletes, statementRows)) {
    const key = target.key.map((name) => ({ column: target.columns.get(name)!, form: arrayForm(pieces, name) }));
    const values = key.map(({ column, form }) => arrayParameter(pieces, column.name, form));
    await turns.next(() => turns.session.prepared(statement(deleteSql(target, key)), values, target.shown));
  }
}

async function updates(turns: Turns, work: TableWork, { unknown, pieces }: UpdatedRows): Promise<void> {
  const { target } = work;
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, unknown);
    const text = updateSql(target, columns);
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    const count = rowCount(chunk);
    await turns.next(async () => {
      const affected = text === null ? 0 : (await turns.session.prepared(statement(text), values, target.shown)).affected;
      if (affected === count) return;
      // Nothing to set, or rows that the target lacks.
      if (unknown.length === 0) await turns.session.prepared(statement(insertSql(target, columns, 'nothing')), values, target.shown);
      else if (text !== null) throw missingRows(target, count - (affected ?? 0));
    });
  }
}

/** Found again, one by one, when the changes are applied in their order. */
export const missingRows = (target: TargetTable, count: number): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `${count} updates of ${target.shown} came without all their values, and their rows are not there.`,
    remedy: 'Copy the table again with "millrace resync".',
  });

type Writable = Pick<TableWork, 'target' | 'columns'>;

async function inserts(turns: Turns, work: Writable, pieces: readonly Piece[]): Promise<void> {
  const { target } = work;
  if (rowCount(pieces) >= copyFrom) {
    await turns.next(() => copyPieces(turns.session, work, pieces));
    return;
  }
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, []);
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    await turns.next(() => turns.session.prepared(statement(insertSql(target, columns, 'fail')), values, target.shown));
  }
}

export function incoming({ columns }: Writable, pieces: readonly Piece[], unknown: readonly string[]): IncomingColumn[] {
  return columns.flatMap((column) =>
    column === null || unknown.includes(column.name) ? [] : [{ column, form: arrayForm(pieces, column.name) }],
  );
}

/** Bytes of text go as they are, in CSV; everything else in binary form, which the server reads with less effort. */
export async function copyPieces(session: Session, { target, columns }: Writable, pieces: readonly Piece[]): Promise<void> {
  const [first] = pieces;
  if (!first) return;
  const kept = columns.flatMap((column, place) => (column === null ? [] : [{ column, place }]));
  const schema: RowSchema = { columns: kept.map(({ place }) => first.batch.schema.columns[place]!) };
  const binary = kept.every(({ column, place }) => {
    const { type, name } = first.batch.schema.columns[place]!;
    return (
      formOf(type) === 'native' &&
      fitsOnTheWire(type, column.type) &&
      pieces.every(({ batch }) => vectorOf(batch, name)?.encoded?.encoding !== 'text')
    );
  });
  const into = { session, table: target.quoted, object: target.shown, progress: () => {} };
  await copyBatches(
    into,
    schema,
    pieces.map((piece) =>
      projected(
        piece,
        schema,
        kept.map(({ place }) => place),
      ),
    ),
    binary,
  );
}

function projected({ batch, rows }: Piece, schema: RowSchema, places: readonly number[]): ColumnBatch {
  const all = { schema, rowCount: batch.rowCount, vectors: places.map((place) => batch.vectors[place]!) };
  return rows ? takeRows(all, rows) : all;
}
