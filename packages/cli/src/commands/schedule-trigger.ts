import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError, type Tick, timeZoneOf } from '@millrace/core/runtime';
import { postgresScheduleStore } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { instantOf } from '../run-request.ts';
import { needsSchedulers } from '../scheduler/needs-schedulers.ts';
import type { Session } from '../session.ts';
import { noSchedule } from './schedule-pause.ts';

/** A scheduler looks every second. */
const waitMs = 10_000;

/** Asks the schedulers for a run now. They make it, with the plan that is deployed, also where the schedule is paused. */
export async function scheduleTrigger(
  session: Session,
  pipeline: string,
  options: { readonly param: Readonly<Record<string, string>>; readonly date?: string },
): Promise<ExitCode> {
  const { terminal } = session;
  await needsSchedulers(session, `Start it: millrace run ${pipeline}`);
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const schedules = await store.schedules();
  const found = schedules.find((one) => one.pipeline === pipeline);
  if (!found)
    throw noSchedule(
      pipeline,
      schedules.map((one) => one.pipeline),
    );
  const logicalTime = options.date === undefined ? null : instantOf(options.date, timeZoneOf(found.schedule), '--date');
  const key = `request:${randomUUID()}`;
  const common = { cause: 'request', window: null, onTime: true, state: 'waiting', because: null } as const;
  await store.offer(pipeline, [{ ...common, key, logicalTime, params: options.param }]);
  const until = performance.now() + waitMs;
  let tick: Tick | null = null;
  do {
    await sleep(200, undefined, { signal: session.signal });
    tick = await store.tick(pipeline, key);
  } while (tick && (tick.state === 'waiting' || tick.state === 'launching') && performance.now() < until);
  if (tick?.state === 'refused')
    throw new MillraceError('CONFIG_INVALID', {
      message: `The run was refused: ${tick.because}`,
      remedy: 'Correct that, and ask again.',
      facts: { key },
    });
  if (tick?.run) terminal.print(tick.run);
  else terminal.say('The run is asked for; no scheduler has made it yet. It is made when one runs: millrace scheduler');
  terminal.emit({ pipeline, key, run: tick?.run ?? null, state: tick?.state ?? 'waiting' });
  return exitCodes.ok;
}
