import { type Duration, MillraceError, milliseconds } from '@millrace/core/runtime';
import { bytesOf, type Size } from '../target.ts';

export interface RollOptions {
  /** Changes can be seen at the latest so long after they have come. */
  readonly every?: Duration;
  /** About so much is kept on this machine before it is written out, uncompressed; a file is about as large. */
  readonly size?: Size;
}

export interface Roll {
  readonly everyMs: number;
  readonly bytes: number;
}

/** @throws PIPELINE_INVALID */
export function rollOf({ every, size }: RollOptions = {}, defaults: Required<RollOptions>): Roll {
  const everyMs = milliseconds(every ?? defaults.every);
  const bytes = bytesOf(size ?? defaults.size);
  if (everyMs >= 100 && bytes >= 1024) return { everyMs, bytes };
  throw new MillraceError('PIPELINE_INVALID', {
    message: `roll: { every: '${every ?? defaults.every}', size: ${size ?? defaults.size} } would make a file of every change.`,
    remedy: 'Take at least 100ms and 1KB; minutes and megabytes are usual.',
  });
}

/** A position without changes is made durable no more often than this: it only lets the source free its log. */
const idleMs = 60_000;

export interface Buffered {
  readonly bytes: number;
  readonly rows: boolean;
  /** When the first of it came; null where there is nothing. */
  readonly since: number | null;
}

export function isDue({ bytes, rows, since }: Buffered, roll: Roll, now: number): boolean {
  if (since === null) return false;
  return bytes >= roll.bytes || now - since >= (rows ? roll.everyMs : Math.max(roll.everyMs, idleMs));
}
