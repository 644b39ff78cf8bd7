import { createReadStream } from 'node:fs';
import {
  beforeKinds,
  type ChangeGroup,
  type ChangePart,
  type ColumnBatch,
  changeKinds,
  decodeCsv,
  MillraceError,
  type Position,
  type RowSchema,
  type SourceTransaction,
  sliceRows,
  type TableChanges,
  valuesVector,
} from '@millrace/core/runtime';
import type { Converted, Run } from './convert.ts';
import { positionAt } from './place.ts';

/** Rows of a group; it is closed at the end of a commit. A commit with more comes alone, in parts as they are read. */
const groupRows = 10_000;

export interface GroupsOf {
  readonly entry: number;
  /** Changes of commits before this place are passed over. */
  readonly from: number;
  readonly tables: ReadonlyMap<string, RowSchema>;
  readonly signal: AbortSignal;
}

/** What an entry of the journal holds, as groups. The last one's position is the end of the entry; an entry without news is an empty group. */
export async function* groupsOf(converted: Converted, of: GroupsOf): AsyncGenerator<ChangeGroup, void, undefined> {
  const cursors = [...converted.paths].map(([name, path]) => new Cursor(name, of.tables.get(name) as RowSchema, path));
  try {
    const end = positionAt(of.entry + 1);
    const runs = converted.runs.filter(({ first }) => first >= of.from);
    for (const cursor of cursors) await cursor.skipTo(of.from);
    let from = 0;
    while (from < runs.length) {
      of.signal.throwIfAborted();
      let to = from + 1;
      let rows = (runs[from] as Run).rows;
      while (to < runs.length && rows + (runs[to] as Run).rows <= groupRows) rows += (runs[to++] as Run).rows;
      const some = runs.slice(from, to);
      const next = runs[to];
      const position = next ? positionAt(of.entry, next.first) : end;
      yield rows > groupRows ? giant(some, cursors, of, position) : await small(some, rows, cursors, of, position);
      from = to;
    }
    if (runs.length === 0) yield nothingUpTo(end);
  } finally {
    for (const cursor of cursors) await cursor.close();
  }
}

export const nothingUpTo = (position: Position): ChangeGroup => ({
  transactions: [],
  parts: (async function* (): AsyncGenerator<ChangePart, void, undefined> {})(),
  size: { rows: 0, bytes: 0 },
  position: () => position,
});

async function small(
  runs: readonly Run[],
  rows: number,
  cursors: readonly Cursor[],
  of: GroupsOf,
  position: Position,
): Promise<ChangeGroup> {
  const parts: ChangePart[] = [];
  for await (const part of partsOf(runs, cursors)) parts.push(part);
  return {
    transactions: transactionsOf(runs, of.entry),
    parts: (async function* () {
      yield* parts;
    })(),
    size: { rows, bytes: rows * 128 },
    position: () => position,
  };
}

function giant(runs: readonly Run[], cursors: readonly Cursor[], of: GroupsOf, position: Position): ChangeGroup {
  let isOver = false;
  return {
    transactions: transactionsOf(runs, of.entry),
    parts: (async function* () {
      for await (const part of partsOf(runs, cursors)) {
        of.signal.throwIfAborted();
        yield part;
      }
      isOver = true;
    })(),
    size: null,
    position() {
      if (isOver) return position;
      throw new MillraceError('INTERNAL', { message: 'The end of the group is not known yet.', remedy: 'Read its parts first.' });
    },
  };
}

function transactionsOf(runs: readonly Run[], entry: number): SourceTransaction[] {
  const base = (runs[0] as Run).first;
  return runs.map(({ first, ts }) => ({
    commit: positionAt(entry, first),
    committedAt: isoOf(ts),
    xid: `${entry}.${first}`,
    firstOrdinal: first - base,
  }));
}

