import {
  beforeKinds,
  type ChangeGroup,
  type ChangePart,
  changeKinds,
  MillraceError,
  type Position,
  type TableChanges,
} from '@millrace/core/runtime';
import type { Command } from './command.ts';
import type { TextRow } from './form.ts';
import { chunks, type KeptTable } from './kept-table.ts';
import type { Spill } from './spill.ts';
import { textRows } from './text-rows.ts';

/** So many rows are asked for at once. */
const rowsAtOnce = 500;

interface TableState {
  /** What each key that was touched is to be; null where it is to go. */
  readonly rows: Map<string, TextRow | null>;
  /** What was there before the group, of keys that were asked for. */
  readonly before: Map<string, TextRow | null>;
  /** Everything else of the table is to go. */
  readonly truncated: boolean;
  /** Nothing of what was there before the group is left. */
  readonly isEmptied: boolean;
}

export interface PendingOptions {
  /** True where keys are only thrown away, and whoever reads fills them again. */
  readonly invalidate: boolean;
  /** Characters that may be pending. */
  readonly budget: number;
  /** What was pending before. */
  readonly spill: Spill;
}

/**
 * What a group of changes comes to, key by key: the last version of each row counts. Values that an update does not bring are taken from
 * the group, else from what is kept. Nothing is written here; what comes out says what keys are to be.
 */
export class Pending {
  readonly #tables: ReadonlyMap<string, KeptTable>;
  readonly #options: PendingOptions;
  readonly #states = new Map<string, TableState>();
  #size = 0;

  constructor(tables: ReadonlyMap<string, KeptTable>, options: PendingOptions) {
    this.#tables = tables;
    this.#options = options;
  }

  /** @throws CHANGE_REFUSED where a row is not there whose values the change does not bring */
  async add(part: Exclude<ChangePart, { kind: 'schema' }>, { transactions }: Pick<ChangeGroup, 'transactions'>): Promise<void> {
    if (part.kind === 'truncate') {
      for (const table of part.tables) this.#states.set(table, { rows: new Map(), before: new Map(), truncated: true, isEmptied: true });
      return;
    }
    const table = this.#tables.get(part.table);
    if (!table) return;
    const state = this.#stateOf(part.table);
    const changes = changesOf(table, part);
    if (!this.#options.invalidate) await this.#askFor(table, state, changes);
    for (const [place, change] of changes.entries()) {
      const { oldKey, newKey } = change;
      const commit = transactions[part.transactions[place]!]?.commit ?? null;
      const row = newKey === null || this.#options.invalidate ? null : wholeRow(table, state, change, commit);
      if (oldKey !== null && oldKey !== newKey) this.#set(state, oldKey, null);
      if (newKey !== null) this.#set(state, newKey, row);
    }
  }

  /** Those of a table's keys that are to be there. */
  keys(table: string): string[] {
    return [...(this.#states.get(table)?.rows ?? [])].flatMap(([key, row]) => (row === null ? [] : [key]));
  }

  /** True where it is time to write down what is pending. */
  get isFull(): boolean {
    return this.#size > this.#options.budget;
  }

  /** What is pending was written down: what comes next builds on it. */
  async spilled(): Promise<void> {
    for (const [table, { rows, truncated, isEmptied }] of this.#states) {
      if (truncated) for await (const some of this.#options.spill.rows(table)) await this.#options.spill.put(table, gone(some));
      if (!this.#options.invalidate) await this.#options.spill.put(table, rows);
      this.#states.set(table, { rows: new Map(), before: new Map(), truncated: false, isEmptied });
    }
    this.#size = 0;
  }

  async *commands(): AsyncGenerator<Command> {
    for (const [name, state] of this.#states) {
      const table = this.#tables.get(name);
      if (!table) continue;
      if (state.truncated) yield* this.#emptied(table, state);
      else if (table.form.sorted.length > 0) yield* this.#leaving(table, state);
      for (const [key, row] of state.rows) {
        if (row === null) yield table.remove(key);
        else yield* table.put(key, row);
        yield* table.enter(row);
      }
    }
  }

  #stateOf(table: string): TableState {
    const state = this.#states.get(table) ?? { rows: new Map(), before: new Map(), truncated: false, isEmptied: false };
    this.#states.set(table, state);
    return state;
  }

  /** Rows that lend values to updates which do not bring them. */
  async #askFor(table: KeptTable, state: TableState, changes: readonly KeyChange[]): Promise<void> {
    const keys = new Set<string>();
    for (const { oldKey, newKey, values } of changes) {
      const key = oldKey ?? newKey;
      if (newKey !== null && key !== null && lacks(table, values) && !state.before.has(key)) keys.add(key);
    }
    for (const some of chunks(keys, rowsAtOnce)) {
      for (const [key, row] of await this.#read(table, state, some)) {
        state.before.set(key, row);
        this.#size += sizeOf(key, row);
      }
    }
  }

  /** Rows as they are before what is pending. */
  async #read(table: KeptTable, { truncated, isEmptied }: TableState, keys: readonly string[]): Promise<Map<string, TextRow | null>> {
    if (truncated) return new Map();
    const rows = await this.#options.spill.read(table.table, keys);
    const left = keys.filter((key) => !rows.has(key));
    if (!isEmptied) for (const [key, row] of await table.read(left)) rows.set(key, row);
    return rows;
  }

  async *#leaving(table: KeptTable, state: TableState): AsyncGenerator<Command> {
    for (const some of chunks(state.rows, rowsAtOnce)) {
      const { before } = state;
      const unknown = some.flatMap(([key]) => (before.has(key) ? [] : [key]));
      const asked = await this.#read(table, state, unknown);
      for (const [key, row] of some) yield* table.leave(before.get(key) ?? asked.get(key) ?? null, row);
    }
  }

  async *#emptied(table: KeptTable, { rows }: TableState): AsyncGenerator<Command> {
    for await (const some of this.#options.spill.rows(table.table)) {
      for (const [key, row] of some) {
        yield* table.leave(row, null);
        if (!rows.has(key)) yield table.remove(key);
      }
    }
    for await (const keys of table.keys()) for (const key of keys) if (!rows.has(key)) yield table.remove(key);
    for await (const sets of table.sets()) for (const set of sets) yield ['UNLINK', set];
  }

