import type { Change } from './group.ts';

/** A group is cut at this many changes, or bytes of them, and so long after the first of them. */
const limits = { changes: 5_000, bytes: 8 * 1024 * 1024, ms: 1_000 };

/** Changes that were read since the last group was cut. */
export class Uncut {
  readonly changes: Change[] = [];
  bytes = 0;
  /** When the first of them came. */
  #since = 0;

  add(changes: readonly Change[], now: number): void {
    if (this.changes.length === 0) this.#since = now;
    for (const change of changes) {
      this.changes.push(change);
      this.bytes += Number(change.record.dynamodb?.SizeBytes ?? 0);
    }
  }

  isFull(now: number): boolean {
    return this.changes.length >= limits.changes || this.bytes >= limits.bytes || this.hasWaited(limits.ms, now);
  }

  hasWaited(ms: number, now: number): boolean {
    return this.changes.length > 0 && now - this.#since >= ms;
  }
}
