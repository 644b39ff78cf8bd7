import type { CronSchedule, NewTick, RunId, Schedule, ScheduleChange, ScheduleView, Tick } from '@millrace/core/runtime';
import { lastTimes, nextTime, previousTime } from './calendar.ts';

/** Milliseconds by which a time may be late and count as met: a deployment takes this long. */
export const onTimeMs = 300_000;
/** Of times that are made up for by `catchUp: 'all'`, these are the newest. */
export const mostCaughtUp = 1_000;
/** Missed times that are remembered as such. */
const mostMissed = 100;

export interface TickDecision {
  readonly change: ScheduleChange;
  /** Runs that give way. */
  readonly cancel: readonly RunId[];
}

/** What is to be done with a schedule now: which times have come, which ticks may have their run. Pure. */
export function decideTicks(view: ScheduleView, now: Date): TickDecision {
  const { schedule, paused } = view.schedule;
  const timed = schedule.kind === 'cron' && !paused ? passedTimes(view, schedule, now) : {};
  const made = (timed.ticks ?? []).filter(({ state }) => state === 'waiting');
  // A person's request is not held up by a pause.
  const waiting = [...view.open, ...made].filter(({ state, cause }) => state === 'waiting' && (!paused || cause === 'request'));
  const launching = view.open.filter(({ state }) => state === 'launching').length;
  const { cancel = [], ...admitted } = admit(schedule, waiting, { launching, active: view.active });
  return { change: { ...timed, ...admitted }, cancel };
}

/**
 * Another version of the pipeline is deployed. Up to this moment the times were those of the old schedule, from here on they are
 * those of the new one, so that none is met twice and none is left out.
 */
export function decideDeployment(
  view: ScheduleView,
  deployed: { readonly fingerprint: string; readonly schedule: Schedule },
  now: Date,
): ScheduleChange {
  const before = view.schedule;
  const since = new Date(before.since);
  if (before.fingerprint !== null && sameSchedule(before.schedule, deployed.schedule)) return { deployed: { ...deployed, since } };
  // Also while it is paused: they wait for it to go on.
  const { ticks = [] } = before.schedule.kind === 'cron' ? passedTimes(view, before.schedule, now) : {};
  // A file that was there before is told by these two being one.
  const at = before.fingerprint === null ? now : laterOf(new Date(before.evaluatedAt), now);
  return {
    deployed: { ...deployed, since: at },
    evaluatedAt: at,
    nextAt: deployed.schedule.kind === 'cron' ? nextTime(deployed.schedule, at) : null,
    ticks,
  };
}

export function sameSchedule(a: Schedule, b: Schedule): boolean {
  const text = (schedule: Schedule) =>
    JSON.stringify(schedule, (_, value) => (isObject(value) ? Object.fromEntries(Object.entries(value).sort()) : value));
  return text(a) === text(b);
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);
const laterOf = (a: Date, b: Date): Date => (a > b ? a : b);

function passedTimes({ schedule: { evaluatedAt }, open, active }: ScheduleView, schedule: CronSchedule, now: Date): ScheduleChange {
  const after = new Date(evaluatedAt);
  // The database was moved, or its clock was put back: what has been met is met.
  if (after >= now) return {};
  const { catchUp = 'latest' } = schedule;
  const times = lastTimes(schedule, after, now, (catchUp === 'all' ? mostCaughtUp : 1) + mostMissed);
  const onTime = (time: Date): boolean => now.getTime() - time.getTime() < onTimeMs;
  const wanted = catchUp === 'all' ? times.slice(-mostCaughtUp) : times.slice(-1).filter((time) => catchUp === 'latest' || onTime(time));
  const first = times.length - wanted.length;
  let busy = open.length > 0 || active.length > 0;
  const ticks = times.map((time, i): NewTick => {
    if (i < first)
      return { ...tickAt(schedule, time), onTime: false, state: 'missed', because: `no scheduler ran then (catchUp: '${catchUp}')` };
    if (schedule.overlap === 'skip' && busy && onTime(time))
      return { ...tickAt(schedule, time), onTime: true, state: 'skipped', because: `the run before was not done (overlap: 'skip')` };
    busy = true;
    return { ...tickAt(schedule, time), onTime: onTime(time), state: 'waiting', because: null };
  });
  return { ticks, evaluatedAt: now, nextAt: nextTime(schedule, now) };
}

function tickAt(schedule: CronSchedule, time: Date): Pick<NewTick, 'key' | 'cause' | 'logicalTime' | 'window' | 'params'> {
  const logicalTime = time.toISOString();
  const before = previousTime(schedule, time);
  return {
    key: `schedule:${logicalTime}`,
    cause: 'schedule',
    logicalTime,
    window: before && { start: before.toISOString(), end: logicalTime },
    params: {},
  };
}

type Waiting = Pick<Tick, 'key' | 'cause' | 'onTime'>;

/** Which waiting ticks get their runs now. Those of triggers all do: each is an event, and the pipeline's own limit says how many run. */
function admit(
  schedule: Schedule,
  waiting: readonly Waiting[],
  { launching, active }: { readonly launching: number; readonly active: readonly RunId[] },
): ScheduleChange & { readonly cancel?: readonly RunId[] } {
  const timed = waiting.filter(({ cause }) => cause === 'schedule');
  const free = waiting.filter(({ cause }) => cause !== 'schedule').map(({ key }) => key);
  const overlap = (schedule.kind === 'cron' ? schedule.overlap : undefined) ?? 'queue';
  if (overlap === 'allow') return { launch: waiting.map(({ key }) => key) };
  const busy = launching > 0 || active.length > 0;
  const newest = overlap === 'cancel' ? timed.findLastIndex(({ onTime }) => onTime) : -1;
  const left = newest > 0 ? timed.slice(newest) : timed;
  const skip = timed.slice(0, timed.length - left.length).map(({ key }) => ({ key, because: `a later time came (overlap: 'cancel')` }));
  const first = left[0];
  return {
    launch: [...free, ...(busy || !first ? [] : [first.key])],
    skip,
    ...(newest >= 0 && active.length > 0 && { cancel: active }),
  };
}
