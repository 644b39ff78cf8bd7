import { type BackfillUnit, compile, MillraceError, makeRunId, type Plan, timeZoneOf } from '@millrace/core/runtime';
import { postgresScheduleStore, sliceRange } from '@millrace/worker';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { findPipeline } from '../project/pipelines.ts';
import { windowOf } from '../run-request.ts';
import { insteadOfBackfill, needsSchedulers } from '../scheduler/needs-schedulers.ts';
import type { Session } from '../session.ts';
import { counted, moment } from '../text/amount.ts';

export interface BackfillCreateOptions {
  readonly range: string;
  readonly by?: BackfillUnit;
  readonly order: 'oldest' | 'newest';
  readonly maxParallel: number;
  readonly param: Readonly<Record<string, string>>;
  readonly fullRefresh?: true;
  readonly dryRun?: true;
}

export async function backfillCreate(session: Session, wanted: string, options: BackfillCreateOptions): Promise<ExitCode> {
  const { terminal } = session;
  await needsSchedulers(session, insteadOfBackfill);
  const { pipeline } = await findPipeline(await session.project(), wanted, session.calledFrom);
  const plan = compile(pipeline);
  checkParams(plan, options.param);
  const by = options.by ?? (plan.schedule.kind === 'cron' ? 'schedule' : 'day');
  const range = { ...windowOf(options.range, timeZoneOf(plan.schedule), '--range'), by };
  const slices = sliceRange(range, plan.schedule);
  const items = options.order === 'newest' ? slices.reverse() : slices;
  const [first, last] = [items[0]!, items.at(-1)!];
  const text = `${counted(items.length, 'run')} of ${plan.pipeline}, by ${by}, from ${moment(first.logicalTime)} to ${moment(last.logicalTime)} UTC, ${options.maxParallel} at a time`;
  if (options.dryRun) {
    terminal.print(`${text} (nothing was stored)`);
    terminal.emit({ dryRun: true, pipeline: plan.pipeline, range, count: items.length, first, last });
    return exitCodes.ok;
  }
  const store = session.keep(await postgresScheduleStore(await session.stateDatabase()));
  const backfill = await store.createBackfill({
    id: makeRunId(await store.now(), Math.random),
    pipeline: plan.pipeline,
    range,
    order: options.order,
    maxParallel: options.maxParallel,
    params: options.param,
    fullRefresh: options.fullRefresh ?? false,
    items,
  });
  terminal.say(`${text}. The schedulers work on it: millrace backfill show ${backfill.id}`);
  terminal.print(backfill.id);
  terminal.emit({ backfill });
  return exitCodes.ok;
}

/** Else each of its runs would be refused. */
function checkParams({ pipeline, params }: Plan, given: Readonly<Record<string, string>>): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(params, name));
  const missing = Object.entries(params).find(([name, value]) => value === null && given[name] === undefined)?.[0];
  if (unknown === undefined && missing === undefined) return;
  throw new MillraceError('CONFIG_INVALID', {
    message:
      unknown === undefined
        ? `Pipeline "${pipeline}" needs the parameter "${missing}".`
        : `Pipeline "${pipeline}" has no parameter "${unknown}".`,
    remedy: unknown === undefined ? `Give it: --param ${missing}=…` : `It has ${Object.keys(params).join(', ') || 'none'}.`,
  });
}
