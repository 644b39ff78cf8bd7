import type { Command } from './command.ts';
import type { TextRow } from './form.ts';
import type { Hold } from './hold.ts';
import { chunks } from './kept-table.ts';

const rowsAtOnce = 500;
const charactersAtOnce = 1024 * 1024;

/**
 * What a group too large for memory has made of rows so far: fields of a hash beside the state, which goes with the group. Later changes of the
 * group build on it, for what stands under the keys is still of before.
 */
export class Spill {
  readonly #hold: Hold;
  #isUsed = false;

  constructor(hold: Hold) {
    this.#hold = hold;
  }

  get isUsed(): boolean {
    return this.#isUsed;
  }

  async put(table: string, rows: ReadonlyMap<string, TextRow | null>): Promise<void> {
    if (!this.#isUsed) await this.#hold.note([['UNLINK', this.#hold.spill]]);
    this.#isUsed = true;
    let [words, size]: [string[], number] = [[], 0];
    const write = async (): Promise<void> => {
      if (words.length > 0) await this.#hold.note([['HSET', this.#hold.spill, ...words]]);
      [words, size] = [[], 0];
    };
    for (const [key, row] of rows) {
      const text = JSON.stringify(row && [...row]);
      words.push(fieldOf(table, key), text);
      size += key.length + text.length;
      if (words.length >= 2 * rowsAtOnce || size >= charactersAtOnce) await write();
    }
    await write();
  }

  /** Of these keys, those that the group has touched. */
  async read(table: string, keys: readonly string[]): Promise<Map<string, TextRow | null>> {
    const found = new Map<string, TextRow | null>();
    if (!this.#isUsed) return found;
    for (const some of chunks(keys, rowsAtOnce)) {
      const texts = (await this.#hold.client.ask('HMGET', this.#hold.spill, ...some.map((key) => fieldOf(table, key)))) as (
        | string
        | null
      )[];
      for (const [place, text] of texts.entries()) if (text !== null) found.set(some[place]!, rowOf(text));
    }
    return found;
  }

  /** All rows of a table that the group has put, in portions. */
  async *rows(table: string): AsyncGenerator<[key: string, row: TextRow][]> {
    if (!this.#isUsed) return;
    const begins = fieldOf(table, '');
    let cursor = '0';
    do {
      const [next, words] = (await this.#hold.client.ask('HSCAN', this.#hold.spill, cursor, 'COUNT', String(rowsAtOnce))) as [
        string,
        string[],
      ];
      cursor = next;
      const rows: [string, TextRow][] = [];
      for (let at = 0; at < words.length; at += 2) {
        const row = words[at]!.startsWith(begins) ? rowOf(words[at + 1]!) : null;
        if (row) rows.push([words[at]!.slice(begins.length), row]);
      }
      if (rows.length > 0) yield rows;
    } while (cursor !== '0');
  }

  /** What lets go of it. */
  get settling(): Command[] {
    return this.#isUsed ? [['UNLINK', this.#hold.spill]] : [];
  }
}

const fieldOf = (table: string, key: string): string => `${encodeURIComponent(table)} ${key}`;

function rowOf(text: string): TextRow | null {
  const entries = JSON.parse(text) as [string, string | null][] | null;
  return entries && new Map(entries);
}
