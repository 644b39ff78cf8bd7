import { beforeKinds, changeKinds, hasUnchanged, type TableChanges } from '@millrace/core/runtime';
import { KeyBytes, type KeyWriter, keyForm, keyVectors, keyWriter } from './key-bytes.ts';
import { KeyTable } from './key-table.ts';
import { ChangeList, NumberedParts, type Piece } from './pieces.ts';
import { grown, UnchangedColumns } from './unchanged-columns.ts';

/** What some changes of one table come to in its history: at most one version of a row for each transaction. */
export interface CompactedHistory {
  /** Rows whose version that was current before these changes ends, and by which transaction. */
  readonly ended: KeyedRows;
  readonly versions: readonly Versions[];
}

export interface KeyedRows {
  readonly pieces: readonly Piece[];
  /** For each row, in the order of the pieces. */
  readonly transactions: readonly number[];
}

export interface Versions extends KeyedRows {
  /** Columns whose values stand in the version before, in the table. */
  readonly unknown: readonly string[];
  /** For each row the transaction that ended the version, or null where it is current. */
  readonly ends: readonly (number | null)[];
}

/** Null where the changes have to be applied one by one. */
export function compactHistory(parts: readonly TableChanges[], key: readonly string[]): CompactedHistory | null {
  if (parts.some(({ rows }) => keyVectors(rows, key).some(hasUnchanged))) return null;
  return new HistoryCompaction(parts, key).run();
}

/** Something that happened to the row of a key, by the end of a transaction. */
interface Event {
  readonly entry: number;
  change: number;
  isEnd: boolean;
  /** The key of an end stands in `old` of its change. */
  isMove: boolean;
  isMerged: boolean;
  mask: string;
  readonly transaction: number;
  readonly previous: Event | null;
  isDropped: boolean;
  next: Event | null;
}

const keys = new KeyBytes();

class HistoryCompaction {
  readonly #numbered: NumberedParts;
  readonly #key: readonly string[];
  readonly #keys = new KeyTable(keys);
  readonly #unchanged: UnchangedColumns | null;
  readonly #events: Event[] = [];
  readonly #last: (Event | null)[] = [];
  /** 1 where the row was there before the first change of it. */
  #existed = new Uint8Array(1024);

  constructor(parts: readonly TableChanges[], key: readonly string[]) {
    this.#numbered = new NumberedParts(parts);
    this.#key = key;
    this.#unchanged = UnchangedColumns.of(this.#numbered);
  }

  run(): CompactedHistory | null {
    const { parts, bases } = this.#numbered;
    const form = keyForm(
      parts.flatMap(({ rows, old }) => (old ? [rows, old] : [rows])),
      this.#key,
    );
    for (const [place, part] of parts.entries()) {
      const writeOld = part.old && keyWriter(part.old, this.#key, form);
      if (!this.#read(part, bases[place]!, keyWriter(part.rows, this.#key, form), writeOld)) return null;
    }
    return this.#result();
  }

  #read(part: TableChanges, base: number, write: KeyWriter, writeOld: KeyWriter | null): boolean {
    const { kinds, before, transactions } = part;
    const unchanged = this.#unchanged;
    unchanged?.open(part);
    for (let row = 0; row < kinds.length; row++) {
      const kind = kinds[row]!;
      const change = base + row;
      const transaction = transactions[row]!;
      const entry = this.#find(write, row, kind === changeKinds.insert ? 0 : 1);
      if (kind === changeKinds.delete) {
        this.#end(entry, change, transaction, false);
        continue;
      }
      if (kind === changeKinds.insert) {
        unchanged?.begin(entry, row);
        this.#version(entry, change, transaction, false);
        continue;
      }
      const isNew = this.#last[entry] === undefined;
      const from = before[row] === beforeKinds.none || writeOld === null ? entry : this.#find(writeOld, row, 1);
      const last = this.#last[from];
      const goesOn = last !== null && last !== undefined && !last.isEnd;
      const isMerged = unchanged?.follow(entry, row, change, goesOn ? from : -1, last?.change ?? -1) ?? false;
      if (!goesOn && last && unchanged?.lacks(entry)) return false;
      if (from !== entry) {
        if (unchanged?.lacks(entry)) return false;
        if (isNew) this.#existed[entry] = 0;
        this.#end(from, change, transaction, true);
      }
      this.#version(entry, change, transaction, isMerged);
    }
    return true;
  }

  #find(write: KeyWriter, row: number, existed: 0 | 1): number {
    const known = this.#keys.count;
    const entry = this.#keys.find(write, row);
    if (entry >= this.#existed.length) this.#existed = grown(new Uint8Array(this.#existed.length * 2), this.#existed);
    if (entry === known) this.#existed[entry] = existed;
    return entry;
  }

  #version(entry: number, change: number, transaction: number, isMerged: boolean): void {
    const last = this.#last[entry] ?? null;
    const mask = this.#unchanged?.mask(entry) ?? '';
    if (last && last.transaction === transaction) {
      Object.assign(last, { change, isEnd: false, isMove: false, isMerged, mask } satisfies Partial<Event>);
      return;
    }
    this.#push({ entry, change, isEnd: false, isMove: false, isMerged, mask, transaction, previous: last, isDropped: false, next: null });
  }

