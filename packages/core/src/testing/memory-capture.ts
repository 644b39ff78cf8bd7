import type {
  CaptureConnection,
  CaptureSource,
  ChangeGroup,
  ChangeSource,
  Context,
  Position,
  ReadChanges,
  StreamName,
  TableSnapshot,
} from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { Table } from '../schema/index.ts';
import { changeGroup } from './change-groups.ts';
import type { LoggedChange, LoggedTransaction, MemoryDatabase, MemoryState } from './memory-database.ts';
import { memorySelection } from './memory-source.ts';

export interface MemoryCaptureOptions {
  /** How many transactions the next group has at most; as many as there are by default. */
  readonly cut?: () => number;
  /** Rows of a part at most. */
  readonly partRows?: () => number;
  /** A transaction with so many changes or more is a group of its own, whose end is not known before it is read. */
  readonly giant?: number;
  /** Rows of a split of a first copy. */
  readonly splitRows?: number;
  /** Called at each turn with what comes next; what it throws breaks the source, and while it waits the source waits. */
  readonly at?: (point: MemorySourcePoint) => Promise<void> | void;
}

export type MemorySourcePoint = 'open' | 'stream' | 'create' | 'snapshot' | 'group' | 'part' | 'nudge';

/** A database in memory as what `capture` takes: its tables are named as in the pipeline. */
export function memoryDatabase(database: MemoryDatabase, options: MemoryCaptureOptions = {}): CaptureConnection<unknown> {
  return {
    kind: 'connection',
    connector: 'memory',
    label: database.name,
    examine: async () => [],
    capture: (tables) => memoryCapture(database, tables, options),
  };
}

function memoryCapture(database: MemoryDatabase, tables: Readonly<Record<string, Table>>, options: MemoryCaptureOptions): CaptureSource {
  const description = { connector: 'memory', connection: database.name };
  return {
    kind: 'capture-source',
    description,
    connection: { kind: 'connection', connector: 'memory', label: database.name, examine: async () => [] },
    tables: Object.fromEntries(
      Object.entries(tables).map(([name, schema]) => [
        name,
        { name: schema.name, schema, selection: memorySelection({ schema, rows: () => database.rows(name), object: name }) },
      ]),
    ),
    offers: ['batches'],
    examine: async () => [],
    open: async (context, stream) => {
      await options.at?.('open');
      return new MemorySource(database, Object.keys(tables), options, context, stream);
    },
  };
}

/** Keeps every promise of `ChangeSource`, and holds its caller to them. */
class MemorySource implements ChangeSource {
  readonly #database: MemoryDatabase;
  readonly #tables: readonly string[];
  readonly #options: MemoryCaptureOptions;
  readonly #context: Context;
  readonly #slot: string;
  #isRead = false;
  #isOpen = true;

  constructor(database: MemoryDatabase, tables: readonly string[], options: MemoryCaptureOptions, context: Context, stream: StreamName) {
    this.#database = database;
    this.#tables = tables;
    this.#options = options;
    this.#context = context;
    this.#slot = `${stream.pipeline}_${stream.step}`;
  }

