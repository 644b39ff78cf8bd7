import { unchangedVector, type Vector, valuesVector } from '../batch/index.ts';
import {
  beforeKinds,
  type ChangeGroup,
  type ChangeKind,
  type ChangePart,
  changeKinds,
  type Position,
  type SourceTransaction,
  type TableChanges,
} from '../connector/index.ts';
import { MillraceError } from '../error/index.ts';
import type { RowSchema } from '../schema/index.ts';
import type { LoggedChange, LoggedTransaction, MemoryRow } from './memory-database.ts';

export interface GroupOptions {
  /** The rows of a part at most; all between two barriers where it is left out. */
  readonly partRows?: number;
  /** One transaction whose end is not known before it is read. */
  readonly giant?: boolean;
  /** Whether the row before an update or delete is known as a whole. */
  readonly isFull?: (table: string) => boolean;
  /** The end, where it is not that of the last transaction. */
  readonly position?: Position;
  /** Called before each part: may wait, or throw. */
  readonly beforePart?: () => Promise<void> | void;
}

/** A group of what a log has, as a source would hand it on. */
export function changeGroup(
  logged: readonly LoggedTransaction[],
  options: GroupOptions & { readonly position?: Position } = {},
): ChangeGroup {
  const end = options.position ?? logged.at(-1)?.end;
  if (end === undefined) throw new TypeError('an empty group needs a position');
  const transactions: SourceTransaction[] = [];
  const numbered: Numbered[] = [];
  for (const [transaction, { commit, committedAt, xid, changes }] of logged.entries()) {
    transactions.push({ commit, committedAt, xid, firstOrdinal: numbered.length });
    for (const change of changes) numbered.push({ change, transaction, ordinal: numbered.length });
  }
  const parts = partsOf(numbered, options);
  let left = parts.length;
  async function* inOrder(): AsyncGenerator<ChangePart, void, undefined> {
    for (const part of parts) {
      await options.beforePart?.();
      left--;
      yield part;
    }
  }
  return {
    transactions,
    parts: inOrder(),
    size: options.giant ? null : { rows: numbered.length, bytes: numbered.length * 64 },
    position() {
      if (!options.giant || left === 0) return end;
      throw new MillraceError('INTERNAL', { message: 'The end of the group is not known yet.', remedy: 'Read its parts first.' });
    },
  };
}

interface Numbered {
  readonly change: LoggedChange;
  readonly transaction: number;
  readonly ordinal: number;
}

function partsOf(numbered: readonly Numbered[], { partRows = Number.POSITIVE_INFINITY, isFull = () => false }: GroupOptions): ChangePart[] {
  const parts: ChangePart[] = [];
  let open = new Map<string, Numbered[]>();
  const close = (): void => {
    for (const [table, some] of open) if (some.length > 0) parts.push(tableChanges(table, some, isFull(table)));
    open = new Map();
  };
  for (const one of numbered) {
    const { change, transaction, ordinal } = one;
    if (change.kind === 'truncate') {
      close();
      parts.push({ kind: 'truncate', tables: change.tables, transaction, ordinal });
    } else if (change.kind === 'schema') {
      close();
      parts.push({ ...change, transaction, ordinal });
    } else {
      const some = open.get(change.table) ?? [];
      if (some.length === 0) open.set(change.table, some);
      some.push(one);
      if (some.length >= partRows) {
        parts.push(tableChanges(change.table, some.splice(0), isFull(change.table)));
      }
    }
  }
  close();
  return parts;
}

function tableChanges(table: string, some: readonly Numbered[], isFull: boolean): TableChanges {
  const changes = some.map(
    ({ change }) => change as Extract<LoggedChange, { readonly table: string; readonly schema: RowSchema }> & RowChange,
  );
  const schema = (changes[0] as (typeof changes)[0]).schema;
  const before = changes.map((change) => beforeOf(change, schema, isFull));
  const olds = changes.map((change, place) => imageOf(change.kind === 'insert' ? null : change.old, before[place]!, schema));
  const rows = changes.map((change, place) => (change.kind === 'delete' ? olds[place] : change.row) ?? {});
  const unchanged = changes.map((change) => (change.kind === 'update' ? change.unchanged : []));
  return {
    kind: 'changes',
    table,
    kinds: Uint8Array.from(changes, ({ kind }): ChangeKind => changeKinds[kind]),
    ordinals: Float64Array.from(some, ({ ordinal }) => ordinal),
    transactions: Int32Array.from(some, ({ transaction }) => transaction),
    rows: { schema, rowCount: rows.length, vectors: schema.columns.map((column) => vectorOf(column, rows, unchanged)) },
    old: before.some((kind) => kind !== beforeKinds.none)
      ? { schema, rowCount: rows.length, vectors: schema.columns.map((column) => vectorOf(column, olds, [])) }
      : null,
    before: Uint8Array.from(before),
  };
}

type RowChange = Extract<LoggedChange, { readonly kind: 'insert' | 'update' | 'delete' }>;

function beforeOf(change: RowChange, schema: RowSchema, isFull: boolean): number {
  if (change.kind === 'insert') return beforeKinds.none;
  if (isFull || !schema.key) return beforeKinds.row;
  if (change.kind === 'delete') return beforeKinds.key;
  return schema.key.every((name) => change.old[name] === change.row[name]) ? beforeKinds.none : beforeKinds.key;
}

function imageOf(row: MemoryRow | null, before: number, schema: RowSchema): MemoryRow {
  if (row === null || before === beforeKinds.none) return {};
  return before === beforeKinds.row ? row : Object.fromEntries((schema.key ?? []).map((name) => [name, row[name]]));
}

function vectorOf(
  { name, type }: RowSchema['columns'][number],
  rows: readonly MemoryRow[],
  unchanged: readonly (readonly string[])[],
): Vector {
  const isUnchanged = (place: number): boolean => unchanged[place]?.includes(name) ?? false;
  const vector = valuesVector(
    type,
    rows.map((row, place) => (isUnchanged(place) ? null : (row[name] ?? null))),
  );
  if (!rows.some((_, place) => isUnchanged(place))) return vector;
  const flags = new Uint8Array(Math.ceil(rows.length / 8));
  for (const place of rows.keys()) if (isUnchanged(place)) flags[place >> 3]! |= 1 << (place & 7);
  return unchangedVector(vector, flags);
}
