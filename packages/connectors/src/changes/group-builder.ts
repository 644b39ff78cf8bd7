import {
  beforeKinds,
  type ChangeGroup,
  type ChangeKind,
  type ChangePart,
  type Position,
  type SchemaChange,
  type SourceTransaction,
} from '@millrace/core/runtime';
import { LargeGroup, wholeGroup } from './change-group.ts';
import { TableRows } from './table-rows.ts';
import type { TableShape } from './table-shape.ts';
import type { OldKind, Tuple } from './tuple.ts';

export interface GroupLimits {
  /** A group is closed at this many rows or bytes, at the end of a transaction. */
  readonly rows: number;
  readonly bytes: number;
  /** A transaction with more bytes than this is a group of its own, whose parts are handed on as they come. */
  readonly large: number;
  /** Bytes of a part of such a transaction; its rows are those of a group. */
  readonly part: number;
}

/**
 * Well below the memory there is, so that the stream never waits for room that only its own end would make. Parts of a large transaction are
 * large enough for a COPY to be worth its while.
 */
export function groupLimits(memoryBytes: number): GroupLimits {
  const atMost = (mebibytes: number, share: number): number => Math.min(mebibytes * 1024 * 1024, memoryBytes / share);
  return { rows: 10_000, bytes: atMost(8, 8), large: atMost(16, 4), part: atMost(4, 16) };
}

/** When a transaction has grown to this, the whole ones before it are closed: what is moved to a group of its own stays small. */
const cutBytes = 256 * 1024;
/** What a row costs beside its bytes and places. */
const rowOverhead = 32;

/** One transaction on its way. */
export interface TransactionHead {
  readonly commit: Position;
  readonly committedAt: string;
  readonly xid: string;
}

/**
 * Puts changes together to groups of whole transactions. Rows of all transactions of a group go into the same batches, table by table; when
 * a group is closed in the middle of a transaction, the rows of that one are moved to the next group.
 *
 *   transactions   [ whole … whole | open ]
 *   rows           [ ……………… whole | open ]     `mark` of each table
 *   parts          closed batches and barriers, of the open transaction only where nothing is whole
 */
export class GroupBuilder {
  readonly #limits: GroupLimits;
  readonly #onGroup: (group: ChangeGroup, bytes: number) => void;
  readonly #onBytes: (bytes: number) => void;
  #tables = new Map<string, TableRows>();
  #parts: ChangePart[] = [];
  #transactions: SourceTransaction[] = [];
  /** Transactions, changes, rows and bytes that are whole. */
  #whole = 0;
  #wholeOrdinal = 0;
  #wholeRows = 0;
  #wholeBytes = 0;
  #ordinal = 0;
  #rows = 0;
  #bytes = 0;
  #position: Position | null = null;
  #head: TransactionHead | null = null;
  /** Counts transactions, to tell whose mark a table has. */
  #serial = 0;
  #isListed = false;
  #large: LargeGroup | null = null;

  constructor(parts: {
    readonly limits: GroupLimits;
    /** Takes a group that is closed, or a large one that has only begun; its bytes count as taken with it. */
    readonly onGroup: (group: ChangeGroup, bytes: number) => void;
    /** Bytes that came to be held here, or left. */
    readonly onBytes: (bytes: number) => void;
  }) {
    this.#limits = parts.limits;
    this.#onGroup = parts.onGroup;
    this.#onBytes = parts.onBytes;
  }

  /** Whole transactions wait to be handed on. */
  get hasWhole(): boolean {
    return this.#whole > 0;
  }

  /** How far the stream has come, where nothing but the position has moved. */
  get position(): Position | null {
    return this.#position;
  }

  get isInTransaction(): boolean {
    return this.#head !== null;
  }

  begin(head: TransactionHead): void {
    this.#head = head;
    this.#serial++;
    this.#isListed = false;
  }

