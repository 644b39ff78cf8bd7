import { setTimeout as sleep } from 'node:timers/promises';
import { type ChangeGroup, isMillraceError, MillraceError, type Position, type SourceTransaction } from '@millrace/core/runtime';
import { halved } from '../../postgres/apply/halved.ts';
import { type Act, type Segment, segmentsOf } from '../../postgres/apply/segments.ts';
import type { Session } from '../session.ts';
import type { Applying } from './apply-sink.ts';
import { passing } from './failpoints.ts';
import { applyInOrder, isRowFault, type OneChange } from './in-order.ts';
import { afterMark, assertSameTables, type Mark } from './mark.ts';
import { netChanges } from './net-changes.ts';
import { alterations } from './schema-change.ts';
import { Scratch } from './scratch.ts';
import { beginMove, checkHold, move, setMark } from './stream-state.ts';
import { columnsOf, readAgain, type TargetTable } from './target-table.ts';
import { type TableParts, writeMirror } from './write-mirror.ts';

/** How often a group is begun again that another session stood in the way of (a deadlock, a lock). */
const conflictAttempts = 4;

/** What a writer writes to. */
export interface Writing extends Pick<Applying, 'settings' | 'stream' | 'hold'> {
  readonly session: Session;
  /** As they are now: a change of schema puts another one in a table's place. */
  readonly targets: Map<string, TargetTable>;
}

/** What a change of columns, which commits, does around itself. */
interface Barrier {
  commit(act: Extract<Act, { kind: 'schema' }>, hasWritten: boolean): Promise<void>;
  begin(): Promise<void>;
}

/**
 * Writes groups, each in one transaction with its position. A group is compacted first; where that fails on a row, it is done again between
 * savepoints, and changes that could not be compacted are applied one by one. Where columns change in a group, that commits: see `Mark`.
 */
export class GroupWriter {
  readonly #writing: Writing;
  readonly #scratch: Scratch;
  #mark: Mark | null;

  constructor(writing: Writing, mark: Mark | null) {
    this.#writing = writing;
    this.#scratch = new Scratch(writing.session);
    this.#mark = mark;
  }

  /** The stream is another, or begins anew. */
  forgetMark(): void {
    this.#mark = null;
  }

  async write(group: ChangeGroup): Promise<Position> {
    if (this.#mark) assertSameTables(group, this.#mark, this.#tables());
    // A giant comes as it is read, and only once.
    if (group.size === null) return this.#attempt(group, segmentsOf(group.parts), true);
    const acts = await all(segmentsOf(group.parts));
    let carefully = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(group, acts, carefully);
      } catch (error) {
        if (!carefully && isRowFault(error) && !this.#writing.session.ended) carefully = true;
        else if (attempt >= conflictAttempts || !isMillraceError(error) || error.code !== 'LOAD_CONFLICT') throw error;
        else await sleep(50 * 2 ** attempt);
      }
    }
  }

  /** Outside a transaction, before one. */
  ready(): Promise<void> {
    return this.#scratch.ready(this.#writing.targets.values());
  }

  async #attempt(group: ChangeGroup, acts: AsyncIterable<Act> | readonly Act[], carefully: boolean): Promise<Position> {
    const { session, hold } = this.#writing;
    const { transactions } = group;
    // What commits in between must not bring the position with it.
    const early = Array.isArray(acts) && acts.every(({ kind }) => kind !== 'schema') ? group.position() : null;
    const begin = async (): Promise<void> => {
      await this.ready();
      await beginMove(session, hold, early);
    };
    const commit: Barrier['commit'] = async (act, hasWritten) => {
      if (!hasWritten) {
        await session.execute('ROLLBACK');
        return;
      }
      const of = transactions[act.transaction]!;
      const mark: Mark = { commit: of.commit, ordinal: act.ordinal - of.firstOrdinal - 1, tables: this.#tables() };
      await setMark(session, hold, mark);
      await session.execute('COMMIT');
      this.#mark = mark;
      passing('mysql.apply.marked');
    };
    try {
      await begin();
      passing('mysql.apply.begun');
      await this.writeParts(acts, transactions, carefully, { begin, commit });
      passing('mysql.apply.written');
      const position = early ?? group.position();
      if (early === null) await move(session, hold, position);
      passing('mysql.apply.positioned');
      await session.execute('COMMIT');
      this.#mark = null;
      passing('mysql.apply.committed');
      return position;
    } catch (error) {
      if (!session.ended) await session.execute('ROLLBACK').catch(() => {});
      throw error;
    }
  }

