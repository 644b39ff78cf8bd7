import type { PartitionsTask } from '@millrace/core/runtime';
import { instantOf, plus, startOf, suffixOf, type Wall, wallAt } from './period.ts';

/** From `from` up to and without `to`, in milliseconds: of UTC for a `timestamptz`, of the wall's clock for what has no time zone. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface NewPartition extends Range {
  /** Of its name. */
  readonly suffix: string;
}

export interface PartitionPlan<Existing extends Range> {
  /** Oldest first. */
  readonly make: readonly NewPartition[];
  readonly expired: readonly Existing[];
}

export interface PartitionFacts<Existing extends Range> {
  readonly now: number;
  /** The instants that the run is for: its window, or its logical time. */
  readonly run: { readonly from: number; readonly to: number };
  /** Whether the column knows instants, or only what a clock shows. */
  readonly instants: boolean;
  readonly existing: readonly Existing[];
}

/**
 * What there is to make so that every instant of the run's periods, of the present one and of those ahead lies in a partition, and which
 * are expired. What is there is never touched: where it covers a part of a period, the rest is made.
 */
export function decidePartitions<Existing extends Range>(
  task: Pick<PartitionsTask, 'by' | 'ahead' | 'timeZone' | 'expired'>,
  { now, run, instants, existing }: PartitionFacts<Existing>,
): PartitionPlan<Existing> {
  const { by, ahead, timeZone, expired } = task;
  const axis = (wall: Wall): number => (instants ? instantOf(timeZone, wall) : wall);
  const present = startOf(by, wallAt(timeZone, now));
  const starts = new Set<Wall>();
  for (let count = 0; count <= ahead; count++) starts.add(plus(by, present, count));
  const last = wallAt(timeZone, Math.max(run.from, run.to - 1));
  for (let start = startOf(by, wallAt(timeZone, run.from)); start <= last && starts.size <= tooMany; start = plus(by, start, 1))
    starts.add(start);

  const wanted = [...starts].sort((a, b) => a - b).map((start) => ({ start, from: axis(start), to: axis(plus(by, start, 1)) }));
  const make = wanted.flatMap(({ start, ...range }) =>
    gaps(range, existing).map((gap, at) => ({ ...gap, suffix: `${suffixOf(by, start)}${at === 0 ? '' : `_${at + 1}`}` })),
  );
  if (expired === null) return { make, expired: [] };
  const before = now - expired.afterMs;
  const line = instants ? before : wallAt(timeZone, before);
  return { make, expired: existing.filter((one) => one.to <= line && !wanted.some((range) => overlap(one, range))) };
}

/** Of one transaction: each takes a lock. */
export const tooMany = 2_000;

/** The parts of a range that none of the others covers. */
export function gaps(range: Range, covered: readonly Range[]): Range[] {
  let left: Range[] = range.from < range.to ? [{ from: range.from, to: range.to }] : [];
  for (const one of covered) {
    left = left.flatMap((part) => {
      if (!overlap(one, part)) return [part];
      return [
        { from: part.from, to: Math.min(part.to, one.from) },
        { from: Math.max(part.from, one.to), to: part.to },
      ].filter(({ from, to }) => from < to);
    });
  }
  return left;
}

const overlap = (a: Range, b: Range): boolean => a.from < b.to && b.from < a.to;
