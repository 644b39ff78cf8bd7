import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ChangeGroup,
  isMillraceError,
  MillraceError,
  type Position,
  type SourceTransaction,
  type TableTruncate,
} from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { Applying } from './apply-sink.ts';
import { compactOnce } from './compact.ts';
import { keysOf } from './dead-letters.ts';
import { passing } from './failpoints.ts';
import { halved } from './halved.ts';
import { applyInOrder, isRowFault } from './in-order.ts';
import type { Mode } from './modes.ts';
import type { OneChange } from './one-change.ts';
import { applySchemaChange } from './schema-change.ts';
import { type Act, type Segment, segmentsOf } from './segments.ts';
import { beginMove, move } from './stream-state.ts';
import { referredFirst } from './table-order.ts';
import { columnsOf, type TargetTable } from './target-table.ts';
import { Turns } from './turns.ts';
import type { TableParts } from './write-mirror.ts';

/** How often a group is begun again that another session stood in the way of (a deadlock, a lock). */
const conflictAttempts = 4;

/** What a writer writes to, and how. */
export interface Writing extends Pick<Applying, 'settings' | 'stream' | 'hold' | 'lanes' | 'asReplica' | 'letters'> {
  readonly session: Session;
  readonly mode: Mode;
  /** As they are now: a change of schema puts another one in a table's place. */
  readonly targets: Map<string, TargetTable>;
}

/** `continued` where others of the group came before. */
interface How {
  readonly meanwhile: (() => void) | undefined;
  readonly continued: boolean;
}

/**
 * Writes groups, each in one transaction with its position. A group is compacted first; where that fails on a row, it is done again between
 * savepoints, and changes that could not be compacted are applied one by one.
 */
export class GroupWriter {
  readonly #writing: Writing;
  /** Groups that have been looked at already. */
  readonly #ahead = new WeakMap<ChangeGroup, Promise<readonly Act[]>>();

  constructor(writing: Writing) {
    this.#writing = writing;
  }

