import { type ChangeGroup, MillraceError, type Position, type SourceTransaction } from '@millrace/core/runtime';
import { rowsOf } from '../../postgres/apply/halved.ts';
import type { Act, Segment } from '../../postgres/apply/segments.ts';

/**
 * A change of columns is DDL, which commits what was done before it. So a transaction of the source that changes rows first and columns
 * then is applied in several: the mark, written with the rows, says how far. Whoever applies the transaction again begins after it.
 */
export interface Mark {
  /** Which transaction. */
  readonly commit: Position;
  /** The last of its changes that is applied. */
  readonly ordinal: number;
  /** The tables of the stream then, by which its changes are numbered. */
  readonly tables: readonly string[];
}

/** An act without what the mark says is done; null where nothing is left of it. */
export function afterMark(act: Act, transactions: readonly SourceTransaction[], { commit, ordinal }: Mark): Act | null {
  const isDone = (transaction: number, place: number): boolean => {
    const of = transactions[transaction]!;
    return of.commit < commit || (of.commit === commit && place - of.firstOrdinal <= ordinal);
  };
  if (act.kind !== 'segment') return isDone(act.transaction, act.ordinal) ? null : act;
  const changes = new Map<string, Segment['changes'] extends ReadonlyMap<string, infer Parts> ? Parts : never>();
  for (const [table, parts] of act.changes) {
    const left = parts.flatMap((part) => {
      let begin = 0; // places rise
      while (begin < part.kinds.length && isDone(part.transactions[begin]!, part.ordinals[begin]!)) begin++;
      return begin === part.kinds.length ? [] : [rowsOf(part, begin, part.kinds.length)];
    });
    if (left.length > 0) changes.set(table, left);
  }
  return changes.size === 0 ? null : { kind: 'segment', changes };
}

/** @throws RESYNC_REQUIRED where changes are numbered otherwise than they were when the mark was made */
export function assertSameTables({ transactions }: ChangeGroup, { commit, tables }: Mark, now: readonly string[]): void {
  if (!transactions.some((one) => one.commit === commit) || JSON.stringify(tables) === JSON.stringify(now)) return;
  throw new MillraceError('RESYNC_REQUIRED', {
    message: `The transaction at ${commit} was applied in part when the stream had the tables ${tables.join(', ')}; it has ${now.join(', ')} now, so nobody can tell which part.`,
    remedy:
      'Give the capture the tables it had until the stream is past this transaction, or copy the tables again with "millrace resync".',
    facts: { commit },
  });
}
