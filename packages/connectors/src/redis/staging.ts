import type { Command } from './command.ts';
import type { Hold } from './hold.ts';
import { chunks, type Elsewhere } from './kept-table.ts';
import { hashTag } from './key-template.ts';
import { slotOf, slotTags } from './slots.ts';

const keysAtOnce = 1_000;

/**
 * Keys that nobody is to see yet. Each stands under a name of its own in the slot of the key that it is to become, so that renaming it is all
 * that is left to do. A list beside the state says which they are; it is written before they are, so that none is left behind for ever.
 */
export class Staging implements Elsewhere {
  readonly #hold: Hold;
  readonly #name: string;

  private constructor(hold: Hold, name: string) {
    this.#hold = hold;
    this.#name = name;
  }

  static async open(hold: Hold, name: string): Promise<Staging> {
    await hold.note([['SADD', all(hold), name]]);
    return new Staging(hold, name);
  }

  /** Throws away what earlier attempts have left. */
  static async clear(hold: Hold): Promise<void> {
    for (const name of (await hold.client.ask('SMEMBERS', all(hold))) as string[]) await new Staging(hold, name).clear();
  }

  placed(key: string): string {
    return `millrace:new:${encodeURIComponent(this.#hold.state)}:${this.#name}:{${slotTags()[slotOf(hashTag(key))]}}:${key}`;
  }

  async *keys(): AsyncGenerator<string[]> {
    for (let from = 0; ; from += keysAtOnce) {
      const keys = (await this.#hold.client.ask('LRANGE', this.#list, String(from), String(from + keysAtOnce - 1))) as string[];
      if (keys.length > 0) yield keys;
      if (keys.length < keysAtOnce) return;
    }
  }

  /** `keys` are those that the commands write, as they will be called. */
  async put(keys: readonly string[], commands: AsyncIterable<Command> | Iterable<Command>): Promise<void> {
    for (const some of chunks(keys, keysAtOnce)) await this.#hold.note([['RPUSH', this.#list, ...some]]);
    await this.#hold.put(commands);
  }

  /** What lets go of a staging whose keys have been renamed. */
  get settling(): Command[] {
    return [
      ['DEL', this.#list],
      ['SREM', all(this.#hold), this.#name],
    ];
  }

  async clear(): Promise<void> {
    for await (const keys of this.keys()) await this.#hold.put(keys.map((key): Command => ['UNLINK', this.placed(key)]));
    await this.#hold.note(this.settling);
  }

  /** Which of these keys have something staged. */
  async staged(keys: readonly string[]): Promise<ReadonlySet<string>> {
    const found = await Promise.all(keys.map((key) => this.#hold.client.ask('EXISTS', this.placed(key))));
    return new Set(keys.filter((_, place) => found[place] === 1));
  }

  get #list(): string {
    return `${this.#hold.state}:keys:${this.#name}`;
  }
}

const all = ({ state }: Hold): string => `${state}:stagings`;
