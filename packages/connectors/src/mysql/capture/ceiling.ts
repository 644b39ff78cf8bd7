import type { Position } from '@millrace/core/runtime';
import { raiseCeiling } from './home.ts';
import type { LastingSession } from './lasting-session.ts';
import { fenced, type StreamOwner } from './stream-check.ts';
import { farOf, farther } from './stream-position.ts';

/** Milliseconds for which it is to hold, so that a busy stream writes it down about once in that time. */
const holdsMs = 1_000;
const leastStep = 1;
const mostStep = 2 ** 40;

/**
 * How far a stream may have been read, written down at the source before anybody is told of what comes after it. A source that was restored from a
 * backup has an older one: by that it is known for what it is, also when it has as many transactions again.
 *
 * It is raised by as much as lasts for about a second: by nothing where little comes, so that the loss of little is seen too.
 */
export class Ceiling {
  readonly #session: LastingSession;
  readonly #owner: StreamOwner;
  readonly #name: string;
  #far: string;
  #step = leastStep;
  #raisedAt = Number.NEGATIVE_INFINITY;

  /** `far` is what the source has written down. */
  constructor(session: LastingSession, owner: StreamOwner, name: string, far: string) {
    this.#session = session;
    this.#owner = owner;
    this.#name = name;
    this.#far = far;
  }

  /** @throws ATTEMPT_FENCED, and what the source throws */
  reach(position: Position): Promise<void> | undefined {
    return farOf(position) <= this.#far ? undefined : this.#raise(position);
  }

  async #raise(position: Position): Promise<void> {
    const now = performance.now();
    const isSoon = now - this.#raisedAt < holdsMs;
    this.#step = isSoon ? Math.min(this.#step * 4, mostStep) : leastStep;
    const far = isSoon ? farther(position, this.#step) : farOf(position);
    if (!(await raiseCeiling(await this.#session.get(), this.#name, this.#owner.epoch, far))) throw fenced(this.#owner);
    this.#far = far;
    this.#raisedAt = now;
  }
}
