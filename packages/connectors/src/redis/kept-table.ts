import type { ColumnSchema, ColumnType } from '@millrace/core/runtime';
import type { RedisClient } from './client.ts';
import type { Command } from './command.ts';
import { askFor, keptColumns, type PlaceInSet, placesOf, putCommands, type RowForm, rowOf, type TextRow } from './form.ts';

/** How many keys are asked for at the same time. */
const keysAtOnce = 500;

/** Where keys stand that nobody is to see yet, and which they are. */
export interface Elsewhere {
  placed(key: string): string;
  keys(): AsyncGenerator<string[]>;
}

/** One table as it is kept: which of its columns there are now, and where its keys are; those of a copy that is being made stand elsewhere. */
export class KeptTable {
  readonly table: string;
  readonly form: RowForm;
  readonly #client: RedisClient;
  readonly #elsewhere: Elsewhere | null;
  #kept: readonly ColumnSchema[];
  #names: ReadonlySet<string>;
  #types: ReadonlyMap<string, ColumnType>;

  constructor(client: RedisClient, table: string, form: RowForm, columns: readonly ColumnSchema[], elsewhere: Elsewhere | null = null) {
    this.table = table;
    this.form = form;
    this.#client = client;
    this.#elsewhere = elsewhere;
    this.#kept = keptColumns(form, columns);
    this.#names = new Set(this.#kept.map(({ name }) => name));
    this.#types = new Map(this.#kept.map(({ name, type }) => [name, type]));
  }

  get columns(): readonly ColumnSchema[] {
    return this.#kept;
  }

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  withColumns(columns: readonly ColumnSchema[]): KeptTable {
    return new KeptTable(this.#client, this.table, this.form, columns, this.#elsewhere);
  }

  /** The same table with its keys elsewhere, where they neither expire nor are in sorted sets: that comes when the keys do. */
  at(elsewhere: Elsewhere): KeptTable {
    return new KeptTable(this.#client, this.table, { ...this.form, ttlMs: null, sorted: [] }, this.#kept, elsewhere);
  }

  key(row: TextRow): string {
    return this.form.template.render(row);
  }

  put(key: string, row: TextRow): Command[] {
    return putCommands(this.form, this.#kept, this.#placed(key), row);
  }

  remove(key: string): Command {
    return ['UNLINK', this.#placed(key)];
  }

  /** Puts what stands elsewhere under its key. */
  adopt(key: string, elsewhere: Elsewhere): Command[] {
    const { ttlMs } = this.form;
    return [['RENAME', elsewhere.placed(key), key], ...(ttlMs === null ? [] : [['PEXPIRE', key, String(ttlMs)] as const])];
  }

  /** What is there now, row by key; null for a key that is not there. */
  async read(keys: Iterable<string>): Promise<Map<string, TextRow | null>> {
    const rows = new Map<string, TextRow | null>();
    for (const some of chunks(keys, keysAtOnce)) {
      const answers = await Promise.all(some.map((key) => this.#client.ask(...askFor(this.form, this.#placed(key)))));
      for (const [place, key] of some.entries()) rows.set(key, rowOf(this.form, this.#kept, key, answers[place]));
    }
    return rows;
  }

  /** All of its keys, in portions; a key may come twice. Keys of others that look alike are not among them. */
  async *keys(): AsyncGenerator<string[]> {
    if (this.#elsewhere) yield* this.#elsewhere.keys();
    else yield* matching(this.#client, this.form.template.glob, (key) => this.form.template.match(key) !== null);
  }

  #placed(key: string): string {
    return this.#elsewhere ? this.#elsewhere.placed(key) : key;
  }

  /** All of its sorted sets. */
  async *sets(): AsyncGenerator<string[]> {
    for (const { key, text } of this.form.sorted) {
      if (key !== null) yield* matching(this.#client, key.glob, (found) => key.match(found) !== null);
      else if ((await this.#client.ask('EXISTS', text)) === 1) yield [text];
    }
  }

  /**
   * Takes a row out of the sorted sets in which it is no more. Of all rows of an act this comes before any of them enters: what one leaves,
   * another may take.
   */
  leave(before: TextRow | null, after: TextRow | null): Command[] {
    const [from, to] = [this.#places(before), this.#places(after)];
    return [...from].flatMap(([name, { set, member }]) => (to.has(name) ? [] : [['ZREM', set, member] as const]));
  }

  /** Puts a row into its sorted sets. */
  enter(row: TextRow | null): Command[] {
    return [...this.#places(row).values()].map(({ set, score, member }) => ['ZADD', set, score, member]);
  }

  #places(row: TextRow | null): Map<string, PlaceInSet> {
    return this.form.sorted.length === 0 ? new Map() : placesOf(this.form, this.#types, row);
  }
}

async function* matching(client: RedisClient, glob: string, isOwn: (key: string) => boolean): AsyncGenerator<string[]> {
  for await (const some of client.scan(glob)) {
    const own = some.filter(isOwn);
    if (own.length > 0) yield own;
  }
}

export function* chunks<Item>(items: Iterable<Item>, size: number): Generator<Item[]> {
  let chunk: Item[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
