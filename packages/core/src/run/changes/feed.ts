import type { ChangeGroup, ChangePart, Context, Position } from '../../connector/index.ts';
import type { Following } from './following.ts';
import { tee } from './tee.ts';
import { trim } from './trim.ts';

/** A group on its way to the sinks that lack it. */
export interface Fed {
  readonly of: ChangeGroup;
  /** Rows that have been read of it. */
  readonly counted: { rows: number };
  readonly shares: readonly Share[];
}

/** What one sink gets: without what it has already, and behind its transforms. */
export interface Share {
  readonly following: Following;
  readonly group: ChangeGroup;
  /** Once it has been applied or has failed: a sink that fails does not read the group to its end. */
  leave(): void;
}

/** Makes groups into what their sinks get. One sink alone may look at the next group while its database is busy with this one. */
export class Feed {
  readonly #followers: readonly Following[];
  readonly #context: Context;
  #ahead: Fed | null = null;

  constructor(followers: readonly Following[], context: Context) {
    this.#followers = followers;
    this.#context = context;
  }

  async of(group: ChangeGroup): Promise<Fed> {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead?.of === group) return ahead;
    const last = group.transactions.at(-1);
    const lacking = this.#followers.filter(({ position }) => last !== undefined && last.commit >= (position as Position));
    if (lacking.length > 0) return this.#feed(group, lacking, (following) => following.position as Position);
    const counted = { rows: 0 };
    for await (const _ of whole(group, this.#context, counted));
    return { of: group, counted, shares: [] };
  }

  #feed(group: ChangeGroup, lacking: readonly Following[], position: (following: Following) => Position): Fed {
    const counted = { rows: 0 };
    const readers = tee(whole(group, this.#context, counted), lacking.length);
    const shares = lacking.map((following, place): Share => {
      const reader = readers[place] as (typeof readers)[number];
      const own: ChangeGroup = { transactions: group.transactions, size: group.size, position: () => group.position(), parts: reader };
      const fresh = trim(own, { position: position(following), copied: following.copied });
      const next = () => this.#next(group, following);
      return { following, group: { ...following.transforms.through(fresh), next }, leave: () => reader.leave() };
    });
    return { of: group, counted, shares };
  }

  /** Only where nothing that happens between two groups can make a difference: all of it is news to the sink. */
  #next(group: ChangeGroup, following: Following): ChangeGroup | null {
    const next = this.#followers.length === 1 && group.size !== null ? group.next?.() : null;
    const [oldest] = next?.transactions ?? [];
    if (!next || !oldest) return null;
    const from = group.position();
    const isNews = [from, ...following.copied.values()].every((position) => position <= from) && oldest.commit >= from;
    if (!isNews) return null;
    if (this.#ahead?.of !== next) this.#ahead = this.#feed(next, [following], () => from);
    return this.#ahead?.shares[0]?.group ?? null;
  }
}

/** Counts what goes by. A source that was broken off must not look like the end of a group, or half of a transaction would be committed. */
async function* whole(
  group: ChangeGroup,
  { signal, progress }: Context,
  counted: { rows: number },
): AsyncGenerator<ChangePart, void, undefined> {
  for await (const part of group.parts) {
    const rows = part.kind === 'changes' ? part.kinds.length : 0;
    counted.rows += rows;
    progress({ rows });
    yield part;
  }
  signal.throwIfAborted();
  group.position(); // throws where it has not come to its end
}
