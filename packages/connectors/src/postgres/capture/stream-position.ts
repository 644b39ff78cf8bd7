import { MillraceError, type Position, positionOf } from '@millrace/core/runtime';
import { lsnKey, lsnOfKey, parseLsn } from '../replication/lsn.ts';

/**
 * A position is a timeline and an LSN, as 8 and 16 hex digits: `00000001000000000B5C3D10`. The timeline is the one that the bytes before
 * that LSN were written on, as the server's history tells it; so a transaction has the same position before a failover and after it, a
 * later position sorts later, and two servers that went apart at a failover cannot be taken for one another.
 */
export interface StreamPlace {
  readonly timeline: number;
  readonly lsn: bigint;
}

/** The timelines that lead to the server's own, oldest first; each goes up to `end`, where the next one branched off. */
export interface TimelineHistory {
  readonly current: number;
  readonly earlier: readonly { readonly timeline: number; readonly end: bigint }[];
}

export function placeOf(position: Position): StreamPlace {
  if (!/^[0-9A-F]{24}$/.test(position)) {
    throw new MillraceError('INTERNAL', {
      message: `${JSON.stringify(position)} is no position in a stream of Postgres.`,
      remedy: 'Please report it.',
    });
  }
  return { timeline: Number.parseInt(position.slice(0, 8), 16), lsn: lsnOfKey(position.slice(8)) };
}

/** Makes positions of LSNs of this server. */
export function positions(history: TimelineHistory): (lsn: bigint) => Position {
  const last = history.earlier.at(-1)?.end ?? 0n;
  const current = timelineKey(history.current);
  return (lsn) => {
    // A position stands before the byte at its LSN: at the very end of a timeline all that is before it is of that timeline.
    if (lsn > last) return positionOf(current + lsnKey(lsn));
    const earlier = history.earlier.find(({ end }) => lsn <= end);
    return positionOf(timelineKey(earlier?.timeline ?? history.current) + lsnKey(lsn));
  };
}

const timelineKey = (timeline: number): string => timeline.toString(16).toUpperCase().padStart(8, '0');

/** Whether the server's log holds the same bytes up to this place as the server had that it was read from. */
export function isOnHistory({ timeline, lsn }: StreamPlace, history: TimelineHistory): boolean {
  if (timeline === history.current) return true;
  const earlier = history.earlier.find((candidate) => candidate.timeline === timeline);
  return earlier !== undefined && lsn <= earlier.end;
}

/** Reads a timeline history file, which has lines such as `1\t0/5000060\tno recovery target specified`. */
export function readHistory(current: number, file: string): TimelineHistory {
  const earlier = file.split('\n').flatMap((line) => {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line) ?? [];
    return timeline && end ? [{ timeline: Number(timeline), end: parseLsn(end) }] : [];
  });
  return { current, earlier };
}
