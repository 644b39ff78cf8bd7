import { type CronSchedule, type Plan, parseCron, timeZoneOf } from '@millrace/core/runtime';
import type { Day } from './site.ts';

/** Whether the day of a run, in its schedule's time zone, is always the day of its time in UTC. */
export function dayOf({ schedule }: Pick<Plan, 'schedule'>): Day {
  const zone = timeZoneOf(schedule);
  if (zone === 'UTC') return { kind: 'utc', used: false };
  return { kind: schedule.kind === 'cron' && sameDay(schedule) ? 'local' : 'worker', used: false };
}

function sameDay({ expression, timeZone }: CronSchedule): boolean {
  const offsets = offsetsOf(timeZone);
  return parseCron(expression).every(({ hours, minutes }) =>
    [...hours].every((hour) =>
      [...minutes].every((minute) =>
        [...offsets].every((offset) => {
          const utc = hour * 60 + minute - offset;
          return utc >= 0 && utc < 24 * 60;
        }),
      ),
    ),
  );
}

/** Years of which the rules of time zones are known: always the same ones, so that a plan compiles to the same machine whenever it does. */
const years = { first: 2024, last: 2037 };

/** Minutes east of UTC, in every month of these years. */
function offsetsOf(timeZone: string): ReadonlySet<number> {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  return new Set(
    Array.from({ length: 12 * (years.last - years.first + 1) }, (_, month) => {
      const at = new Date(Date.UTC(years.first, month, 15));
      const name = format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
      const [, sign, hours, minutes] = /GMT([+-])(\d\d):(\d\d)/.exec(name) ?? [];
      return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0));
    }),
  );
}
