import { type ColumnBatch, MillraceError, type RowSchema, takeRows } from '@millrace/core/runtime';
import { formOf } from '../binary/form.ts';
import type { Session } from '../client.ts';
import { copyBatches } from '../sink/copy-batches.ts';
import { fitsOnTheWire } from '../sink/landing.ts';
import { arrayForm, arrayParameter } from './array-parameter.ts';
import type { Compacted, UpdatedRows } from './compact.ts';
import { deleteSql, type IncomingColumn, insertSql, updateSql } from './mirror-sql.ts';
import { chunksOf, type Piece, rowCount, vectorOf } from './pieces.ts';
import { statement } from './statement.ts';
import type { TargetColumn, TargetTable } from './target-table.ts';
import { Turns } from './turns.ts';

/** What becomes of one table. */
export interface TableWork {
  readonly target: TargetTable;
  readonly compacted: Compacted;
  /** For each column of the incoming rows where it goes, or null. */
  readonly columns: readonly (TargetColumn | null)[];
}

/** From so many rows on a COPY costs less than a statement with parameters. */
const copyFrom = 500;
/** Rows in the parameters of one statement: enough that its round trip costs nothing, few enough to be made while the one before runs. */
const statementRows = 4_096;

/** Deletes, then updates and inserts: tables that others refer to first, and for the deletes last. */
export async function writeMirror(session: Session, works: readonly TableWork[]): Promise<void> {
  const turns = new Turns();
  for (const work of works.toReversed()) await deletes(session, turns, work);
  for (const work of works) {
    for (const rows of work.compacted.updates) await updates(session, turns, work, rows);
    await inserts(session, turns, work);
  }
  await turns.end();
}

async function deletes(session: Session, turns: Turns, { target, compacted }: TableWork): Promise<void> {
  for (const pieces of chunksOf(compacted.deletes, statementRows)) {
    const key = target.key.map((name) => ({ column: target.columns.get(name)!, form: arrayForm(pieces, name) }));
    const values = key.map(({ column, form }) => arrayParameter(pieces, column.name, form));
    await turns.next(() => session.prepared(statement(deleteSql(target, key)), values, target.shown));
  }
}

async function updates(session: Session, turns: Turns, work: TableWork, { unknown, pieces }: UpdatedRows): Promise<void> {
  const { target } = work;
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, unknown);
    const text = updateSql(target, columns);
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    const count = rowCount(chunk);
    await turns.next(async () => {
      const affected = text === null ? 0 : (await session.prepared(statement(text), values, target.shown)).affected;
      if (affected === count) return;
      // Nothing to set, or rows that the target lacks.
      if (unknown.length === 0) await session.prepared(statement(insertSql(target, columns, 'nothing')), values, target.shown);
      else if (text !== null) throw missingRows(target, count - (affected ?? 0));
    });
  }
}

/** Found again, one by one, when the changes are applied in their order. */
const missingRows = (target: TargetTable, count: number): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `${count} updates of ${target.shown} came without all their values, and their rows are not there.`,
    remedy: 'Copy the table again with "millrace resync".',
  });

async function inserts(session: Session, turns: Turns, work: TableWork): Promise<void> {
  const { target, compacted } = work;
  const pieces = compacted.inserts;
  if (rowCount(pieces) >= copyFrom) {
    await turns.next(() => copyPieces(session, work, pieces));
    return;
  }
  for (const chunk of chunksOf(pieces, statementRows)) {
    const columns = incoming(work, chunk, []);
    const values = columns.map(({ column, form }) => arrayParameter(chunk, column.name, form));
    await turns.next(() => session.prepared(statement(insertSql(target, columns, 'fail')), values, target.shown));
  }
}

export function incoming({ columns }: Pick<TableWork, 'columns'>, pieces: readonly Piece[], unknown: readonly string[]): IncomingColumn[] {
  return columns.flatMap((column) =>
    column === null || unknown.includes(column.name) ? [] : [{ column, form: arrayForm(pieces, column.name) }],
  );
}

/** Bytes of text go as they are, in CSV; everything else in binary form, which the server reads with less effort. */
export async function copyPieces(
  session: Session,
  { target, columns }: Omit<TableWork, 'compacted'>,
  pieces: readonly Piece[],
): Promise<void> {
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
