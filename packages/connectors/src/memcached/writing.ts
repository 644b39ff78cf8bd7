import type { Node } from './client.ts';

/** So many keys are collected, or characters of their values. */
const mostKeys = 2_000;
const mostCharacters = 1024 * 1024;

export interface Portion {
  /** How long the keys live, as Memcached takes it. */
  readonly seconds: number;
}

/** Keys on their way: what each is to be, null where it is to go. The last word counts. */
export class Writing {
  readonly #nodes: readonly Node[];
  readonly #before: () => Promise<void>;
  #values = new Map<string, { readonly text: string | null; readonly seconds: number }>();
  #characters = 0;

  /** `before` is done before each portion is written. */
  constructor(nodes: readonly Node[], before: () => Promise<void>) {
    this.#nodes = nodes;
    this.#before = before;
  }

  /** True where it is time to write. */
  add({ seconds }: Portion, key: string, text: string | null): boolean {
    this.#values.set(key, { text, seconds });
    this.#characters += key.length + (text?.length ?? 0);
    return this.#values.size >= mostKeys || this.#characters >= mostCharacters;
  }

  async write(): Promise<void> {
    const values = this.#values;
    this.forget();
    if (values.size === 0) return;
    const gone: string[] = [];
    const put = new Map<number, Map<string, string>>();
    for (const [key, { text, seconds }] of values) {
      const some = put.get(seconds) ?? new Map<string, string>();
      if (text === null) gone.push(key);
      else put.set(seconds, some.set(key, text));
    }
    await this.#before();
    await Promise.all(
      this.#nodes.map(async (node) => {
        await node.remove(gone);
        for (const [seconds, some] of put) await node.put(some, seconds);
      }),
    );
  }

  forget(): void {
    this.#values = new Map();
    this.#characters = 0;
  }
}
