import { type ChangeGroup, type Context, changeKinds, type Position, type ReadChanges } from '@millrace/core/runtime';
import { GroupBuilder, groupLimits } from '../../changes/group-builder.ts';
import { GroupQueue } from '../../changes/group-queue.ts';
import type { ColumnStep } from '../binlog/alter-table.ts';
import { corrupt, unfollowable } from '../binlog/corrupt.ts';
import type { DumpFrom } from '../binlog/dump-request.ts';
import type { LogEvent } from '../binlog/event.ts';
import { isPresent, type RowsEvent, readRowsEvent, rowsTable, sameText } from '../binlog/rows.ts';
import type { Statement, TableName } from '../binlog/statement.ts';
import { BinlogStream } from '../binlog/stream.ts';
import { type LogTable, readTableMap, tableId, tableName } from '../binlog/table-map.ts';
import type { SessionSettings } from '../credentials.ts';
import type { Ceiling } from './ceiling.ts';
import { type FollowedParts, type FollowedSetting, FollowedTable, type TableReading, type ToldChange } from './followed-table.ts';
import { FollowedTables } from './followed-tables.ts';
import { homeDatabase, nudgeTable } from './home.ts';
import { type FilePlace, type GroupHandler, type GroupStart, LogReader } from './log-reader.ts';
import { fileNumber, type LogServer } from './log-server.ts';
import { refusal } from './refusal.ts';
import { statementWork } from './statement-work.ts';
import { isReached, type StreamPlace } from './stream-position.ts';
import { Track } from './track.ts';

export interface ReadParts {
  readonly pipeline: string;
  readonly label: string;
  readonly settings: SessionSettings;
  readonly context: Pick<Context, 'secret' | 'signal'>;
  readonly server: LogServer;
  readonly from: DumpFrom;
  /** Where the reader begins; it changes its own copy. */
  readonly after: { readonly position: Position; readonly place: StreamPlace };
  readonly tables: readonly FollowedParts[];
  readonly setting: FollowedSetting;
  readonly memoryBytes: number;
  /** Keeps at the source what an ALTER TABLE did, before anything after it is handed on. */
  readonly remember: (table: string, commit: Position, steps: readonly ColumnStep[]) => Promise<void>;
  /** Raised before anybody is told of what comes after it; null for who reads beside the stream. */
  readonly ceiling: Ceiling | null;
  /** Told of the reader once it runs. */
  readonly onStart: (reader: ChangeReader) => Promise<void>;
}

/** Reads a log as groups of whole transactions, until the signal aborts or `until` is reached. */
export async function* readGroups(parts: ReadParts, { signal, until }: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
  if (signal.aborted) return;
  const reader = new ChangeReader(parts, until !== undefined);
  const stop = () => reader.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await reader.start();
    await parts.onStart(reader);
    // Nothing has to come where the reader is there already.
    if (until !== undefined && isReached(parts.after.position, until)) return;
    for (;;) {
      const group = await reader.queue.next(until);
      if (!group) return;
      yield* under(parts.ceiling, group);
      if (until !== undefined && group.position() >= until) return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    reader[Symbol.dispose]();
  }
}

/** A group whose end nobody hears of before it is written down at the source that somebody may have come so far. */
async function* under(ceiling: Ceiling | null, group: ChangeGroup): AsyncGenerator<ChangeGroup, void, undefined> {
  if (group.size !== null) {
    await ceiling?.reach(group.position());
    yield group;
    return;
  }
  const { transactions, size } = group;
  const parts = async function* () {
    yield* group.parts;
    await ceiling?.reach(group.position());
  };
  yield { transactions, size, parts: parts(), position: () => group.position() };
}

/** What a table map has told of the rows that name its number. */
interface Mapped {
  readonly bytes: Buffer;
  /** Null for a table that nobody follows. */
  readonly table: FollowedTable | null;
  readonly reading: TableReading | null;
}

/** Rows that belong to no table, and end a statement. */
const noTable = 0xff_ffff;

/** What the events of one log mean for the tables that are followed. */
export class ChangeReader implements Disposable {
  readonly queue: GroupQueue;
  readonly #parts: ReadParts;
  readonly #builder: GroupBuilder;
  readonly #track: Track;
  readonly #log: LogReader;
  readonly #tables: FollowedTables;
  readonly #mapped = new Map<number, Mapped>();
  /** Every position counts, also those that only our own bookkeeping has moved. */
  readonly #isHurried: boolean;
  #stream: BinlogStream | undefined;
  #held = 0;
  #isPaused = false;
  /** Somebody waits in the middle of an event that has more events in it. */
  #onRoom: () => void = () => {};
  #start: GroupStart | null = null;
  /** Somebody has been told of the transaction at work. */
  #isTouched = false;
  /** Changes of columns that it has told of, and those of one that was taken back, which columns keep. */
  #told: ToldChange[] = [];
  #untold: readonly ToldChange[] = [];
  /** What else it has in it. */
  #isForeign = false;
  #isNudge = false;
  #heardAt = performance.now();

