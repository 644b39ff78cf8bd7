import { MillraceError, type Position, positionOf } from '@millrace/core/runtime';

/**
 * A place in the stream: `0001774742400000.0000000000000042`. Everything that was in the streams at the time before the point (milliseconds
 * since 1970) is before it; the number after it is that of the group which ends there, under which the journal says what is in it. Both rise.
 */
export interface Place {
  readonly covered: number;
  readonly number: number;
}

export const positionAt = ({ covered, number }: Place): Position => positionOf(`${digits(covered)}.${digits(number)}`);

/** Of the change `ordinal` of the group that comes after a position. */
export const commitAfter = (before: Position, ordinal: number): Position => positionOf(`${before}-${String(ordinal).padStart(8, '0')}`);

export function placeOf(position: Position): Place {
  const match = /^(\d{16})\.(\d{16})$/.exec(position);
  if (match) return { covered: Number(match[1]), number: Number(match[2]) };
  throw new MillraceError('RESYNC_REQUIRED', {
    message: `"${position}" is no place in streams of DynamoDB.`,
    remedy: 'Copy the tables again: millrace resync.',
  });
}

const digits = (count: number): string => String(count).padStart(16, '0');