  /** Within a transaction. */
  async writeParts(
    acts: AsyncIterable<Act> | Iterable<Act>,
    transactions: readonly SourceTransaction[],
    carefully: boolean,
    barrier: Barrier,
  ): Promise<void> {
    let hasWritten = false;
    for await (const act of netChanges(this.#left(acts, transactions))) {
      if (act.kind === 'schema') {
        hasWritten = !(await this.#alter(act, hasWritten, barrier)) && hasWritten;
        continue;
      }
      if (act.kind === 'segment') await this.#writeSegment(act, transactions, carefully);
      else await this.#truncate(act.tables);
      hasWritten = true;
    }
  }

  /** What the mark has not. */
  async *#left(acts: AsyncIterable<Act> | Iterable<Act>, transactions: readonly SourceTransaction[]): AsyncGenerator<Act> {
    for await (const act of acts) {
      const left = this.#mark ? afterMark(act, transactions, this.#mark) : act;
      if (left !== null) yield left;
    }
  }

  /** True where the table was another: then the transaction was ended, and another one has begun. */
  async #alter(act: Extract<Act, { kind: 'schema' }>, hasWritten: boolean, barrier: Barrier): Promise<boolean> {
    const { session, targets, hold } = this.#writing;
    const target = targets.get(act.table);
    if (!target) return false;
    const steps = alterations(this.#writing, target, act);
    let ended = false;
    for await (const statement of steps) {
      if (!ended) await barrier.commit(act, hasWritten);
      ended = true;
      await checkHold(session, hold);
      await session.execute(statement, target.shown);
      passing('mysql.apply.altered');
    }
    const key = act.schema.key ?? [];
    const now = ended ? await readAgain(session, target) : null;
    targets.set(act.table, { ...(now ?? target), key });
    assertKeyThere(targets.get(act.table)!);
    if (!ended) return false;
    await barrier.begin();
    return true;
  }

  async #writeSegment(segment: Segment, transactions: readonly SourceTransaction[], carefully: boolean): Promise<void> {
    const { targets, stream } = this.#writing;
    const tables: TableParts[] = [];
    for (const [table, parts] of segment.changes) {
      const target = targets.get(table);
      if (!target)
        throw new MillraceError('INTERNAL', {
          message: `Changes came for "${table}", which is no table of the stream.`,
          remedy: 'Please report it.',
        });
      if (parts[0]) tables.push({ target, parts, columns: columnsOf(target, parts[0].rows.schema, stream.policy.add === 'ignore') });
    }
    await (carefully ? this.#carefully(tables, transactions) : this.#byHalves(tables, transactions));
  }

  /** A transaction that must be applied change by change leaves those before it and after it to go together. */
  async #byHalves(tables: readonly TableParts[], transactions: readonly SourceTransaction[]): Promise<void> {
    const { session } = this.#writing;
    if (await writeMirror(session, this.#scratch, tables)) return;
    const halves = halved(tables);
    if (!halves) return applyInOrder(session, changesOf(tables, transactions));
    for (const half of halves) await this.#byHalves(half, transactions);
  }

  async #carefully(tables: readonly TableParts[], transactions: readonly SourceTransaction[]): Promise<void> {
    const { session } = this.#writing;
    await session.execute('SAVEPOINT segment');
    try {
      if (!(await writeMirror(session, this.#scratch, tables))) await applyInOrder(session, changesOf(tables, transactions));
    } catch (error) {
      if (!isRowFault(error) || (error.code === 'CHANGE_REFUSED' && error.facts['position'] !== undefined)) throw error;
      await session.execute('ROLLBACK TO SAVEPOINT segment');
      await applyInOrder(session, changesOf(tables, transactions));
    }
    await session.execute('RELEASE SAVEPOINT segment');
  }

  /** Row by row: TRUNCATE would commit. */
  async #truncate(tables: readonly string[]): Promise<void> {
    const { session, targets } = this.#writing;
    for (const table of tables) {
      const target = targets.get(table);
      if (target) await session.execute(`DELETE FROM ${target.quoted}`, target.shown);
    }
  }

  #tables(): string[] {
    return Object.keys(this.#writing.stream.tables).sort();
  }
}

function assertKeyThere({ key, columns, table, shown }: TargetTable): void {
  const lost = key.find((name) => !columns.has(name));
  if (lost === undefined) return;
  throw new MillraceError('SCHEMA_CHANGED', {
    message: `The table "${table}" is told by "${lost}" at the source now, which ${shown} does not have.`,
    remedy: `Copy the table again with "millrace resync … --table ${table}".`,
    facts: { table: shown, column: lost },
  });
}

/** In the order in which they were made. */
function changesOf(tables: readonly TableParts[], transactions: readonly SourceTransaction[]): OneChange[] {
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

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}