  #set(state: TableState, key: string, row: TextRow | null): void {
    const last = state.rows.get(key);
    state.rows.set(key, row);
    this.#size += sizeOf(key, row) - (last === undefined ? 0 : sizeOf(key, last));
  }
}

const gone = (rows: readonly (readonly [string, TextRow])[]): ReadonlyMap<string, null> => new Map(rows.map(([key]) => [key, null]));

/** About what it takes up, in characters. */
function sizeOf(key: string, row: TextRow | null): number {
  let size = key.length + 64;
  for (const text of row?.values() ?? []) size += (text?.length ?? 0) + 32;
  return size;
}

/** One change, by the keys of its row before and after it; null where there is none. */
interface KeyChange {
  readonly oldKey: string | null;
  readonly newKey: string | null;
  readonly values: TextRow;
}

function changesOf(table: KeptTable, { kinds, before, rows, old }: TableChanges): KeyChange[] {
  const values = textRows(rows, table.names);
  const olds = old && textRows(old, new Set(table.form.template.columns));
  return Array.from(kinds, (kind, row): KeyChange => {
    const oldKey = olds && before[row] !== beforeKinds.none ? table.key(olds(row)) : null;
    if (kind === changeKinds.delete) return { oldKey, newKey: null, values: new Map() };
    const after = values(row);
    return { oldKey, newKey: table.key(after), values: after };
  });
}

function lacks(table: KeptTable, values: TextRow): boolean {
  for (const name of table.names) if (!values.has(name)) return true;
  return false;
}

/** Null where the row may have expired, so that it stays away until somebody reads it in again. */
function wholeRow(table: KeptTable, state: TableState, { oldKey, newKey, values }: KeyChange, commit: Position | null): TextRow | null {
  if (!lacks(table, values)) return values;
  const key = (oldKey ?? newKey) as string;
  const base = state.rows.has(key) ? state.rows.get(key) : state.before.get(key);
  if (base) return new Map([...base, ...values]);
  if (table.form.as === 'string') return values; // no key is NULL
  if (table.form.ttlMs !== null) return null;
  const missing = [...table.names].filter((name) => !values.has(name));
  throw new MillraceError('CHANGE_REFUSED', {
    message: `An update of "${table.table}" left ${missing.join(', ')} as it was, and "${key}" is not there to take that from.`,
    remedy: `Copy the table again (millrace resync --table ${table.table}); with REPLICA IDENTITY FULL at the source updates bring everything.`,
    facts: { table: table.table, key, position: commit },
  });
}
