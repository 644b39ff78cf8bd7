import { type Checkpoint, type Fence, MillraceError, type Position, type Receipt, type StreamIdentity } from '@millrace/core/runtime';
import type { Cache, Node } from './client.ts';
import { fenced, lost } from './failure.ts';

/** What every node remembers. JSON. */
export interface Remembered {
  readonly fence: Fence;
  /** When the run was made; empty for streams, whose attempts all have the same fence. */
  readonly at: string;
  readonly identity?: StreamIdentity;
  readonly position?: Position;
  readonly copied?: Readonly<Record<string, Position>>;
  readonly checkpoint?: Checkpoint;
  readonly receipts?: readonly Receipt[];
}

export interface PlaceOf {
  readonly key: string;
  /** For messages: `shop/cached`. */
  readonly owner: string;
  readonly fence: Fence;
  readonly at: string;
}

const mostTries = 20;

/**
 * How far a cache has come, on each of its nodes. Memcached throws away what it likes and forgets everything with a restart, so a node that does
 * not remember is emptied: a cache in which something is missing is right. Where no node remembers, nothing is known.
 */
export class Place {
  readonly #nodes: readonly Node[];
  readonly #of: PlaceOf;
  #remembered: Remembered;
  #last: Promise<void> = Promise.resolve();

  private constructor(nodes: readonly Node[], of: PlaceOf, remembered: Remembered) {
    this.#nodes = nodes;
    this.#of = of;
    this.#remembered = remembered;
  }

  /** Fences every earlier attempt off. @throws ATTEMPT_FENCED */
  static async take({ nodes }: Cache, of: PlaceOf): Promise<Place> {
    const found = await Promise.all(nodes.map((node) => read(node, of)));
    for (const one of found) if (one) assertLater(of, one.remembered);
    const { fence, at } = of;
    const remembered: Remembered = { ...earliest(found.map((one) => one?.remembered ?? null)), fence, at };
    const isKnown = found.some((one) => one !== null);
    await Promise.all(
      nodes.map(async (node, place) => {
        if (isKnown && !found[place]) await node.empty();
        await write(node, of, remembered);
      }),
    );
    return new Place(nodes, of, remembered);
  }

  /** As it stands on the nodes. */
  get remembered(): Remembered {
    return this.#remembered;
  }

  /** @throws ATTEMPT_FENCED, CACHE_LOST */
  async check(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.#held(node)));
  }

  /** One node after the other: where they differ, that which has come least far counts. @throws ATTEMPT_FENCED, CACHE_LOST */
  move(change: (from: Remembered) => Partial<Omit<Remembered, 'fence' | 'at'>>): Promise<void> {
    return this.#inTurn(async () => {
      const next: Remembered = { ...this.#remembered, ...change(this.#remembered) };
      for (const node of this.#nodes) {
        const { version } = await this.#held(node);
        if (!(await node.swap(this.#of.key, JSON.stringify(next), version))) throw lost(this.#of.owner, node.place);
      }
      this.#remembered = next;
    });
  }

  /** Takes everything away, of others too, and remembers where that was. @throws ATTEMPT_FENCED, CACHE_LOST */
  empty(): Promise<void> {
    return this.#inTurn(async () => {
      await this.check();
      for (const node of this.#nodes) {
        await node.empty();
        await write(node, this.#of, this.#remembered);
      }
    });
  }

  /** Copies of several tables end when they like. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    return mine;
  }

  async #held(node: Node): Promise<{ readonly version: string }> {
    const found = await read(node, this.#of);
    if (!found) throw lost(this.#of.owner, node.place);
    const { fence } = found.remembered;
    if (fence.key !== this.#of.fence.key || fence.epoch !== this.#of.fence.epoch)
      throw fenced(this.#of.owner, `${fence.key}#${fence.epoch}`);
    return found;
  }
}

async function read(node: Node, { key }: PlaceOf): Promise<{ readonly remembered: Remembered; readonly version: string } | null> {
  const found = await node.read(key);
  return found && { remembered: JSON.parse(found.text) as Remembered, version: found.version };
}

/** Puts it there unless a later attempt has. */
async function write(node: Node, of: PlaceOf, remembered: Remembered): Promise<void> {
  for (let tries = 0; tries < mostTries; tries++) {
    const found = await read(node, of);
    if (found) assertLater(of, found.remembered);
    if (await node.swap(of.key, JSON.stringify(remembered), found?.version ?? null)) return;
  }
  throw lost(of.owner, node.place);
}

function assertLater({ owner, fence, at }: PlaceOf, { fence: held, at: heldAt }: Remembered): void {
  const isOlder = held.key === fence.key ? held.epoch > fence.epoch : heldAt > at;
  if (isOlder) throw fenced(owner, `${held.key}#${held.epoch}`);
}

/** What nodes that remember have in common: the least of what they say. Of different streams, or of different loads, nothing. */
function earliest(found: readonly (Remembered | null)[]): Omit<Remembered, 'fence' | 'at'> {
  const known = found.filter((one) => one !== null);
  const [first] = known;
  if (!first) return {};
  const { fence: _, at: __, ...least } = known.reduce((least, one) => ((one.position ?? '') < (least.position ?? '') ? one : least), first);
  const names = Object.keys(least.copied ?? {}).filter((table) => known.every(({ copied }) => copied?.[table] !== undefined));
  const isSame = (of: keyof Remembered): boolean =>
    known.every((one) => JSON.stringify(one[of] ?? null) === JSON.stringify(first[of] ?? null));
  if (!isSame('identity') || !isSame('checkpoint') || !isSame('receipts')) return {};
  return {
    ...least,
    ...(least.copied && { copied: Object.fromEntries(names.map((table) => [table, least.copied?.[table] as Position])) }),
  };
}

export const outOfOrder = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