  #end(entry: number, change: number, transaction: number, isMove: boolean): void {
    const last = this.#last[entry] ?? null;
    if (last && last.transaction === transaction) {
      const wasThere = last.previous ? !last.previous.isEnd : this.#existed[entry] === 1;
      if (wasThere) Object.assign(last, { change, isEnd: true, isMove } satisfies Partial<Event>);
      else {
        // It came and went within one transaction: nobody has seen it.
        last.isDropped = true;
        this.#last[entry] = last.previous;
      }
      return;
    }
    this.#push({
      entry,
      change,
      isEnd: true,
      isMove,
      isMerged: false,
      mask: '',
      transaction,
      previous: last,
      isDropped: false,
      next: null,
    });
  }

  #push(event: Event): void {
    this.#events.push(event);
    this.#last[event.entry] = event;
  }

  #result(): CompactedHistory {
    const events = this.#events.filter(({ isDropped }) => !isDropped);
    for (const event of events) if (event.previous) event.previous.next = event;
    const first = events.filter(({ previous, entry }) => previous === null && this.#existed[entry] === 1);
    const [there, moved] = [first.filter(({ isEnd, isMove }) => !isEnd || !isMove), first.filter(({ isEnd, isMove }) => isEnd && isMove)];
    const left = this.#rows(moved, 'old');
    const ended = this.#rows(there, 'rows');
    const versions = new Map<string, Event[]>();
    for (const event of events) {
      if (event.isEnd) continue;
      const same = versions.get(event.mask);
      if (same) same.push(event);
      else versions.set(event.mask, [event]);
    }
    return {
      ended: { pieces: [...ended.pieces, ...left.pieces], transactions: [...ended.transactions, ...left.transactions] },
      versions: [...versions].map(([mask, list]) => ({
        ...this.#rows(list, 'rows'),
        unknown: this.#unchanged?.names(mask) ?? [],
        ends: list.map(({ next }) => next?.transaction ?? null),
      })),
    };
  }

  /** In the order of the events. */
  #rows(events: readonly Event[], side: 'rows' | 'old'): KeyedRows {
    const list = new ChangeList(this.#numbered);
    for (const { change } of events) list.add(change);
    const transactions = events.map(({ transaction }) => transaction);
    const inOnePiece = this.#numbered.parts.length === 1 && !events.some(({ isMerged }) => isMerged);
    if (inOnePiece) return { pieces: list.pieces(side), transactions };
    const previous = this.#unchanged?.previous ?? new Int32Array(this.#numbered.count).fill(-1);
    return { pieces: list.gathered(previous, side), transactions };
  }
}
