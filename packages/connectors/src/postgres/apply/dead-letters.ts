import { changeKinds, isUnchanged, type LoadOwner, type MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { keyAfter, keyOf, kindName, movesKey, type OneChange, type TextValue, valuesAfter, valuesBefore } from './one-change.ts';
import type { TargetTable } from './target-table.ts';

/** A change that was set aside: every value as text, and the names of those that the update did not bring. */
export interface LetterRow {
  readonly after?: Readonly<Record<string, string | null>>;
  readonly before?: Readonly<Record<string, string | null>>;
  readonly unchanged?: readonly string[];
}

/** The dead letters of a stream, as far as the stream itself cares: where a later change of the same row comes through, a letter is superseded. */
export class DeadLetters {
  readonly #owner: LoadOwner;
  /** Tables that may have letters which wait. */
  readonly #tables = new Set<string>();
  /** The letter written last. */
  #last = '0';

  constructor(owner: LoadOwner) {
    this.#owner = owner;
  }

  async open(session: Session): Promise<void> {
    const rows = await session.query(
      `SELECT table_name, max(id) AS last FROM _millrace.dead_letter
       WHERE pipeline = $1 AND step = $2 AND replayed_at IS NULL AND superseded_at IS NULL GROUP BY table_name`,
      [this.#owner.pipeline, this.#owner.step],
    );
    for (const row of rows) {
      this.#tables.add(row['table_name'] as string);
      if (BigInt(row['last'] as string) > BigInt(this.#last)) this.#last = row['last'] as string;
    }
  }

  get last(): string {
    return this.#last;
  }

  has(target: TargetTable): boolean {
    return target.key.length > 0 && this.#tables.has(target.table);
  }

  /** Notes a change that its table refused, in the transaction that goes on without it. */
  async setAside(session: Session, change: OneChange, error: MillraceError): Promise<void> {
    const { target, transaction, ordinal } = change;
    const kind = kindName(change);
    const before = valuesBefore(change);
    const unchanged = change.columns.flatMap((column, place) =>
      column && isUnchanged(change.part.rows.vectors[place]!, change.row) ? [column.name] : [],
    );
    const row: LetterRow = {
      ...(kind !== 'delete' && { after: record(valuesAfter(change)) }),
      ...(before && { before: record(before) }),
      ...(unchanged.length > 0 && { unchanged }),
    };
    const [made] = await session.query(
      `INSERT INTO _millrace.dead_letter (pipeline, step, table_name, kind, key, position, ordinal, row, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
      [
        this.#owner.pipeline,
        this.#owner.step,
        target.table,
        kind,
        target.key.length > 0 ? keyText(keyOf(change)) : null,
        transaction.commit,
        ordinal,
        JSON.stringify(row),
        error.message,
      ],
    );
    this.#tables.add(target.table);
    this.#last = made?.['id'] as string;
  }

  /** Letters up to `last` about these keys, or about the whole table, are superseded: what is there now is newer. */
  async supersede(session: Session, target: TargetTable, keys: readonly string[] | 'all', last: string): Promise<void> {
    if (!this.has(target) || keys.length === 0) return;
    const list = keys === 'all' ? null : JSON.stringify(keys);
    await session.query(
      `UPDATE _millrace.dead_letter SET superseded_at = now() WHERE pipeline = $1 AND step = $2 AND table_name = $3 AND id <= $4
       AND replayed_at IS NULL AND superseded_at IS NULL AND ($5::json IS NULL OR key IN (SELECT json_array_elements_text($5::json)))`,
      [this.#owner.pipeline, this.#owner.step, target.table, last, list],
    );
  }
}

/** The keys that a change is about. */
export function keysOf(change: OneChange): string[] {
  const key = keyText(keyOf(change));
  return change.part.kinds[change.row] === changeKinds.update && movesKey(change) ? [key, keyText(keyAfter(change))] : [key];
}

const keyText = (values: readonly TextValue[]): string => JSON.stringify(record(values));

const record = (values: readonly TextValue[]): Record<string, string | null> =>
  Object.fromEntries(values.map(({ column, text }) => [column.name, text]));