/** `2020-11-17 15:30:46.033` → `2020-11-17T15:30:46.033000Z`; DMS's clock is UTC. */
export function isoOf(ts: string): string {
  const [, date, time, fraction = ''] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?/.exec(ts) ?? [];
  return date === undefined ? '1970-01-01T00:00:00.000000Z' : `${date}T${time}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
}

async function* partsOf(runs: readonly Run[], cursors: readonly Cursor[]): AsyncGenerator<TableChanges, void, undefined> {
  const { last } = runs.at(-1) as Run;
  for (const cursor of cursors) for await (const slice of cursor.upTo(last)) yield changesOf(cursor, slice, runs);
}

/** Inserts come as updates, which put in what is not there: the full load may have a row already whose insert comes afterwards. */
function changesOf({ table, schema }: Cursor, slice: ColumnBatch, runs: readonly Run[]): TableChanges {
  const base = (runs[0] as Run).first;
  const [places, operations, ...vectors] = slice.vectors;
  const count = slice.rowCount;
  const kinds = new Uint8Array(count);
  const before = new Uint8Array(count);
  const ordinals = new Float64Array(count);
  const transactions = new Int32Array(count);
  let deletes = 0;
  let run = 0;
  for (let row = 0; row < count; row++) {
    const place = Number(places?.get(row));
    while ((runs[run] as Run).last < place) run++;
    const isDelete = operations?.get(row) === 'D';
    if (isDelete) deletes++;
    kinds[row] = isDelete ? changeKinds.delete : changeKinds.update;
    before[row] = isDelete ? beforeKinds.key : beforeKinds.none;
    ordinals[row] = place - base;
    transactions[row] = run;
  }
  const rows: ColumnBatch = { schema, rowCount: count, vectors };
  const keys = new Set(schema.key ?? []);
  const old = schema.columns.map(({ name, type }, column) =>
    valuesVector(
      type,
      Array.from({ length: count }, (_, row) => (before[row] === beforeKinds.key && keys.has(name) ? vectors[column]?.get(row) : null)),
    ),
  );
  return {
    kind: 'changes',
    table,
    kinds,
    ordinals,
    transactions,
    rows,
    old: deletes > 0 ? { schema, rowCount: count, vectors: old } : null,
    before,
  };
}

/** One table's changes, out of the file that the conversion has left. */
class Cursor {
  readonly table: string;
  readonly schema: RowSchema;
  readonly #stream: ReturnType<typeof createReadStream>;
  readonly #batches: AsyncIterator<ColumnBatch>;
  #batch: ColumnBatch | null = null;
  #row = 0;

  constructor(table: string, schema: RowSchema, path: string) {
    this.table = table;
    this.schema = schema;
    this.#stream = createReadStream(path, { highWaterMark: 256 * 1024 });
    this.#batches = decodeCsv(convertedSchema(schema), this.#stream)[Symbol.asyncIterator]();
  }

  async skipTo(place: number): Promise<void> {
    for await (const _ of this.upTo(place - 1));
  }

  /** Rows up to a place, and with it. */
  async *upTo(place: number): AsyncGenerator<ColumnBatch, void, undefined> {
    for (;;) {
      if (this.#batch === null || this.#row === this.#batch.rowCount) {
        const { value, done } = await this.#batches.next();
        if (done) return;
        this.#batch = value;
        this.#row = 0;
      }
      const batch = this.#batch as ColumnBatch;
      const from = this.#row;
      const places = batch.vectors[0];
      while (this.#row < batch.rowCount && Number(places?.get(this.#row)) <= place) this.#row++;
      if (this.#row > from) yield sliceRows(batch, from, this.#row);
      if (this.#row < batch.rowCount) return;
    }
  }

  async close(): Promise<void> {
    await this.#batches.return?.();
    this.#stream.destroy();
  }
}

const convertedSchema = ({ columns }: RowSchema): RowSchema => ({
  columns: [
    { name: '\0place', type: { kind: 'int8' }, nullable: false },
    { name: '\0op', type: { kind: 'text' }, nullable: false },
    ...columns.map((column) => ({ ...column, nullable: true })),
  ],
});