  constructor(parts: ReadParts, isHurried: boolean) {
    this.#parts = parts;
    this.#isHurried = isHurried;
    this.queue = new GroupQueue(parts.after.position, (bytes) => this.#hold(-bytes));
    this.#builder = new GroupBuilder({
      limits: groupLimits(parts.memoryBytes),
      onGroup: (group, bytes) => this.queue.add(group, bytes),
      onBytes: (bytes) => this.#hold(bytes),
    });
    this.queue.attach(this.#builder);
    this.#track = new Track(parts.after.place);
    this.#log = new LogReader({
      counts: parts.server.counts,
      flavour: parts.server.flavour,
      charsets: parts.setting.charsets,
      at: placeInFiles(parts.from.place),
      handler: this.#handler(),
    });
    const tables = parts.tables.map((table) => new FollowedTable(table, parts.setting));
    this.#tables = new FollowedTables(tables, parts.server.foldsNames);
  }

  async start(): Promise<void> {
    const { settings, context, from, label, pipeline } = this.#parts;
    this.#stream = await BinlogStream.open({ settings, context, from, handler: (event) => this.#log.take(event) });
    this.#stream.done.catch((error: unknown) => this.queue.fail(refusal(error, { label, pipeline, stream: this.#stream as BinlogStream })));
  }

  /** No group is handed on any more, and the one that is coming in parts breaks off. */
  stop(): void {
    this.queue.end();
    this.#builder.fail(corrupt('not been read to the end of a transaction, since the reader was told to stop'));
  }

  /** What has come whole is handed on still, and then this is thrown. */
  fail(error: unknown): void {
    this.queue.fail(error);
  }

  /** Milliseconds since a change has come. */
  get quietMs(): number {
    return performance.now() - this.#heardAt;
  }

  /** Where in the files of the log it is. */
  get at(): FilePlace {
    return this.#log.at;
  }

  [Symbol.dispose](): void {
    this.stop();
    this.#stream?.destroy();
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    const { memoryBytes } = this.#parts;
    if (this.#isPaused ? this.#held >= memoryBytes / 2 : this.#held <= memoryBytes) return;
    this.#isPaused = !this.#isPaused;
    if (this.#isPaused) return this.#stream?.pause();
    this.#stream?.resume();
    this.#onRoom();
  }

  #handler(): GroupHandler {
    return {
      begin: (start) => {
        if (this.#track.has(start.name)) return false;
        this.#start = start;
        this.#isTouched = false;
        this.#isForeign = false;
        this.#isNudge = false;
        return true;
      },
      tableMap: (event) => this.#map(event),
      rows: (event) => this.#rows(event),
      statement: (statement) => this.#statement(statement),
      undone: (how) => {
        if (this.#isTouched) throw this.#undone(how);
      },
      abort: (how) => {
        if (!this.#isTouched) return;
        if (!this.#builder.abort()) throw this.#undone(how);
        this.#isTouched = false;
        this.#untold = this.#told;
      },
      commit: (end) => this.#commit(end),
      room: () =>
        this.#isPaused
          ? new Promise((resolve) => {
              this.#onRoom = resolve;
            })
          : null,
      // The file before may be taken away now, with our own bookkeeping as the last thing in it.
      moved: (end) => {
        this.#track.moveTo(end);
        this.#builder.moveTo(this.#track.position);
        this.queue.moved();
      },
    };
  }

  #undone(how: string): Error {
    return unfollowable(
      `The log has changes of captured tables which ${how} takes back, or leaves to be decided later.`,
      'Change captured tables in transactions of InnoDB alone, and without XA.',
      { how, xid: this.#start?.xid },
    );
  }

  /** The transaction at work has something of ours. */
  #touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    const { name, xid, committedAt } = this.#start as GroupStart;
    this.#builder.begin({ commit: this.#track.commit(name), committedAt, xid });
    this.#told = [];
    const untold = this.#untold;
    this.#untold = [];
    for (const change of untold) this.#tell(change);
  }

  /** Columns of a table are others from here on. */
  #tell(change: ToldChange): void {
    this.#touch();
    this.#told.push(change);
    this.#builder.schema(change);
    this.#builder.reshape(change.table);
  }

  #commit(end: FilePlace): void {
    const { name } = this.#start as GroupStart;
    this.#track.pass(name, end);
    if (this.#isTouched) {
      this.#builder.commit(this.#track.position);
      this.#heardAt = performance.now();
      this.queue.committed();
      return;
    }
    // What we write down of our own progress is no progress.
    if (!this.#isForeign && !this.#isHurried) return;
    this.#builder.moveTo(this.#track.position);
    if (this.#isNudge) this.queue.asked();
    this.queue.moved();
  }

  #map(event: LogEvent): Promise<void> | void {
    const id = tableId(event);
    const known = this.#mapped.get(id);
    if (known?.bytes.equals(event.bytes.subarray(event.start, event.end))) {
      if (!known.table) this.#isForeign = true;
      return;
    }
    const bytes = Buffer.from(event.bytes.subarray(event.start, event.end));
    const { schema, name } = tableName(event);
    const table = this.#find({ schema, name });
    if (schema !== homeDatabase || name === nudgeTable) this.#isForeign = true;
    if (schema === homeDatabase && name === nudgeTable) this.#isNudge = true;
    if (!table) {
      // Of our own every one is looked at, and of a table that is somebody's later.
      const isLooked = schema === homeDatabase || this.#tables.has({ schema, name });
      this.#mapped.set(id, { bytes: isLooked ? Buffer.alloc(0) : bytes, table: null, reading: null });
      return;
    }
    const log = readTableMap(event, this.#parts.setting.isMariaDb);
    const loading = this.#parts.setting.charsets.load(log.columns.flatMap(({ collation }) => collation ?? []));
    return loading ? loading.then(() => this.#follow(table, log, id, bytes)) : this.#follow(table, log, id, bytes);
  }

  #follow(table: FollowedTable, log: LogTable, id: number, bytes: Buffer): Promise<void> | void {
    const { reading, change, untold } = table.map(log);
    const take = (): void => {
      this.#touch();
      if (change) this.#tell(change);
      else this.#builder.reshape(table.table);
      this.#mapped.set(id, { bytes, table, reading });
    };
    if (!untold) return take();
    const commit = this.#track.commit((this.#start as GroupStart).name);
    return this.#parts.remember(table.table, commit, untold).then(take);
  }

  #rows(event: LogEvent): void {
    const id = rowsTable(event);
    const mapped = this.#mapped.get(id);
    if (!mapped) {
      if (id === noTable) return;
      throw corrupt(`rows of table ${id}, of which nothing was told`);
    }
    if (!mapped.table || !mapped.reading) return;
    this.#touch();
    this.#read(mapped.table, mapped.reading, readRowsEvent(event, mapped.reading.row.tuple.columns));
  }

  #read(table: FollowedTable, { shape, wanted, key, row, old }: TableReading, rows: RowsEvent): void {
    const { kind, bytes, end, before, after } = rows;
    const isKeyed = key.length > 0;
    if (kind !== 'insert') this.#mustHave(table, isKeyed ? key : wanted, before, 'the row before a change');
    if (kind === 'insert') this.#mustHave(table, wanted, after, 'a new row');
    else if (kind === 'update') this.#mustHave(table, key, after, 'a changed row');
    const builder = this.#builder;
    const oldKind = isKeyed ? 'key' : 'row';
    let at = rows.start;
    while (at < end) {
      const from = at;
      switch (kind) {
        case 'insert':
          at = row.read(bytes, at, end, after);
          builder.change(shape, changeKinds.insert, row.tuple, null, null);
          break;
        case 'delete':
          at = old.read(bytes, at, end, before);
          builder.change(shape, changeKinds.delete, null, old.tuple, oldKind);
          break;
        case 'update': {
          at = old.read(bytes, at, end, before);
          at = row.read(bytes, at, end, after);
          const isSame = isKeyed && key.every((column) => sameText(row.tuple, old.tuple, column));
          builder.change(shape, changeKinds.update, row.tuple, isSame ? null : old.tuple, isSame ? null : oldKind);
          break;
        }
        default:
          kind satisfies never;
      }
      if (at === from) throw corrupt('a row without any column');
    }
  }

  #mustHave(table: FollowedTable, columns: readonly number[], present: Buffer, what: string): void {
    if (columns.every((column) => isPresent(present, column))) return;
    throw unfollowable(
      `The log has ${what} of ${table.name} without all of its columns.`,
      'Set binlog_row_image = FULL, and let no session have another (SET SESSION binlog_row_image).',
      { table: table.table },
    );
  }

  /** Null for what nobody follows, or not yet: before its copy it was another table, or the copy has what happened. */
  #find(name: TableName): FollowedTable | null {
    return this.#tables.find(name, () => this.#track.commit((this.#start as GroupStart).name));
  }

  #statement(statement: Statement): Promise<void> | void {
    this.#isForeign = true;
    const work = statementWork(statement, this.#tables, (name) => this.#find(name));
    switch (work?.do) {
      case 'truncate':
        this.#touch();
        this.#builder.truncate([work.table.table]);
        return;
      case 'alter':
        return this.#alter(work.table, work.steps);
      case undefined:
        return;
      default:
        work satisfies never;
    }
  }

  #alter(table: FollowedTable, steps: readonly ColumnStep[]): Promise<void> {
    for (const [id, mapped] of this.#mapped) if (mapped.table === table) this.#mapped.delete(id);
    const commit = this.#track.commit((this.#start as GroupStart).name);
    return this.#parts.remember(table.table, commit, steps).then(() => {
      const change = table.alter(steps);
      if (change) this.#tell(change);
    });
  }
}

function placeInFiles(place: DumpFrom['place']): FilePlace {
  return place.by === 'file' ? { file: fileNumber(place.name), offset: place.offset } : { file: 0, offset: 4 };
}
