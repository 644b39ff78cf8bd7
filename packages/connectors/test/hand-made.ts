import {
  batchOfRows,
  beforeKinds,
  type ChangeGroup,
  type ChangePart,
  type ColumnChange,
  type ColumnSchema,
  changeKinds,
  type Position,
  positionOf,
  type RowSchema,
  type SourceTransaction,
  type StreamIdentity,
  type StreamTables,
  type TableChanges,
  unchangedVector,
  type Vector,
} from '@millrace/core/runtime';
import type { Row } from './load.ts';

/** Change groups made by hand, as a source would hand them over. */
export type Change =
  | { readonly op: 'insert'; readonly table: string; readonly row: Row }
  /** `unchanged`: columns that the source does not send. `old`: the key before, or with `whole` the row. */
  | {
      readonly op: 'update';
      readonly table: string;
      readonly row: Row;
      readonly unchanged?: readonly string[];
      readonly old?: Row;
      readonly whole?: boolean;
    }
  | { readonly op: 'delete'; readonly table: string; readonly old: Row; readonly whole?: boolean }
  | { readonly op: 'truncate'; readonly tables: readonly string[] }
  | {
      readonly op: 'schema';
      readonly table: string;
      readonly schema: RowSchema;
      readonly changes: readonly ColumnChange[];
      readonly retold?: boolean;
    };

export interface Transaction {
  /** Of its commit; the position after it is one more. */
  readonly at: number;
  readonly changes: readonly Change[];
}

export const positionAt = (at: number): Position => positionOf(at.toString(16).toUpperCase().padStart(16, '0'));
export const streamOf = (slot = 'slot', origin = 0): StreamIdentity => ({ source: 'postgres:7/shop', slot, origin: positionAt(origin) });

/** A group of whole transactions; `upTo` where nothing of ours came after the last one. */
export function groupOf(tables: StreamTables, transactions: readonly Transaction[], upTo?: number): ChangeGroup {
  let count = 0;
  const sources = transactions.map(({ at, changes }): SourceTransaction => {
    const firstOrdinal = count;
    count += changes.length;
    return {
      commit: positionAt(at),
      committedAt: new Date(1_767_225_600_000 + at * 1000).toISOString().replace('Z', '123Z'),
      xid: String(700 + at),
      firstOrdinal,
    };
  });
  const position = positionAt(upTo ?? (transactions.at(-1)?.at ?? 0) + 1);
  return {
    transactions: sources,
    size: { rows: count, bytes: count * 100 },
    position: () => position,
    parts: (async function* () {
      yield* partsOf({ ...tables }, transactions);
    })(),
  };
}

interface Waiting {
  readonly change: Exclude<Change, { op: 'truncate' | 'schema' }>;
  readonly ordinal: number;
  readonly transaction: number;
}

/** Between two barriers, all changes of a table together. */
function* partsOf(tables: Record<string, RowSchema>, transactions: readonly Transaction[]): Generator<ChangePart> {
  let ordinal = 0;
  let waiting = new Map<string, Waiting[]>();
  function* barrier(): Generator<ChangePart> {
    for (const [table, list] of waiting) yield tableChanges(table, tables[table]!, list);
    waiting = new Map();
  }
  for (const [transaction, { changes }] of transactions.entries()) {
    for (const change of changes) {
      if (change.op === 'truncate' || change.op === 'schema') {
        yield* barrier();
        if (change.op === 'schema') tables[change.table] = change.schema;
        yield change.op === 'truncate'
          ? { kind: 'truncate', tables: change.tables, transaction, ordinal }
          : { ...withoutOp(change), kind: 'schema', transaction, ordinal };
      } else {
        const list = waiting.get(change.table) ?? [];
        waiting.set(change.table, [...list, { change, ordinal, transaction }]);
      }
      ordinal++;
    }
  }
  yield* barrier();
}

function tableChanges(table: string, schema: RowSchema, list: readonly Waiting[]): TableChanges {
  const key = schema.key ?? [];
  const nullable: RowSchema = { ...schema, columns: schema.columns.map((column) => ({ ...column, nullable: true })) };
  const full = (row: Row, only?: readonly string[]): Row =>
    Object.fromEntries(schema.columns.map(({ name }) => [name, only && !only.includes(name) ? null : (row[name] ?? null)]));
  const after = list.map(({ change }) => {
    if (change.op === 'delete') return full(change.old, change.whole ? undefined : key);
    const unchanged = change.op === 'update' ? (change.unchanged ?? []) : [];
    return full(
      change.row,
      schema.columns.map(({ name }) => name).filter((name) => !unchanged.includes(name)),
    );
  });
  const old = list.map(({ change }) =>
    change.op === 'insert' || !change.old ? full({}) : full(change.old, change.whole ? undefined : key),
  );
  const before = list.map(({ change }) =>
    change.op === 'insert' || !change.old ? beforeKinds.none : change.whole ? beforeKinds.row : beforeKinds.key,
  );
  const rows = batchOfRows(nullable, after);
  const vectors = rows.vectors.map((vector, place) => marked(vector, schema.columns[place]!, list));
  return {
    kind: 'changes',
    table,
    kinds: Uint8Array.from(list, ({ change }) => changeKinds[change.op]),
    ordinals: Float64Array.from(list, ({ ordinal }) => ordinal),
    transactions: Int32Array.from(list, ({ transaction }) => transaction),
    rows: { ...rows, schema, vectors },
    old: before.some((kind) => kind !== beforeKinds.none) ? { ...batchOfRows(nullable, old), schema } : null,
    before: Uint8Array.from(before),
  };
}

function marked(vector: Vector, { name }: ColumnSchema, list: readonly Waiting[]): Vector {
  const flags = new Uint8Array(Math.ceil(list.length / 8));
  let some = false;
  for (const [row, { change }] of list.entries()) {
    if (change.op !== 'update' || !change.unchanged?.includes(name)) continue;
    flags[row >> 3]! |= 1 << (row & 7);
    some = true;
  }
  return some ? unchangedVector(vector, flags) : vector;
}

const withoutOp = <C extends { readonly op: string }>({ op: _, ...rest }: C): Omit<C, 'op'> => rest;
