import { type ColumnBatch, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../session.ts';
import type { Outcome } from '../wire/packets.ts';
import { loadFormat, tsvEncoder } from './encode.ts';
import { insertStatements } from './insert-values.ts';
import type { Landing, LandingColumn } from './landing.ts';
import type { LoadFiles } from './load-files.ts';
import { fileLoader } from './load-from-s3.ts';

export interface Copied {
  readonly rows: number;
  readonly bytes: number;
}

export interface Copier {
  /** All of them in one go, where that is quicker. */
  stream(batches: AsyncIterable<ColumnBatch>): Promise<Copied>;
  /** Some batches, written out before anything is sent. @throws VALUE_UNREPRESENTABLE at once */
  prepare(batches: readonly ColumnBatch[]): () => Promise<Copied>;
}

/** Through LOAD DATA LOCAL where the server takes it, else by INSERT. With `files` what comes in one go is left to the server to read. */
export function copierOf(session: Session, into: string, landing: Landing, object: string, files: LoadFiles | null = null): Copier {
  const fits = session.server.localInfile && landing.columns.length > 0;
  const sent = fits ? loader(session, into, landing, object) : inserter(session, into, landing, object);
  const copier = files && landing.columns.length > 0 ? { ...sent, stream: fileLoader(session, into, landing, object, files) } : sent;
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
  const text = loadStatement("LOCAL INFILE 'millrace'", into, landing);
  const load = async (file: AsyncIterable<Buffer>, rows: () => number): Promise<void> => {
    // What does not fit is bent, and a warning says so: LOCAL has no way to stop the client.
    await assertTaken(session, await session.load(text, file, object), rows(), object);
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

/** `from` is `LOCAL INFILE '…'`, or another place of LOAD DATA. */
export function loadStatement(from: string, into: string, { columns }: Landing): string {
  const fields = columns.map(({ quoted, made }, at) => (made === null ? quoted : `@f${at}`));
  const made = columns.flatMap(({ quoted, made: expression }, at) =>
    expression === null ? [] : [`${quoted} = ${expression.replace('@', `@f${at}`)}`],
  );
  return `LOAD DATA ${from} INTO TABLE ${into} ${loadFormat} (${fields.join(', ')})${made.length > 0 ? ` SET ${made.join(', ')}` : ''}`;
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

/** @throws TYPE_MISMATCH where the server had to bend a value, WIRE_CORRUPT where it counted other rows than were sent */
export async function assertTaken(session: Session, { affected, warnings }: Outcome, rows: number, object: string): Promise<void> {
  if (warnings > 0) throw await warned(session, object);
  if (affected !== rows) throw miscounted(object, rows, affected);
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
