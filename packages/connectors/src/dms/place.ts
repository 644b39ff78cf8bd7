import { MillraceError, type Position, positionOf } from '@millrace/core/runtime';

/*
 * A position counts entries of the journal, and places within what an entry holds:
 *
 *   0000000042.0000000000000000     everything of the entries before number 42
 *   0000000042.0000000000001700     and of that one what stands before place 1700
 */

export function positionAt(entry: number, place = 0): Position {
  return positionOf(`${String(entry).padStart(10, '0')}.${String(place).padStart(16, '0')}`);
}

/** @throws RESYNC_REQUIRED for a position that is not of such a stream */
export function placeOf(position: Position): { readonly entry: number; readonly place: number } {
  const [, entry, place] = /^(\d{10})\.(\d{16})$/.exec(position) ?? [];
  if (entry !== undefined && place !== undefined) return { entry: Number(entry), place: Number(place) };
  throw new MillraceError('RESYNC_REQUIRED', {
    message: `The target is at ${position}, which is no place in the files of DMS: it followed another kind of stream.`,
    remedy: 'Run "millrace resync" to copy the tables again.',
    facts: { position },
  });
}
