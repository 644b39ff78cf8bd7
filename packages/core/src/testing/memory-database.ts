import { type ColumnChange, type Position, positionOf, type StreamIdentity, type StreamTables } from '../connector/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { Rows } from './memory-source.ts';

export type MemoryRow = Readonly<Record<string, unknown>>;

/** What a transaction does. A key is a row of which the key columns are looked at. */
export type Statement =
  | { readonly do: 'insert'; readonly table: string; readonly row: MemoryRow }
  | { readonly do: 'update'; readonly table: string; readonly key: MemoryRow; readonly set: MemoryRow }
  | { readonly do: 'delete'; readonly table: string; readonly key: MemoryRow }
  | { readonly do: 'truncate'; readonly tables: readonly string[] }
  | { readonly do: 'alter'; readonly table: string; readonly changes: readonly ColumnChange[] };

/** A committed transaction, as the log has it. */
export interface LoggedTransaction {
  readonly xid: string;
  readonly commit: Position;
  readonly end: Position;
  readonly committedAt: string;
  readonly changes: readonly LoggedChange[];
}

export type LoggedChange =
  | { readonly kind: 'insert'; readonly table: string; readonly schema: RowSchema; readonly row: MemoryRow }
  | {
      readonly kind: 'update';
      readonly table: string;
      readonly schema: RowSchema;
      readonly row: MemoryRow;
      readonly old: MemoryRow;
      /** Columns that the log does not bring, since the update left them as they were. */
      readonly unchanged: readonly string[];
    }
  | { readonly kind: 'delete'; readonly table: string; readonly schema: RowSchema; readonly old: MemoryRow }
  | { readonly kind: 'truncate'; readonly tables: readonly string[] }
  | {
      readonly kind: 'schema';
      readonly table: string;
      readonly schema: RowSchema;
      readonly changes: readonly ColumnChange[];
      readonly retold?: boolean;
    };

export interface MemoryTableOptions {
  /** Columns that stand elsewhere when they are not changed, as long texts of Postgres do. */
  readonly toasted?: readonly string[];
  /** Whether the log has the key of the row before, or all of it. `key` by default, for a table that has one. */
  readonly identity?: 'key' | 'full';
}

interface TableState {
  readonly schema: RowSchema;
  readonly rows: ReadonlyMap<string, MemoryRow>;
}

/** What a sink would see that had applied everything before a position. */
export type MemoryState = ReadonlyMap<string, TableState>;

/** A slot: what the database remembers of a stream. */
export interface MemorySlot {
  readonly identity: StreamIdentity;
  confirmed: Position;
}

/** Tables in memory, and a log of what was done to them. Clockwork: positions, transaction ids and times are counted. */
export class MemoryDatabase {
  readonly name: string;
  readonly slots = new Map<string, MemorySlot>();
  readonly log: LoggedTransaction[] = [];
  readonly #options: Readonly<Record<string, MemoryTableOptions>>;
  readonly #states: { readonly at: Position; readonly state: MemoryState }[] = [];
  #state: Map<string, TableState>;
  #at = 100;
  #slots = 0;
  #waiting: (() => void)[] = [];

  constructor(tables: StreamTables, options: Readonly<Record<string, MemoryTableOptions>> = {}, name = 'memory') {
    this.name = name;
    this.#options = options;
    this.#state = new Map(Object.entries(tables).map(([table, schema]) => [table, { schema, rows: new Map() }]));
  }

