import { takeRows } from '../../batch/index.ts';
import type { ChangeGroup, ChangePart, Position, TableChanges } from '../../connector/index.ts';

/** What a sink has: everything before `position`, and of each table everything before the position of its copy. */
export interface Has {
  readonly position: Position;
  readonly copied: ReadonlyMap<string, Position>;
}

/**
 * The group without what the sink has already: after a restart groups are cut differently, other sinks may be behind, and tables were
 * copied later than the stream began. See `SourceTransaction.commit` for the rule.
 */
export function trim(group: ChangeGroup, has: Has): ChangeGroup {
  const [oldest] = group.transactions;
  const isAhead = [has.position, ...has.copied.values()].some((position) => oldest !== undefined && oldest.commit < position);
  if (!isAhead) return group;
  return { transactions: group.transactions, size: group.size, position: () => group.position(), parts: trimmed(group, has) };
}

/** Changes of one table only, and only those of transactions before `end`. */
export function before(group: ChangeGroup, table: string, end: Position | undefined): ChangeGroup {
  const isWanted = (transaction: number): boolean => end === undefined || group.transactions[transaction]!.commit < end;
  const parts = filtered(group, (transaction, name) => name === table && isWanted(transaction));
  return { transactions: group.transactions, size: group.size, position: () => group.position(), parts };
}

function trimmed(group: ChangeGroup, has: Has): AsyncIterable<ChangePart> {
  return filtered(group, (transaction, table) => {
    const { commit } = group.transactions[transaction]!;
    const copied = has.copied.get(table);
    return commit >= has.position && (copied === undefined || commit >= copied);
  });
}

async function* filtered(
  group: ChangeGroup,
  isNew: (transaction: number, table: string) => boolean,
): AsyncGenerator<ChangePart, void, undefined> {
  for await (const part of group.parts) {
    switch (part.kind) {
      case 'changes': {
        const rows = Int32Array.from({ length: part.kinds.length }, (_, row) => row).filter((row) =>
          isNew(part.transactions[row]!, part.table),
        );
        if (rows.length > 0) yield takeChanges(part, rows);
        break;
      }
      case 'truncate': {
        const tables = part.tables.filter((table) => isNew(part.transaction, table));
        if (tables.length > 0) yield { ...part, tables };
        break;
      }
      case 'schema':
        if (isNew(part.transaction, part.table)) yield part;
        break;
      default:
        part satisfies never;
    }
  }
}

/** Some of the changes of a part, in their order. */
export function takeChanges(part: TableChanges, rows: Int32Array): TableChanges {
  if (rows.length === part.kinds.length) return part;
  return {
    kind: 'changes',
    table: part.table,
    kinds: Uint8Array.from(rows, (row) => part.kinds[row]!),
    ordinals: Float64Array.from(rows, (row) => part.ordinals[row]!),
    transactions: Int32Array.from(rows, (row) => part.transactions[row]!),
    rows: withoutOrigins(takeRows(part.rows, rows)),
    old: part.old && withoutOrigins(takeRows(part.old, rows)),
    before: Uint8Array.from(rows, (row) => part.before[row]!),
  };
}

export const withoutOrigins = ({ schema, rowCount, vectors }: TableChanges['rows']): TableChanges['rows'] => ({
  schema,
  rowCount,
  vectors,
});