  async stream() {
    await this.#turn('stream');
    const slot = this.#database.slots.get(this.#slot);
    return slot ? { identity: slot.identity, confirmed: slot.confirmed, end: this.#database.end } : null;
  }

  async create() {
    await this.#turn('create');
    const { identity } = this.#database.makeSlot(this.#slot);
    return { identity, snapshot: this.#snapshotOf(identity.origin, this.#tables) };
  }

  async snapshot(tables: readonly string[]) {
    await this.#turn('snapshot');
    if (!this.#database.slots.has(this.#slot)) throw broken('a snapshot was asked for of a stream that is not there');
    return this.#snapshotOf(this.#database.end, tables);
  }

  read(after: Position, options: ReadChanges): AsyncIterable<ChangeGroup> {
    if (this.#isRead) throw broken('the stream was read twice');
    this.#isRead = true;
    const slot = this.#database.slots.get(this.#slot);
    if (!slot || after < slot.confirmed) throw broken(`the stream was read from ${after}, and begins at ${slot?.confirmed ?? 'nowhere'}`);
    return this.#groups(after, this.#tables, options);
  }

  release(position: Position): void {
    const slot = this.#database.slots.get(this.#slot);
    if (!slot || position > this.#database.end) throw broken(`${position} was released, and the source has come to ${this.#database.end}`);
    if (position > slot.confirmed) slot.confirmed = position;
  }

  async nudge() {
    await this.#turn('nudge');
    this.#database.nudge();
  }

  async health() {
    const lag = Number(this.#database.end) - Number(this.#database.slots.get(this.#slot)?.confirmed ?? 0);
    return {
      slot: this.#slot,
      state: 'reserved',
      retainedBytes: lag,
      budgetBytes: null,
      lagBytes: lag,
      growthPerSecond: 0,
      spooledBytes: 0,
      warnings: [],
    };
  }

  async [Symbol.asyncDispose]() {
    this.#isOpen = false;
  }

  async #turn(point: MemorySourcePoint): Promise<void> {
    this.#context.signal.throwIfAborted();
    if (!this.#isOpen) throw broken('the source was used after its end');
    await this.#options.at?.(point);
  }

  #snapshotOf(position: Position, tables: readonly string[]): TableSnapshot {
    const state: MemoryState = this.#database.stateAt(position);
    return {
      position,
      table: (name) => {
        const { schema, rows } = state.get(name) ?? { schema: this.#database.schema(name), rows: new Map() };
        if (!tables.includes(name)) throw broken(`the snapshot is not of ${name}`);
        const { splitRows } = this.#options;
        const selection = memorySelection({ schema, rows: () => [...rows.values()], batchRows: 3, ...(splitRows && { splitRows }) });
        return selection.open(this.#context);
      },
      read: (options) => this.#groups(position, tables, options),
      async [Symbol.asyncDispose]() {},
    };
  }

  async *#groups(after: Position, tables: readonly string[], { signal, until }: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { cut, partRows, giant = Number.POSITIVE_INFINITY } = this.#options;
    let place = this.#database.log.findIndex(({ commit }) => commit >= after);
    if (place < 0) place = this.#database.log.length;
    let reached = after;
    const options = () => ({
      isFull: (table: string) => this.#database.identityOf(table) === 'full',
      partRows: partRows?.() ?? Number.POSITIVE_INFINITY,
      beforePart: async () => {
        await this.#turn('part');
        signal.throwIfAborted();
      },
    });
    while (!signal.aborted) {
      await this.#turn('group');
      const { log, end } = this.#database;
      const most = Math.max(1, cut?.() ?? Number.POSITIVE_INFINITY);
      const taken: LoggedTransaction[] = [];
      let position = reached;
      let isGiant = false;
      while (place < log.length && taken.length < most && !isGiant) {
        const transaction = log[place] as LoggedTransaction;
        const own = { ...transaction, changes: transaction.changes.flatMap((change) => ofTables(change, tables) ?? []) };
        if (own.changes.length >= giant) {
          if (taken.length > 0) break;
          isGiant = true;
        }
        // A change of columns begins a group.
        if (taken.length > 0 && own.changes.some(({ kind }) => kind === 'schema')) break;
        place++;
        position = transaction.end;
        if (own.changes.length > 0) taken.push(own);
      }
      if (place === log.length && !isGiant && taken.length < most && end > position) position = end;
      if (position > reached) {
        const group = changeGroup(taken, { ...options(), position, giant: isGiant });
        yield group;
        reached = group.position(); // throws where its parts were not read
      }
      if (until !== undefined && reached >= until) return;
      if (place === this.#database.log.length) await this.#database.moved(reached, signal);
    }
  }
}

function ofTables(change: LoggedChange, tables: readonly string[]): LoggedChange | undefined {
  if (change.kind !== 'truncate') return tables.includes(change.table) ? change : undefined;
  const own = change.tables.filter((table) => tables.includes(table));
  return own.length > 0 ? { ...change, tables: own } : undefined;
}

const broken = (what: string): MillraceError =>
  new MillraceError('INTERNAL', { message: `Memory source: ${what}.`, remedy: 'Please report it.' });
