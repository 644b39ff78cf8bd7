import { type ColumnBatch, isMillraceError, MillraceError, type RejectedRow, rowJson, sliceRows } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import { loadFormat, tsvEncoder } from './encode.ts';
import { insertStatements } from './insert-values.ts';
import type { Landing, LandingColumn } from './landing.ts';
import { type LoadWork, shownName } from './load-work.ts';
import type { StrayFinder } from './strays.ts';

export interface Copied {
  readonly rows: number;
  readonly bytes: number;
}

export interface Rejecting {
  readonly split: string;
  readonly reject: (row: RejectedRow) => void;
  /** Finds rows that only a constraint of the table refuses. */
  readonly strays: StrayFinder | null;
}

/**
 * Brings batches into a staging table, within the session's transaction: through LOAD DATA LOCAL where the server takes it, else by INSERT.
 *
 * @throws WIRE_CORRUPT where the server counted other rows than were sent, TYPE_MISMATCH for a row that does not fit
 */
export async function loadBatches(
  { landing, context, table }: Pick<LoadWork, 'landing' | 'context' | 'table'>,
  session: Session,
  into: string,
  batches: AsyncIterable<ColumnBatch>,
  rejecting: Rejecting | null,
): Promise<Copied> {
  const copier = copierOf(session, into, landing, shownName({ table }));
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

interface Copier {
  /** All of them in one go, where that is quicker. */
  stream(batches: AsyncIterable<ColumnBatch>): Promise<Copied>;
  /** Some batches, written out before anything is sent. @throws VALUE_UNREPRESENTABLE at once */
  prepare(batches: readonly ColumnBatch[]): () => Promise<Copied>;
}

export function copierOf(session: Session, into: string, landing: Landing, object: string): Copier {
  const fits = session.server.localInfile && landing.columns.length > 0;
  const copier = fits ? loader(session, into, landing, object) : inserter(session, into, landing, object);
  const stamps = landing.columns.filter((column) => column.stamps);
  return stamps.length === 0 ? copier : checked(copier, stamps, object);
}

/** LOAD DATA makes the present moment of a NULL in a NOT NULL timestamp, and says nothing: so nothing of the kind is sent. */
function checked(copier: Copier, stamps: readonly LandingColumn[], object: string): Copier {
  return {
    stream(batches) {
      async function* given(): AsyncGenerator<ColumnBatch> {
        let first = 0;
        for await (const batch of batches) {
          assertGiven(batch, stamps, object, first);
          first += batch.rowCount;
          yield batch;
        }
      }
      return copier.stream(given());
    },
    prepare(batches) {
      let first = 0;
      for (const batch of batches) {
        assertGiven(batch, stamps, object, first);
        first += batch.rowCount;
      }
      return copier.prepare(batches);
    },
  };
}

/** @throws TYPE_MISMATCH */
function assertGiven({ vectors, rowCount }: ColumnBatch, stamps: readonly LandingColumn[], object: string, first: number): void {
  for (const { name, place } of stamps) {
    const vector = vectors[place]!;
    for (let row = 0; row < rowCount; row++) {
      if (!vector.isNull(row)) continue;
      throw nullStamp(object, name, ` at row ${first + row + 1}`);
    }
  }
}

export const nullStamp = (object: string, column: string, where = ''): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: `${object}: column "${column}" must not be NULL, and is${where}.`,
    remedy: 'Change the value, or let the column be NULL. With onBadRow such rows can be set aside.',
    facts: { object, column },
  });

function loader(session: Session, into: string, landing: Landing, object: string): Copier {
  const text = loadStatement(into, landing);
  const load = async (file: AsyncIterable<Buffer>, rows: () => number): Promise<void> => {
    const { affected, warnings } = await session.load(text, file, object);
    // What does not fit is bent, and a warning says so: LOCAL has no way to stop the client.
    if (warnings > 0) throw await warned(session, object);
    if (affected !== rows()) throw miscounted(object, rows(), affected);
  };
  return {
    async stream(batches) {
      const encode = tsvEncoder(landing);
      let rows = 0;
      let bytes = 0;
      async function* file(): AsyncGenerator<Buffer> {
        for await (const batch of batches) {
          for (const chunk of encode(batch)) {
            bytes += chunk.length;
            yield chunk;
          }
          rows += batch.rowCount;
        }
      }
      await load(file(), () => rows);
      return { rows, bytes };
    },
    prepare(batches) {
      const encode = tsvEncoder(landing);
      const chunks = batches.flatMap((batch) => [...encode(batch)]);
      const rows = batches.reduce((sum, { rowCount }) => sum + rowCount, 0);
      async function* file(): AsyncGenerator<Buffer> {
        yield* chunks;
      }
      return async () => {
        await load(file(), () => rows);
        return { rows, bytes: chunks.reduce((sum, { length }) => sum + length, 0) };
      };
    },
  };
}

function loadStatement(into: string, { columns }: Landing): string {
  const fields = columns.map(({ quoted, made }, at) => (made === null ? quoted : `@f${at}`));
  const made = columns.flatMap(({ quoted, made: expression }, at) =>
    expression === null ? [] : [`${quoted} = ${expression.replace('@', `@f${at}`)}`],
  );
  return `LOAD DATA LOCAL INFILE 'millrace' INTO TABLE ${into} ${loadFormat} (${fields.join(', ')})${made.length > 0 ? ` SET ${made.join(', ')}` : ''}`;
}

function inserter(session: Session, into: string, landing: Landing, object: string): Copier {
  const statementsOf = insertStatements(into, landing, session.server.maxPacket);
  const prepare = (batches: readonly ColumnBatch[]) => {
    const statements = batches.flatMap((batch) => [...statementsOf(batch)]);
    const sent = batches.reduce((sum, { rowCount }) => sum + rowCount, 0);
    return async (): Promise<Copied> => {
      let rows = 0;
      for (const statement of statements) {
        const { affected, warnings } = await session.execute(statement, object);
        if (warnings > 0) throw await warned(session, object);
        rows += affected;
      }
      if (rows !== sent) throw miscounted(object, sent, rows);
      return { rows, bytes: statements.reduce((sum, { length }) => sum + length, 0) };
    };
  };
  return {
    prepare,
    async stream(batches) {
      const total = { rows: 0, bytes: 0 };
      for await (const batch of batches) {
        const { rows, bytes } = await prepare([batch])();
        total.rows += rows;
        total.bytes += bytes;
      }
      return total;
    },
  };
}

/** The first thing that the server had to bend. */
export async function warned(session: Session, object: string): Promise<MillraceError> {
  const [first] = await session.query('SHOW WARNINGS LIMIT 1');
  return new MillraceError('TYPE_MISMATCH', {
    message: `${session.place.label}: ${object}: ${first?.['Message'] ?? 'a value does not fit'}.`,
    remedy: 'Change the value or the type of the column. With onBadRow such rows can be set aside.',
    facts: { object, errno: Number(first?.['Code'] ?? 0) },
  });
}

const miscounted = (object: string, sent: number, counted: number): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `${sent} rows were sent to ${object}, and the server counted ${counted}.`,
    remedy: 'The split is loaded again. If it happens each time, please report it.',
    facts: { sent, counted },
  });

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
