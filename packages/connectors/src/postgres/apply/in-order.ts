import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type DeadLetters, keysOf } from './dead-letters.ts';
import type { Act } from './mirror-acts.ts';
import { type OneChange, shownKey } from './one-change.ts';
import { statement } from './statement.ts';

export interface InOrder {
  readonly session: Session;
  readonly letters: DeadLetters;
  readonly poison: 'stop' | 'dead-letter';
  readonly acts: (change: OneChange) => Act[];
}

/** Changes between two savepoints, where some may be set aside. */
const stretch = 256;

/**
 * Applies changes one by one, as the source made them: what compacting them could not do (unique values that change places), and the way to
 * the one that a table refuses.
 *
 * Answers the keys of rows about which the last word was set aside. @throws CHANGE_REFUSED that names it, where none may be
 */
export async function applyInOrder(work: InOrder, changes: readonly OneChange[]): Promise<ReadonlySet<string>> {
  const dead = new Set<string>();
  if (work.poison === 'stop') {
    for (const change of changes) {
      try {
        await applyOne(work, change);
      } catch (error) {
        throw isRowFault(error) ? refused(change, error) : error;
      }
    }
    return dead;
  }
  for (let at = 0; at < changes.length; ) {
    const end = Math.min(at + stretch, changes.length);
    await work.session.execute('SAVEPOINT stretch');
    const bad = await firstBad(work, changes, at, end);
    if (bad) {
      await work.session.execute('ROLLBACK TO SAVEPOINT stretch');
      for (let again = at; again < bad.at; again++) await applyOne(work, changes[again]!);
    }
    await comeThrough(work, changes, at, bad?.at ?? end, dead);
    if (bad) {
      const change = changes[bad.at]!;
      await work.letters.setAside(work.session, change, bad.error);
      if (change.target.key.length > 0) for (const key of keysOf(change)) dead.add(`${change.target.table} ${key}`);
    }
    await work.session.execute('RELEASE SAVEPOINT stretch');
    at = bad ? bad.at + 1 : end;
  }
  return dead;
}

/** Letters of this very go about rows that later changes have brought up to date. */
async function comeThrough(work: InOrder, changes: readonly OneChange[], from: number, to: number, dead: Set<string>): Promise<void> {
  if (dead.size === 0) return;
  for (let at = from; at < to; at++) {
    const change = changes[at]!;
    const { target } = change;
    if (target.key.length === 0) continue;
    const keys = keysOf(change).filter((key) => dead.delete(`${target.table} ${key}`));
    await work.letters.supersede(work.session, target, keys, work.letters.last);
  }
}

async function firstBad(
  work: InOrder,
  changes: readonly OneChange[],
  from: number,
  to: number,
): Promise<{ readonly at: number; readonly error: MillraceError } | null> {
  for (let at = from; at < to; at++) {
    try {
      await applyOne(work, changes[at]!);
    } catch (error) {
      if (!isRowFault(error)) throw error;
      return { at, error };
    }
  }
  return null;
}

export async function applyOne({ session, acts }: Pick<InOrder, 'session' | 'acts'>, change: OneChange): Promise<void> {
  for (const act of acts(change)) {
    for (let next: Act | undefined = act; next; ) {
      const { affected } = await session.prepared(statement(next.text), next.values, change.target.shown);
      if (affected !== 0) break;
      if (next.otherwise === 'refuse') throw noRow(change);
      next = next.otherwise;
    }
  }
}

const noRow = (change: OneChange): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: 'An update came without all its values, and the row that it changes is not there.',
    remedy: 'Copy the table again with "millrace resync".',
    facts: { table: change.target.shown },
  });

/** The row is at fault, not the statement, the server or the way to it. */
export function isRowFault(error: unknown): error is MillraceError {
  return isMillraceError(error) && ['TYPE_MISMATCH', 'VALUE_UNREPRESENTABLE', 'CHANGE_REFUSED', 'CHANGE_INCOMPLETE'].includes(error.code);
}

function refused(change: OneChange, error: MillraceError): MillraceError {
  const { target, transaction } = change;
  const key = shownKey(change);
  return new MillraceError('CHANGE_REFUSED', {
    message: `${target.shown} refuses the change of ${key} at ${transaction.commit}: ${error.message}`,
    remedy: `Mend the table or its row, then start again: the stream goes on with this transaction. Or let such changes go to the dead letters: apply({ poison: 'dead-letter' }).`,
    facts: { ...error.facts, table: target.shown, key, position: transaction.commit },
    cause: error,
  });
}
