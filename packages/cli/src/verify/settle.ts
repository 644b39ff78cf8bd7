import type { Scalar } from '@millrace/core/runtime';
import type { KeyedRow } from './keyed-rows.ts';

/** The two sides of rows that were not the same, looked at once more. */
export interface Look {
  readonly expected: ReadonlyMap<string, KeyedRow>;
  readonly stored: ReadonlyMap<string, KeyedRow>;
}

/** A row that is not the same on both sides yet. */
export interface Unsettled {
  /** The values of its key, once it has been seen. */
  readonly key: readonly Scalar[] | null;
  /** Looks in a row in which neither side has moved. */
  readonly still: number;
}

/** What is known of rows that were not the same. Keys by hash. */
export interface Settled {
  /** They have become the same: they were on their way. */
  readonly equal: number;
  readonly different: readonly string[];
  /** To be looked at again. */
  readonly moving: ReadonlyMap<string, Unsettled>;
}

/** A row that goes to and fro may look still twice; three times running it hardly does. */
const stillLooks = 2;

/**
 * What follows from another look, in which the target was read after it had everything that the source had when that was read. A row that is
 * different again and again, and the same each time on each side, is different: had it been on its way, one side would have moved.
 */
export function settle(rows: ReadonlyMap<string, Unsettled>, before: Look | null, now: Look): Settled {
  let equal = 0;
  const different: string[] = [];
  const moving = new Map<string, Unsettled>();
  const stands = (side: keyof Look, key: string): boolean => before?.[side].get(key)?.digest === now[side].get(key)?.digest;
  for (const [hash, row] of rows) {
    const expected = now.expected.get(hash);
    const stored = now.stored.get(hash);
    if (expected?.digest === stored?.digest) {
      equal++;
      continue;
    }
    const still = before && stands('expected', hash) && stands('stored', hash) ? row.still + 1 : 0;
    if (still >= stillLooks) different.push(hash);
    else moving.set(hash, { key: expected?.key ?? stored?.key ?? null, still });
  }
  return { equal, different, moving };
}
