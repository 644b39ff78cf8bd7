import { type ColumnBatch, isMillraceError, type MillraceError, type RejectedRow, rowJson, sliceRows } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { type Copied, type Copier, copierOf } from './copier.ts';
import { type LoadWork, shownName } from './load-work.ts';
import type { StrayFinder } from './strays.ts';

export interface Rejecting {
  readonly split: string;
  readonly reject: (row: RejectedRow) => void;
  /** Finds rows that only a constraint of the table refuses. */
  readonly strays: StrayFinder | null;
}

/**
 * Brings batches into a staging table, within the session's transaction.
 *
 * @throws WIRE_CORRUPT where the server counted other rows than were sent, TYPE_MISMATCH for a row that does not fit
 */
export async function loadBatches(
  { landing, context, table, files }: Pick<LoadWork, 'landing' | 'context' | 'table' | 'files'>,
  session: Session,
  into: string,
  batches: AsyncIterable<ColumnBatch>,
  rejecting: Rejecting | null,
): Promise<Copied> {
  const copier = copierOf(session, into, landing, shownName({ table }), files);
  const watched = async function* (): AsyncGenerator<ColumnBatch> {
    for await (const batch of batches) {
      yield batch;
      context.progress({ rows: batch.rowCount });
    }
  };
  const copied = await (rejecting ? copyChecked(session, copier, watched(), rejecting) : copier.stream(watched()));
  context.progress({ bytes: copied.bytes });
  return copied;
}

/**
 * Batches one by one, so that one the server refuses can be taken apart: the rows around the bad one are loaded, the bad one is set
 * aside. A row is bad only where it was refused alone.
 */
async function copyChecked(session: Session, copier: Copier, batches: AsyncIterable<ColumnBatch>, rejecting: Rejecting): Promise<Copied> {
  let rows = 0;
  let bytes = 0;
  let first = 0;
  const reject = (batch: ColumnBatch, row: number, error: MillraceError): void =>
    rejecting.reject({ split: rejecting.split, ordinal: first + row, row: rowJson(batch, row), error });
  for await (const batch of batches) {
    /** Spans still to load, the next one last. */
    const spans: Span[] = [{ from: 0, to: batch.rowCount }];
    for (let span = spans.pop(); span; span = spans.pop()) {
      const outcome = await tryCopy(session, copier, sliceRows(batch, span.from, span.to));
      if ('copied' in outcome) {
        const strays = (await rejecting.strays?.()) ?? [];
        rows += outcome.copied.rows - strays.length;
        bytes += outcome.copied.bytes;
        for (const { place, error } of strays) reject(batch, span.from + place, error);
      } else if (span.to - span.from === 1) {
        reject(batch, span.from, outcome.error);
      } else {
        spans.push(...apart(span, outcome.error).reverse());
      }
    }
    first += batch.rowCount;
  }
  return { rows, bytes };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

type Tried = { readonly copied: Copied } | { readonly error: MillraceError };

async function tryCopy(session: Session, copier: Copier, batch: ColumnBatch): Promise<Tried> {
  if (batch.rowCount === 0) return { copied: { rows: 0, bytes: 0 } };
  await session.execute('SAVEPOINT batch');
  try {
    const copied = await copier.prepare([batch])();
    await session.execute('RELEASE SAVEPOINT batch');
    return { copied };
  } catch (error) {
    if (session.ended || !isMillraceError(error) || !isRowFault(error)) throw error;
    await session.execute('ROLLBACK TO SAVEPOINT batch');
    return { error };
  }
}

/** The row is at fault, not the statement, the server or the way to it. */
const isRowFault = (error: MillraceError): boolean => error.code === 'TYPE_MISMATCH' || error.code === 'VALUE_UNREPRESENTABLE';

/** The server says at which row it stopped: around that row, else in the middle. A wrong row costs a few loads, no row. */
function apart({ from, to }: Span, error: MillraceError): Span[] {
  const number = Number(/ at row (\d+)\b/.exec(error.message)?.[1] ?? 0);
  const row = from + number - 1;
  if (number > 0 && row < to)
    return [
      { from, to: row },
      { from: row, to: row + 1 },
      { from: row + 1, to },
    ].filter((span) => span.to > span.from);
  const middle = from + Math.floor((to - from) / 2);
  return [
    { from, to: middle },
    { from: middle, to },
  ];
}
