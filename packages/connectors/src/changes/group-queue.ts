import type { ChangeGroup, Position } from '@millrace/core/runtime';
import type { LargeGroup } from './change-group.ts';
import { emptyGroup } from './change-group.ts';
import type { GroupBuilder } from './group-builder.ts';

/** A position by itself is handed on this often: whoever stores it should not write all the time. */
const idleEveryMs = { first: 1_000, most: 10_000 };

/**
 * Closed groups on their way to the reader. It asks for one at a time; while it waits, a group is closed as soon as a whole transaction is
 * there, and while it works, transactions gather.
 */
export class GroupQueue {
  readonly #ready: { readonly group: ChangeGroup; readonly bytes: number }[] = [];
  readonly #onTaken: (bytes: number) => void;
  #builder: GroupBuilder | undefined;
  #wake: () => void = () => {};
  #waits = false;
  #isClosing = false;
  #ended = false;
  #failure: unknown;
  #last: Position;
  #idleAt = performance.now();
  #idleWait: number = idleEveryMs.first;
  #large: LargeGroup | null = null;
  /** The one that was taken last. */
  #current: ChangeGroup | null = null;

  constructor(after: Position, onTaken: (bytes: number) => void) {
    this.#last = after;
    this.#onTaken = onTaken;
  }

  /** Where groups are closed from, while the reader waits. */
  attach(builder: GroupBuilder): void {
    this.#builder = builder;
  }

  add(group: ChangeGroup, bytes: number): void {
    const known: ChangeGroup = group.size === null ? group : { ...group, next: () => (this.#current === known ? this.#nextWhole() : null) };
    this.#ready.push({ group: known, bytes });
    this.#wake();
  }

  #nextWhole(): ChangeGroup | null {
    const group = this.#ready[0]?.group;
    return group && group.size !== null ? group : null;
  }

  /** After a commit: the reader may be waiting for it. Once for all that came in one piece of the socket. */
  committed(): void {
    if (!this.#waits || this.#isClosing) return;
    this.#isClosing = true;
    queueMicrotask(() => {
      this.#isClosing = false;
      if (this.#waits && this.#ready.length === 0) this.#builder?.closeGroup();
    });
  }

  /** The position has moved and nothing else. */
  moved(): void {
    if (this.#waits && this.#ready.length === 0) this.#wake();
  }

  /** Somebody waits to see where the stream is, and the place that is known next will do. */
  asked(): void {
    this.#idleWait = idleEveryMs.first;
    this.#idleAt = performance.now() - idleEveryMs.first;
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#builder?.fail(error);
    this.#wake();
  }

  /** The next group; null where there is none any more. `until`: a position at or after it is handed on at once. */
  async next(until?: Position): Promise<ChangeGroup | null> {
    this.#finishLarge();
    for (;;) {
      if (this.#ended) return null;
      if (this.#ready.length === 0) this.#builder?.closeGroup();
      const ready = this.#ready.shift();
      if (ready) {
        this.#onTaken(ready.bytes);
        return this.#taken(ready.group);
      }
      if (this.#failure !== undefined) throw this.#failure;
      const idle = this.#builder?.isInTransaction ? null : (this.#builder?.position ?? null);
      const hasMoved = idle !== null && idle > this.#last;
      const wait = hasMoved ? this.#idleAt + this.#idleWait - performance.now() : Number.POSITIVE_INFINITY;
      if (hasMoved && (wait <= 0 || (until !== undefined && idle >= until))) {
        this.#idleAt = performance.now();
        this.#idleWait = Math.min(this.#idleWait * 2, idleEveryMs.most);
        this.#last = idle;
        return emptyGroup(idle);
      }
      await this.#woken(wait);
    }
  }

  #taken(group: ChangeGroup): ChangeGroup {
    this.#idleWait = idleEveryMs.first;
    this.#idleAt = performance.now();
    this.#current = group;
    if (group.size === null) this.#large = group as LargeGroup;
    else this.#last = group.position();
    return group;
  }

  /** Whoever asks for the next group is done with this one, read to its end or not. */
  #finishLarge(): void {
    const large = this.#large;
    if (!large) return;
    this.#large = null;
    if (large.isRead) this.#last = large.position();
    else large.abandon();
  }

  #woken(milliseconds: number): Promise<void> {
    this.#waits = true;
    return new Promise((resolve) => {
      const timer = Number.isFinite(milliseconds) ? setTimeout(() => this.#wake(), Math.max(1, milliseconds)) : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        this.#waits = false;
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