  async write(group: ChangeGroup): Promise<Position> {
    // A giant comes as it is read, and only once.
    if (group.size === null) return this.#attempt(group, segmentsOf(group.parts), true);
    const acts = await this.#actsOf(group);
    let carefully = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(group, acts, carefully);
      } catch (error) {
        if (!carefully && isRowFault(error)) carefully = true;
        else if (isRowFault(error) && error.code !== 'CHANGE_REFUSED') throw refusedAtEnd(group, error);
        else if (attempt >= conflictAttempts || !isMillraceError(error) || error.code !== 'LOAD_CONFLICT') throw error;
        else await sleep(50 * 2 ** attempt);
      }
    }
  }

  #actsOf(group: ChangeGroup): Promise<readonly Act[]> {
    const known = this.#ahead.get(group);
    if (known) return known;
    const acts = all(segmentsOf(group.parts));
    acts.catch(() => {}); // told when its turn comes
    this.#ahead.set(group, acts);
    return acts;
  }

  /** While the server is busy with a group: what the one behind it needs and no change of columns can spoil. */
  async #lookAhead(group: ChangeGroup, acts: readonly Act[]): Promise<void> {
    const { mode, targets } = this.#writing;
    const next = mode.compacts && acts.every(({ kind }) => kind !== 'schema') ? group.next?.() : null;
    if (!next || this.#ahead.has(next)) return;
    for (const act of await this.#actsOf(next)) {
      if (act.kind !== 'segment') return;
      for (const [table, parts] of act.changes) {
        const key = targets.get(table)?.key ?? [];
        if (key.length > 0) compactOnce(parts, key);
      }
    }
  }

  async #attempt(group: ChangeGroup, acts: AsyncIterable<Act> | readonly Act[], carefully: boolean): Promise<Position> {
    const { session, hold, targets } = this.#writing;
    const early = group.size === null ? null : group.position();
    const before = new Map(targets);
    try {
      await beginMove(session, hold, early);
      passing('postgres.apply.begun');
      const meanwhile = Array.isArray(acts) ? () => void this.#lookAhead(group, acts).catch(() => {}) : undefined;
      await this.writeParts(acts, group.transactions, carefully, meanwhile);
      passing('postgres.apply.written');
      const position = early ?? group.position();
      if (early === null) await move(session, hold, position);
      passing('postgres.apply.positioned');
      const { command } = await session.execute('COMMIT');
      if (command !== 'COMMIT') throw rolledBack();
      passing('postgres.apply.committed');
      return position;
    } catch (error) {
      await session.execute('ROLLBACK').catch(() => {});
      for (const [table, target] of before) targets.set(table, target);
      throw error;
    }
  }

  /** Within a transaction. */
  async writeParts(
    acts: AsyncIterable<Act> | Iterable<Act>,
    transactions: readonly SourceTransaction[],
    carefully: boolean,
    meanwhile?: () => void,
  ): Promise<void> {
    const { session, asReplica } = this.#writing;
    if (!asReplica && !carefully) await session.execute('SET CONSTRAINTS ALL DEFERRED');
    let continued = false;
    for await (const act of acts) {
      if (act.kind === 'segment') await this.#writeSegment(act, transactions, carefully, { meanwhile, continued });
      else if (act.kind === 'truncate') await this.#truncate(act, transactions);
      else await applySchemaChange(this.#writing, act);
      continued = true;
    }
    // Found here, a row that breaks a deferred constraint can still be looked for; found by COMMIT it could not.
    if (!asReplica && !carefully) await session.execute('SET CONSTRAINTS ALL IMMEDIATE');
  }

  async #writeSegment(segment: Segment, transactions: readonly SourceTransaction[], carefully: boolean, how: How): Promise<void> {
    const { session, targets, stream, letters } = this.#writing;
    const stranger = [...segment.changes.keys()].find((table) => !targets.has(table));
    if (stranger !== undefined)
      throw new MillraceError('INTERNAL', {
        message: `Changes came for "${stranger}", which is no table of the stream.`,
        remedy: 'Please report it.',
      });
    const tables: TableParts[] = [];
    for (const target of referredFirst([...targets.values()])) {
      const parts = segment.changes.get(target.table);
      if (parts?.[0]) tables.push({ target, parts, columns: columnsOf(target, parts[0].rows.schema, stream.policy.add === 'ignore') });
    }
    const { last } = letters;
    const dead = carefully ? await this.#carefully(tables, transactions, how) : await this.#byHalves(tables, transactions, how);
    for (const table of tables) {
      if (!letters.has(table.target)) continue;
      const keys = new Set(this.#changes([table], transactions).flatMap(keysOf));
      const through = [...keys].filter((key) => !dead.has(`${table.target.table} ${key}`));
      await letters.supersede(session, table.target, through, last);
    }
  }

  /** A transaction that must be applied change by change leaves those before it and after it to go together. */
  async #byHalves(tables: readonly TableParts[], transactions: readonly SourceTransaction[], how: How): Promise<ReadonlySet<string>> {
    const { session, mode, letters } = this.#writing;
    if (await mode.together(new Turns(session, how.meanwhile), tables, transactions, how.continued)) return new Set();
    const halves = halved(tables);
    // What is refused here is looked for again, in the order of all changes.
    if (!halves) return applyInOrder({ session, letters, poison: 'stop', acts: mode.acts }, this.#changes(tables, transactions));
    const [earlier, later] = halves;
    await this.#byHalves(earlier, transactions, how);
    return this.#byHalves(later, transactions, { ...how, continued: false });
  }

  async #atOnce(
    tables: readonly TableParts[],
    transactions: readonly SourceTransaction[],
    { meanwhile, continued }: How,
  ): Promise<ReadonlySet<string>> {
    const { session, mode } = this.#writing;
    const turns = new Turns(session, meanwhile);
    if (await mode.together(turns, tables, transactions, continued)) return new Set();
    return this.#inOrder(tables, transactions);
  }

  async #carefully(tables: readonly TableParts[], transactions: readonly SourceTransaction[], how: How): Promise<ReadonlySet<string>> {
    const { session } = this.#writing;
    let dead: ReadonlySet<string>;
    await session.execute('SAVEPOINT segment');
    try {
      dead = await this.#atOnce(tables, transactions, how);
    } catch (error) {
      if (!isRowFault(error)) throw error;
      await session.execute('ROLLBACK TO SAVEPOINT segment');
      dead = await this.#inOrder(tables, transactions);
    }
    await session.execute('RELEASE SAVEPOINT segment');
    return dead;
  }

  async #inOrder(tables: readonly TableParts[], transactions: readonly SourceTransaction[]): Promise<ReadonlySet<string>> {
    const { session, letters, settings, mode } = this.#writing;
    return applyInOrder({ session, letters, poison: settings.poison, acts: mode.acts }, this.#changes(tables, transactions));
  }

  /** In the order in which they were made. */
  #changes(tables: readonly TableParts[], transactions: readonly SourceTransaction[]): OneChange[] {
    const changes: (OneChange & { readonly place: number })[] = [];
    for (const { target, columns, parts } of tables) {
      for (const part of parts) {
        for (let row = 0; row < part.kinds.length; row++) {
          const transaction = transactions[part.transactions[row]!]!;
          const place = part.ordinals[row]!;
          changes.push({ target, columns, part, row, transaction, place, ordinal: place - transaction.firstOrdinal });
        }
      }
    }
    return changes.sort((a, b) => a.place - b.place);
  }

  async #truncate({ tables, transaction }: TableTruncate, transactions: readonly SourceTransaction[]): Promise<void> {
    const { session, mode, targets, letters } = this.#writing;
    const named = tables.flatMap((table) => targets.get(table) ?? []);
    await mode.truncate(session, named, transactions[transaction]!);
    for (const target of named) await letters.supersede(session, target, 'all', letters.last);
  }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** What only the end of the transaction has shown: a constraint that is checked there. */
const refusedAtEnd = (group: ChangeGroup, error: MillraceError): MillraceError =>
  new MillraceError('CHANGE_REFUSED', {
    message: `The changes from ${group.transactions[0]?.commit} to ${group.transactions.at(-1)?.commit} are refused: ${error.message}`,
    remedy: 'Mend the table that the message names, then start again: the stream goes on with these changes.',
    facts: error.facts,
    cause: error,
  });

const rolledBack = (): MillraceError =>
  new MillraceError('LOAD_CONFLICT', {
    message: 'The database rolled the changes back where it was told to commit.',
    remedy: 'Nothing to do: they are applied again.',
  });
