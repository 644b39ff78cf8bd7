import {
  type DatabaseConnection,
  type Duration,
  milliseconds,
  type PartitionPeriod,
  type Step,
  type StepOptions,
} from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';
import { checkName, oneOf, taskStep } from './task-step.ts';

export interface PartitionOptions extends StepOptions {
  /** What one partition holds. Weeks begin on Mondays. */
  readonly by: PartitionPeriod;
  /** Periods that are there before their time comes, beyond the present one. */
  readonly ahead: number;
  /** An IANA name: whose midnights bound a day, a week, a month. `'UTC'` by default; hours are those of UTC. */
  readonly timeZone?: string;
  /** `'90d'`: partitions whose last row is older than this are expired. For ever by default. */
  readonly keep?: Duration;
  /** What becomes of an expired one: `'tell'` (default), `'detach'`, which leaves it as a table of its own, or `'drop'`. */
  readonly expired?: 'tell' | 'detach' | 'drop';
}

/** Far more than anybody needs, and few enough for one transaction. */
const mostAhead = 1_000;

/**
 * Makes the range partitions of a table before their rows come: `partitions(warehouse, 'public.events', { by: 'day', ahead: 14 })`. Those of
 * the run's time and window are made too, so a backfill finds the ones it needs. What is there already stays as it is.
 */
export function partitions(connection: DatabaseConnection, table: string, options: PartitionOptions): Step<never, 'nothing'> {
  const { by, ahead, timeZone = 'UTC', keep, expired, ...rest } = options;
  checkName('partitions', table, 'table');
  oneOf('partitions', 'by', by, ['hour', 'day', 'week', 'month']);
  if (!Number.isInteger(ahead) || ahead < 0 || ahead > mostAhead) {
    throw invalid(`partitions: ahead ${JSON.stringify(ahead)} is not a number of periods.`, `Write a whole number from 0 to ${mostAhead}.`);
  }
  checkTimeZone(timeZone);
  if (by === 'hour' && timeZone !== 'UTC') {
    throw invalid('partitions: an hour has no time zone here: one that comes twice in autumn could not be named.', 'Leave timeZone out.');
  }
  if (expired !== undefined && keep === undefined) {
    throw invalid(
      `partitions: "expired" says what becomes of old partitions, and nothing says which are old.`,
      "Write how long they stay: keep: '90d'.",
    );
  }
  const action = oneOf('partitions', 'expired', expired ?? 'tell', ['tell', 'detach', 'drop']);
  const afterMs = keep === undefined ? null : milliseconds(keep);
  if (afterMs !== null && !(afterMs > 0))
    throw invalid(`partitions: keep ${JSON.stringify(keep)} keeps nothing.`, "Write how long they stay: keep: '90d'.");
  return taskStep(
    'partitions',
    connection,
    { kind: 'partitions', table, by, ahead, timeZone, expired: afterMs === null ? null : { afterMs, action } },
    rest,
  );
}

function checkTimeZone(timeZone: string): void {
  try {
    if (!/^[a-z]/i.test(timeZone)) throw new RangeError('an offset');
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    throw invalid(
      `partitions: ${JSON.stringify(timeZone)} is no time zone.`,
      "Write its IANA name: 'Europe/Paris', 'America/New_York', 'UTC'.",
    );
  }
}