  change(shape: TableShape, kind: ChangeKind, row: Tuple | null, old: Tuple | null, oldKind: OldKind | null): void {
    this.#list();
    const rows = this.#rowsOf(shape);
    const before = oldKind === null ? beforeKinds.none : oldKind === 'key' ? beforeKinds.key : beforeKinds.row;
    const size = rows.size;
    rows.add(kind, this.#ordinal++, this.#transactions.length - 1, row, old, before);
    const bytes = rows.size - size + 8 * shape.columns.length + rowOverhead;
    this.#rows++;
    this.#grow(bytes);
  }

  truncate(tables: readonly string[]): void {
    this.#list();
    this.#barrier();
    this.#add({ kind: 'truncate', tables, transaction: this.#transactions.length - 1, ordinal: this.#ordinal++ });
  }

  /** Stands between two changes, and is none itself: it is made anew when the stream is read again, and the changes keep their ordinals. */
  schema(change: Omit<SchemaChange, 'kind' | 'transaction' | 'ordinal'>): void {
    this.#list();
    this.#barrier();
    this.#add({ kind: 'schema', ...change, transaction: this.#transactions.length - 1, ordinal: this.#ordinal });
  }

  /** Rows of a table from here on have another shape. */
  reshape(table: string): void {
    if (this.#tables.get(table)?.rows) this.#barrier();
    this.#tables.delete(table);
  }

  commit(position: Position): void {
    this.#head = null;
    this.#position = position;
    if (this.#large) {
      this.#closeTables();
      this.#flushParts();
      this.#large.end(position);
      this.#large = null;
      this.#reset();
      return;
    }
    this.#whole = this.#transactions.length;
    this.#wholeOrdinal = this.#ordinal;
    this.#wholeRows = this.#rows;
    this.#wholeBytes = this.#bytes;
    if (this.#rows >= this.#limits.rows || this.#bytes >= this.#limits.bytes) this.closeGroup();
  }

  /** Takes the transaction at work back; false where a part of it is out already. */
  abort(): boolean {
    if (this.#large) return false;
    this.#head = null;
    if (!this.#isOpen) return true;
    // What is whole goes first: then all that is left is to go.
    this.closeGroup();
    this.#onBytes(-this.#bytes);
    this.#reset();
    return true;
  }

  /** The transaction at work was none of ours. */
  skip(): void {
    this.#head = null;
  }

  /** Nothing of ours up to `position`, outside of a transaction. */
  moveTo(position: Position): void {
    if (this.#position === null || position > this.#position) this.#position = position;
  }

  /** Hands on the whole transactions, where there are any. */
  closeGroup(): void {
    if (this.#whole === 0) return;
    const position = this.#position as Position;
    const transactions = this.#transactions.slice(0, this.#whole);
    const size = { rows: this.#wholeRows, bytes: this.#wholeBytes };
    const rest = this.#isOpen ? this.#takeOpen() : null;
    this.#closeTables();
    const parts = this.#parts;
    const bytes = this.#wholeBytes;
    if (rest) rest();
    else this.#reset();
    this.#onGroup(wholeGroup(position, transactions, parts, size), bytes);
  }

  /** What is left of a transaction that breaks off. */
  fail(error: unknown): void {
    this.#large?.fail(error);
  }

  /** The transaction at work has changes of ours. */
  get #isOpen(): boolean {
    return this.#transactions.length > this.#whole;
  }

  #list(): void {
    if (this.#isListed) return;
    this.#isListed = true;
    const { commit, committedAt, xid } = this.#head as TransactionHead;
    this.#transactions.push({ commit, committedAt, xid, firstOrdinal: this.#ordinal });
  }

  #rowsOf(shape: TableShape): TableRows {
    let rows = this.#tables.get(shape.table);
    if (!rows) {
      rows = new TableRows(shape);
      this.#tables.set(shape.table, rows);
    }
    if (rows.marked !== this.#serial) {
      rows.marked = this.#serial;
      rows.markRows = rows.rows;
      rows.markSize = rows.size;
    }
    return rows;
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    this.#onBytes(bytes);
    const open = this.#bytes - this.#wholeBytes;
    if (this.#whole > 0 && open > cutBytes) this.closeGroup();
    if (this.#large) {
      if (this.#bytes >= this.#limits.part || this.#rows >= this.#limits.rows) {
        this.#closeTables();
        this.#flushParts();
      }
    } else if (this.#whole === 0 && this.#bytes > this.#limits.large) this.#beginLarge();
  }

  #beginLarge(): void {
    this.#large = new LargeGroup(this.#transactions[0] as SourceTransaction, (bytes) => this.#onBytes(-bytes));
    this.#closeTables();
    this.#flushParts();
    this.#onGroup(this.#large, 0);
  }

  /** Everything before stands in parts that are handed on before what comes now. */
  #barrier(): void {
    this.closeGroup();
    this.#closeTables();
  }

  #add(part: ChangePart): void {
    this.#parts.push(part);
    this.#grow(rowOverhead);
  }

  #closeTables(): void {
    for (const rows of this.#tables.values()) if (rows.rows > 0) this.#parts.push(rows.close());
    this.#tables = new Map();
  }

  #flushParts(): void {
    const parts = this.#parts;
    // The first part answers for the bytes of all: they are taken one after the other anyway.
    parts.forEach((part, at) => void this.#large?.add(part, at === 0 ? this.#bytes : 0));
    if (parts.length === 0) this.#onBytes(-this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    this.#rows = 0;
  }

  /** Cuts the rows of the open transaction off; the answer makes them the beginning of the next group. */
  #takeOpen(): () => void {
    const [ordinal, whole] = [this.#wholeOrdinal, this.#whole];
    const rest = new Map<string, TableRows>();
    for (const [table, rows] of this.#tables) {
      if (rows.marked !== this.#serial || rows.rows === rows.markRows) continue;
      const moved = rows.splitAtMark(ordinal, whole);
      moved.marked = this.#serial;
      rest.set(table, moved);
    }
    const state = {
      transactions: this.#transactions.slice(whole).map((head) => ({ ...head, firstOrdinal: head.firstOrdinal - ordinal })),
      ordinal: this.#ordinal - ordinal,
      rows: this.#rows - this.#wholeRows,
      bytes: this.#bytes - this.#wholeBytes,
    };
    return () => {
      this.#reset();
      this.#tables = rest;
      this.#transactions = state.transactions;
      this.#ordinal = state.ordinal;
      this.#rows = state.rows;
      this.#bytes = state.bytes;
    };
  }

  #reset(): void {
    this.#tables = new Map();
    this.#parts = [];
    this.#transactions = [];
    this.#whole = 0;
    this.#wholeOrdinal = 0;
    this.#wholeRows = 0;
    this.#wholeBytes = 0;
    this.#ordinal = 0;
    this.#rows = 0;
    this.#bytes = 0;
  }
}