  /** As far as the log is written. */
  get end(): Position {
    return memoryPosition(this.#at);
  }

  schema(table: string): RowSchema {
    return this.#table(table).schema;
  }

  rows(table: string): Rows {
    return [...this.#table(table).rows.values()];
  }

  /** The tables with everything that was committed before a position. */
  stateAt(position: Position): MemoryState {
    return this.#states.findLast(({ at }) => at < position)?.state ?? this.#first;
  }

  /** All that happens at once. @throws where a row is there already, or is not there; then nothing has happened */
  commit(...statements: readonly Statement[]): LoggedTransaction {
    return this.transaction((run) => {
      for (const statement of statements) run(statement);
    });
  }

  /** As `commit`, for statements that depend on what those before them did. */
  transaction(work: (run: (statement: Statement) => void) => void): LoggedTransaction {
    const before = new Map(this.#state);
    this.#begin ??= before;
    const changes: LoggedChange[] = [];
    try {
      work((statement) => changes.push(this.#do(statement)));
    } catch (error) {
      this.#state = before;
      throw error;
    }
    // Every other commit stands at the very end of the one before it.
    const commit = memoryPosition(this.#at + (this.log.length % 2) * 3);
    this.#at = Number(commit) + 2;
    const xid = String(700 + this.log.length);
    const committedAt = new Date(Date.UTC(2026, 0, 1) + 1000 * this.log.length).toISOString().replace('Z', '000Z');
    const logged = { xid, commit, end: this.end, committedAt, changes };
    this.log.push(logged);
    this.#states.push({ at: commit, state: new Map(this.#state) });
    this.#wake();
    return logged;
  }

  /** Something that no table shows. */
  nudge(): void {
    this.#at += 1;
    this.#wake();
  }

  makeSlot(name: string): MemorySlot {
    this.#slots++;
    const origin = this.end;
    const slot = { identity: { source: `${this.name}:1`, slot: name, origin }, confirmed: origin };
    this.#at += 1; // a slot that is made anew begins elsewhere
    this.slots.set(name, slot);
    return slot;
  }

  /** Resolves when there is more than up to `position`, or the signal aborts. */
  async moved(position: Position, signal: AbortSignal): Promise<void> {
    if (this.end > position || signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #begin: MemoryState | undefined;
  get #first(): MemoryState {
    return this.#begin ?? this.#state;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #table(table: string): TableState {
    const state = this.#state.get(table);
    if (!state) throw new Error(`there is no table ${table}`);
    return state;
  }

  #do(statement: Statement): LoggedChange {
    switch (statement.do) {
      case 'insert': {
        const { table, row } = statement;
        const { schema } = this.#table(table);
        this.#put(table, null, row);
        return { kind: 'insert', table, schema, row };
      }
      case 'update': {
        const { table, key, set } = statement;
        const { schema } = this.#table(table);
        const old = this.#get(table, key);
        const row = { ...old, ...set };
        this.#put(table, old, row);
        const { toasted = [], identity = 'key' } = this.#options[table] ?? {};
        const unchanged = identity === 'full' ? [] : toasted.filter((name) => Object.hasOwn(row, name) && !Object.hasOwn(set, name));
        return { kind: 'update', table, schema, row, old, unchanged };
      }
      case 'delete': {
        const { table, key } = statement;
        const { schema, rows } = this.#table(table);
        const old = this.#get(table, key);
        const left = new Map(rows);
        left.delete(this.#keyOf(table, old));
        this.#state.set(table, { schema, rows: left });
        return { kind: 'delete', table, schema, old };
      }
      case 'truncate':
        for (const table of statement.tables) this.#state.set(table, { schema: this.#table(table).schema, rows: new Map() });
        return { kind: 'truncate', tables: statement.tables };
      case 'alter': {
        const { table, changes } = statement;
        const state = altered(this.#table(table), changes);
        this.#state.set(table, state);
        return { kind: 'schema', table, schema: state.schema, changes };
      }
      default:
        return statement satisfies never;
    }
  }

  #get(table: string, key: MemoryRow): MemoryRow {
    const row = this.#table(table).rows.get(this.#keyOf(table, key));
    if (!row) throw new Error(`${table} has no such row`);
    return row;
  }

  #put(table: string, old: MemoryRow | null, row: MemoryRow): void {
    const { schema, rows } = this.#table(table);
    const before = old && this.#keyOf(table, old);
    const key = this.#keyOf(table, row);
    if (key !== before && rows.has(key)) throw new Error(`${table} has such a row`);
    const next = new Map(rows);
    if (before !== null) next.delete(before);
    next.set(key, row);
    this.#state.set(table, { schema, rows: next });
  }

  #keyOf(table: string, row: MemoryRow): string {
    return memoryKey(this.#table(table).schema, row);
  }

  /** Whether the log has all of the row before, or its key. */
  identityOf(table: string): 'key' | 'full' {
    return this.#options[table]?.identity ?? 'key';
  }
}

export const memoryPosition = (at: number): Position => positionOf(String(at).padStart(12, '0'));

/** What identifies a row; all of it, where the table has no key. */
export function memoryKey(schema: RowSchema, row: MemoryRow): string {
  const names = schema.key ?? schema.columns.map(({ name }) => name);
  return JSON.stringify(names.map((name) => printed(row[name])));
}

const printed = (value: unknown): unknown => (typeof value === 'bigint' ? `${value}n` : value === undefined ? null : value);

function altered({ schema, rows }: TableState, changes: readonly ColumnChange[]): TableState {
  let columns = [...schema.columns];
  const key = schema.key?.map((name) => changes.reduce((was, one) => (one.change === 'rename' && one.from === was ? one.to : was), name));
  let now = [...rows.values()];
  // At once, so that two columns may take each other's name.
  const names = new Map(changes.flatMap((one) => (one.change === 'rename' ? [[one.from, one.to] as const] : [])));
  const renamed = (name: string): string => names.get(name) ?? name;
  columns = columns.map((column) => ({ ...column, name: renamed(column.name) }));
  now = now.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [renamed(name), value])));
  for (const change of changes) {
    if (change.change === 'drop') {
      columns = columns.filter(({ name }) => name !== change.name);
      now = now.map(({ [change.name]: _, ...row }) => row);
    } else if (change.change === 'add') {
      columns = [...columns, change.column];
      now = now.map((row) => ({ ...row, [change.column.name]: change.fill }));
    } else if (change.change === 'retype') {
      columns = columns.map((column) => (column.name === change.name ? change.to : column));
    }
  }
  const after = { ...schema, columns, ...(key && { key }) };
  return { schema: after, rows: new Map(now.map((row) => [memoryKey(after, row), row])) };
}

/** The same rows in the same tables, whatever their order; for assertions. */
export function plainState(state: MemoryState): Record<string, MemoryRow[]> {
  return Object.fromEntries(
    [...state]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([table, { schema, rows }]) => [
        table,
        [...rows]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, row]) => Object.fromEntries(schema.columns.map(({ name }) => [name, row[name] ?? null]))),
      ]),
  );
}
