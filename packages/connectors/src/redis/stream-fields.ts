import { type Position, positionOf, type RowSchema, type SinkState, type StreamIdentity, typeName } from '@millrace/core/runtime';
import type { Command } from './command.ts';

/*
 * What is remembered of a stream: fields of one hash.
 *
 *   fence epoch at holder turn     whose turn it is                       script.ts
 *   promised                       a log is being worked off              hold.ts
 *   identity position              which stream, and how far it has come
 *   copied:<table>                 up to where the table's copy has everything
 *   begun:<table>                  its keys are ours
 *   columns:<table>                names and types, as the keys have them
 *   without:<table>                columns that the pipeline's policy leaves out
 */
const [copied, begun, columns, without] = ['copied:', 'begun:', 'columns:', 'without:'];

export class StreamFields {
  readonly #state: string;
  readonly #fields: Map<string, string>;

  constructor(state: string, fields: ReadonlyMap<string, string>) {
    this.#state = state;
    this.#fields = new Map(fields);
  }

  copy(): StreamFields {
    return new StreamFields(this.#state, this.#fields);
  }

  get identity(): StreamIdentity | null {
    const text = this.#fields.get('identity');
    return text === undefined ? null : (JSON.parse(text) as StreamIdentity);
  }

  get position(): Position | null {
    const text = this.#fields.get('position');
    return text === undefined ? null : positionOf(text);
  }

  sinkState(tables: readonly string[]): SinkState {
    const found = tables.flatMap((table) => {
      const position = this.#fields.get(copied + table);
      return position === undefined ? [] : [[table, positionOf(position)] as const];
    });
    return { identity: this.identity, position: this.position, copied: Object.fromEntries(found), deadLetters: 0 };
  }

  isBegun(table: string): boolean {
    return this.#fields.has(begun + table);
  }

  /** Columns by name, as the table's keys have them; null before the first copy. */
  columnsOf(table: string): ReadonlyMap<string, string> | null {
    const text = this.#fields.get(columns + table);
    return text === undefined ? null : new Map(JSON.parse(text) as [string, string][]);
  }

  withoutOf(table: string): readonly string[] {
    return JSON.parse(this.#fields.get(without + table) ?? '[]') as string[];
  }

  /** A table that is not followed from here on is not copied any more. */
  leave(tables: readonly string[]): Command[] {
    return this.#forget([...this.#fields.keys()].filter((name) => name.startsWith(copied) && !tables.includes(name.slice(copied.length))));
  }

  follow(identity: StreamIdentity, position: Position): Command[] {
    const before = this.identity;
    const isSame = before !== null && JSON.stringify(sorted(before)) === JSON.stringify(sorted(identity));
    const gone = isSame ? [] : [...this.#fields.keys()].filter((name) => name.startsWith(copied));
    return [...this.#forget(gone), ...this.#set({ identity: JSON.stringify(sorted(identity)), position })];
  }

  move(position: Position): Command[] {
    return this.#set({ position });
  }

  begin(table: string): Command[] {
    return [...this.#forget([copied + table]), ...this.#set({ [begun + table]: '1' })];
  }

  copied(table: string, schema: RowSchema, position: Position): Command[] {
    return this.#set({ [copied + table]: position, [columns + table]: shownColumns(schema) });
  }

  changed(table: string, schema: RowSchema, leftOut: readonly string[]): Command[] {
    return this.#set({ [columns + table]: shownColumns(schema), [without + table]: JSON.stringify(leftOut) });
  }

  #set(fields: Readonly<Record<string, string>>): Command[] {
    const words = Object.entries(fields).flatMap(([name, value]) => {
      this.#fields.set(name, value);
      return [name, value];
    });
    return [['HSET', this.#state, ...words]];
  }

  #forget(names: readonly string[]): Command[] {
    for (const name of names) this.#fields.delete(name);
    return names.length === 0 ? [] : [['HDEL', this.#state, ...names]];
  }
}

const sorted = ({ source, slot, origin }: StreamIdentity): StreamIdentity => ({ source, slot, origin });
const shownColumns = (schema: RowSchema): string => JSON.stringify(schema.columns.map(({ name, type }) => [name, typeName(type)]));
