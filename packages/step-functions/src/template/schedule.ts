import { type CronFields, type Plan, parseCron } from '@millrace/core/runtime';

/** What starts executions by itself, as CloudFormation has it. */
export type Schedules =
  | { readonly kind: 'none' }
  | { readonly kind: 'times'; readonly expressions: readonly string[]; readonly timeZone: string }
  | ObjectsTrigger
  | { readonly kind: 'success'; readonly of: string }
  /** AWS has nothing that does it. */
  | { readonly kind: 'none'; readonly because: string; readonly remedy: string };

export interface ObjectsTrigger {
  readonly kind: 'objects';
  readonly bucket: string;
  /** Keys, of which a `*` of EventBridge stands for anything, slashes too. */
  readonly keys: readonly string[];
  /** Of keys that these take in and the pattern does not, since they are in deeper folders; null where there are none. */
  readonly deeper: string | null;
}

/** A plan's schedule in the words of EventBridge. */
export function schedulesOf({ schedule }: Pick<Plan, 'schedule'>): Schedules {
  switch (schedule.kind) {
    case 'manual':
    case 'continuous':
      return { kind: 'none' };
    case 'cron':
      return times(schedule.expression, schedule.timeZone);
    case 'files': {
      const { bucket, key } = /^s3:\/\/(?<bucket>[^/]+)\/(?<key>.+)$/.exec(schedule.pattern)?.groups ?? {};
      if (bucket === undefined || key === undefined)
        return none(`Nothing in AWS sees files of ${schedule.pattern}`, 'Let them come to S3, or start executions by yourself.');
      if (/[{}[\]?\\]/.test(key))
        return none(`EventBridge knows no other wildcard than * (${schedule.pattern})`, 'Write the pattern with * only.');
      const keys = keysOf(key);
      if (keys !== null) return { kind: 'objects', bucket, ...keys };
      return none(
        `EventBridge cannot tell which files ${schedule.pattern} means, since its * stands for slashes as well`,
        'Write ** once, and behind it no more than one * at the beginning of a name: landing/**/*.csv.',
      );
    }
    case 'notify':
      return none(
        `Nothing in AWS listens on the channel "${schedule.channel}" of Postgres`,
        'Start executions by yourself, or let "millrace scheduler" and a fleet do it.',
      );
    case 'success':
      return { kind: 'success', of: schedule.of };
    default:
      return schedule satisfies never;
  }
}

/**
 * A pattern in which `*` stands for what is no slash and `**` for folders of any depth, in a language whose `*` stands for anything; null where that
 * cannot be said.
 */
function keysOf(pattern: string): Pick<ObjectsTrigger, 'keys' | 'deeper'> | null {
  if (!pattern.includes('**')) {
    // What has no more slashes than the pattern has none in place of a *.
    const slashes = pattern.split('/').length - 1;
    return { keys: [pattern], deeper: pattern.includes('*') ? `*${'/*'.repeat(slashes + 1)}` : null };
  }
  const found = /^(?<place>[^*]*)\*\*(?:\/(?<name>.+))?$/.exec(pattern)?.groups;
  if (!found) return null;
  const { place = '', name = '*' } = found;
  if (!name.includes('*')) return { keys: [`${place}${name}`, `${place}*/${name}`], deeper: null };
  return /^\*[^*/]*$/.test(name) ? { keys: [`${place}${name}`], deeper: null } : null;
}

const none = (because: string, remedy: string): Schedules => ({ kind: 'none', because: `${because}: the machine has no trigger.`, remedy });

function times(expression: string, timeZone: string): Schedules {
  const fields = parseCron(expression);
  const expressions: string[] = [];
  for (const one of fields) {
    if (one.eitherDay || (one.days.size < 31 && !one.lastDay && one.weekdays.size < 7))
      return none(
        `"${expression}" names days of the month and of the week, and EventBridge takes one of the two`,
        'Write them as two pipelines, or choose one of the two.',
      );
    if (one.lastDay && one.days.size > 0)
      return none(
        `"${expression}" names the last day of the month beside others, and EventBridge takes it alone`,
        'Write the days that every month has, or the last one alone.',
      );
    expressions.push(eventBridgeCron(one));
  }
  return { kind: 'times', expressions: [...new Set(expressions)], timeZone };
}

/**
 * Six fields with a year; days of the week count from 1 on a Sunday, and one of the two kinds of days is `?`.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 */
function eventBridgeCron({ minutes, hours, days, lastDay, months, weekdays }: CronFields): string {
  const everyWeekday = weekdays.size === 7;
  const day = lastDay ? 'L' : everyWeekday ? list(days, 31) : '?';
  const weekday =
    everyWeekday || lastDay
      ? '?'
      : [...weekdays]
          .map((number) => number + 1)
          .sort((a, b) => a - b)
          .join(',');
  return `cron(${list(minutes, 60)} ${list(hours, 24)} ${day} ${list(months, 12)} ${weekday} *)`;
}

const list = (numbers: ReadonlySet<number>, all: number): string =>
  numbers.size === all ? '*' : [...numbers].sort((a, b) => a - b).join(',');
