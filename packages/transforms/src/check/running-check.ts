import {
  type CheckResult,
  type ColumnBatch,
  comparer,
  milliseconds,
  type RowSchema,
  shown,
  type TransformContext,
} from '@millrace/core/runtime';
import { columnNamed } from '../transform-step.ts';
import type { Expectation } from './expectation.ts';
import { UniqueCheck } from './unique-check.ts';
import { valueTest } from './value-test.ts';

/** An expectation over one attempt. Splits are seen side by side; a split that is begun again counts once. */
export interface RunningCheck {
  split(split: string): SeeBatch;
  finish(): Promise<CheckResult> | CheckResult;
}

/** `ordinal` is the place of the batch's first row in its split. */
export type SeeBatch = (batch: ColumnBatch, ordinal: number) => void;

/** Offending rows that are shown. */
export const sampleSize = 5;

export function startCheck(expectation: Expectation, input: RowSchema, context: TransformContext, number: number): RunningCheck {
  const { rule } = expectation;
  const places = expectation.columns.map((column) => columnNamed(`check "${expectation.name}"`, input, column));
  const result = (passed: boolean, found: string, sample: readonly string[] = []): CheckResult => ({
    check: expectation.name,
    severity: expectation.severity,
    passed,
    found,
    sample,
  });
  switch (rule.rule) {
    case 'not null':
    case 'accepted':
    case 'range':
      return eachValue(places[0]!, valueTest(input, expectation)!, result);
    case 'unique':
      return new UniqueCheck({ input, places, directory: context.spool, name: `${context.step}.unique-${number}`, result });
    case 'row count':
      return rowsCounted(rule, result);
    case 'freshness':
      return newest(places[0]!, input, () => context.now().getTime(), milliseconds(rule.within), rule.within, result);
    default:
      return rule satisfies never;
  }
}

export type MakeResult = (passed: boolean, found: string, sample?: readonly string[]) => CheckResult;

export const counted = (count: number, what: string): string => `${count.toLocaleString('en')} ${what}`;

function eachValue(place: number, breaks: (value: unknown) => boolean, result: MakeResult): RunningCheck {
  const tallies = new Map<string, { rows: number; broken: number; sample: string[] }>();
  return {
    split(split) {
      const tally = { rows: 0, broken: 0, sample: [] as string[] };
      tallies.set(split, tally);
      return (batch, ordinal) => {
        const vector = batch.vectors[place]!;
        for (let row = 0; row < batch.rowCount; row++) {
          const value = vector.get(row);
          if (!breaks(value)) continue;
          tally.broken++;
          if (tally.sample.length < sampleSize) tally.sample.push(`${shown(value)} (row ${ordinal + row} of split ${split})`);
        }
        tally.rows += batch.rowCount;
      };
    },
    finish() {
      const all = [...tallies.values()];
      const broken = all.reduce((sum, tally) => sum + tally.broken, 0);
      const rows = all.reduce((sum, tally) => sum + tally.rows, 0);
      return result(
        broken === 0,
        `${broken.toLocaleString('en')} of ${counted(rows, 'rows')}`,
        all.flatMap(({ sample }) => sample).slice(0, sampleSize),
      );
    },
  };
}

function rowsCounted({ min, max }: { readonly min: number | null; readonly max: number | null }, result: MakeResult): RunningCheck {
  const counts = new Map<string, number>();
  return {
    split(split) {
      counts.set(split, 0);
      return (batch) => void counts.set(split, counts.get(split)! + batch.rowCount);
    },
    finish() {
      const rows = [...counts.values()].reduce((sum, count) => sum + count, 0);
      return result((min === null || rows >= min) && (max === null || rows <= max), counted(rows, 'rows'));
    },
  };
}

function newest(place: number, input: RowSchema, now: () => number, withinMs: number, within: string, result: MakeResult): RunningCheck {
  const compare = comparer(input.columns[place]!.type)!;
  const found = new Map<string, unknown>();
  const greater = (a: unknown, b: unknown): unknown => (a === null ? b : b === null ? a : compare(a, b) >= 0 ? a : b);
  return {
    split(split) {
      found.set(split, null);
      return (batch) => {
        const vector = batch.vectors[place]!;
        let best = found.get(split);
        for (let row = 0; row < batch.rowCount; row++) best = greater(best, vector.get(row));
        found.set(split, best);
      };
    },
    finish() {
      const best = [...found.values()].reduce(greater, null) as string | null;
      if (best === null) return result(false, 'there is no value at all');
      const isFresh = best === 'infinity' || now() - instant(best) <= withinMs;
      return result(isFresh, `the newest is ${best}${isFresh ? '' : `, more than ${within} ago`}`);
    },
  };
}

/** Milliseconds since 1970 of a date or timestamp in UTC. What ISO cannot say is long ago or far ahead. */
function instant(text: string): number {
  const at = Date.parse(text.length === 10 ? `${text}T00:00:00Z` : `${text.slice(0, 23)}Z`);
  if (!Number.isNaN(at)) return at;
  return text.endsWith('BC') || text === '-infinity' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}
