import { type TableChanges, takeRows } from '@millrace/core/runtime';

interface WithParts {
  readonly parts: readonly TableChanges[];
}

/** The changes of the earlier transactions, and those of the later ones; null where all are of one transaction. */
export function halved<Table extends WithParts>(tables: readonly Table[]): readonly [Table[], Table[]] | null {
  const parts = tables.flatMap((table) => table.parts);
  const first = Math.min(...parts.map(({ transactions }) => transactions[0]!));
  const last = Math.max(...parts.map(({ transactions }) => transactions.at(-1)!));
  if (first === last) return null;
  const middle = (first + last + 1) >> 1;
  return [between(tables, first, middle), between(tables, middle, last + 1)];
}

/** The changes of transactions from `from` on and before `to`. */
function between<Table extends WithParts>(tables: readonly Table[], from: number, to: number): Table[] {
  return tables.flatMap((table) => {
    const parts = table.parts.flatMap((part) => {
      const [begin, end] = [firstFrom(part.transactions, from), firstFrom(part.transactions, to)];
      return begin === end ? [] : [rowsOf(part, begin, end)];
    });
    return parts.length > 0 ? [{ ...table, parts }] : [];
  });
}

/** The first row of a transaction at or after this one; transactions rise. */
function firstFrom(transactions: Int32Array, wanted: number): number {
  let low = 0;
  for (let high = transactions.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (transactions[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The changes from `begin` on and before `end`. */
export function rowsOf(part: TableChanges, begin: number, end: number): TableChanges {
  if (begin === 0 && end === part.kinds.length) return part;
  const rows = Int32Array.from({ length: end - begin }, (_, at) => begin + at);
  return {
    ...part,
    kinds: part.kinds.subarray(begin, end),
    ordinals: part.ordinals.subarray(begin, end),
    transactions: part.transactions.subarray(begin, end),
    before: part.before.subarray(begin, end),
    rows: takeRows(part.rows, rows),
    old: part.old && takeRows(part.old, rows),
  };
}
