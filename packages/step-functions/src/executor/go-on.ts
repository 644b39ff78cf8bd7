import { setTimeout as sleep } from 'node:timers/promises';
import {
  type GoesOnBy,
  isEnded,
  type Reopenings,
  type RunId,
  type RunRecord,
  stagesWith,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { isCurrent, type Newest, reopeningsAt } from './executions.ts';
import { admit, held, type LaunchOptions, launch, stopIfCancelled } from './launch.ts';
import { reopened as reopenedBy } from './record.ts';
import { type Execution, goesOn } from './service.ts';
import type { Settler } from './settle.ts';

/*
 * A run that has ended goes on: its record is opened again, then its machine.
 *
 *   look ─▶ decide how ─▶ reopen (how is written down with it) ─▶ redrive, or start the next execution
 *
 *   before reopen      nothing has changed; of two who come at once one reopens
 *   after reopen       whoever comes finds what was decided, and does that: a redrive has a token, an execution a name, so that it is done once,
 *                      however many do it
 */

export interface GoOnOptions extends LaunchOptions {
  readonly settler: Settler;
}

/** How long an execution may take to end when its run has: what it tries again meanwhile ends at once. */
const endingMs = 30_000;

/**
 * An execution that can be redriven goes on from where it failed. Another one is started where that would lead nowhere: it has ended in a
 * state that fails, stages are to be done again that it takes for done, or parts have executions of their own.
 *
 * @throws RUN_HELD, REMOTE_REFUSED, PLAN_CHANGED; the run is as it was then
 */
export async function goOn(options: GoOnOptions, id: RunId, from?: string): Promise<RunRecord> {
  const { store, settler, deployments } = options;
  const { plan } = await store.read(id);
  const again = from === undefined ? [] : stagesWith(plan, from);
  const machine = await deployments.machine(plan);
  if (!(await store.adopt(id, stepFunctionsQueue))) throw held(id, 'Another process works on it.');
  await settler.settle(id);
  const run = await store.read(id);
  const newest = await settler.newest(machine, id);
  const reopened = await settler.reopened(id);
  if (!isEnded(run.state)) {
    const { execution } = newest;
    const current = execution !== null && isCurrent(execution, reopened);
    if (current && goesOn(execution)) return run;
    if (current) throw held(id, 'Its execution has ended, and a task of it is still being stopped.');
    if (execution && goesOn(execution))
      throw held(id, 'One of its executions still runs that another is to follow: let it end, or stop it.');
    const by = reopened.ways.at(-1) ?? 'execution';
    return onward(options, { run: await admit(options, id), machine, newest, reopened: reopened.count, by });
  }
  const ended = newest.execution && (await endOf(options, newest.execution, id));
  const by = ended && again.length === 0 && (await leadsOn(options, ended, run, reopened)) ? 'redrive' : 'execution';
  // A redrive is of the version that the execution began with, whatever is deployed by now.
  if (by === 'execution') await deployments.deployed(plan);
  // Of one that the record has left behind it knows what was done, and what was to be done again.
  const done = ended && isCurrent(ended, reopened) ? await settler.done(ended, deployments.compiled(plan)) : new Map();
  const { run: opened, events } = await store.transition(id, (record, now) =>
    record.seq === run.seq ? reopenedBy(record, { from: again, by, done }, now) : [],
  );
  if (events.length === 0) return store.read(id); // nothing is left to do, or somebody else has been quicker
  if (isEnded(opened.state)) return opened; // nothing was left to do but to say so
  return onward(options, { run: await admit(options, id), machine, newest, reopened: reopened.count + 1, by });
}

interface Onward {
  readonly run: RunRecord;
  readonly machine: string;
  readonly newest: Newest;
  readonly reopened: number;
  readonly by: GoesOnBy;
}

/** Does what was decided. */
async function onward(options: GoOnOptions, { run, machine, newest, reopened, by }: Onward): Promise<RunRecord> {
  const { execution, next } = newest;
  if (by === 'redrive' && execution && (await redriven(options, execution, run.id, reopened))) {
    await stopIfCancelled(options, run.id, execution.arn);
    return run;
  }
  await options.deployments.deployed(run.plan);
  await launch(options, run, { machine, number: next, reopened });
  return run;
}

/** False where it cannot be redriven any more, and was not. */
async function redriven({ service }: GoOnOptions, execution: Execution, id: RunId, reopened: number): Promise<boolean> {
  if (reopeningsAt(execution) !== reopened - 1) return false;
  if (await service.redrive(execution.arn, `${id} ${reopened}`)) return true;
  const now = await service.execution(execution.arn);
  if (now && (goesOn(now) || reopeningsAt(now) >= reopened)) return true;
  // What is told of it is of before.
  if (now?.redrivable) throw held(id, 'Step Functions has not redriven its execution, and says that it can be.');
  return false;
}

/** Whether redriving it would do what is left to do. What a state has failed with is not tried again where the machine went on from there. */
async function leadsOn(
  { service, deployments }: GoOnOptions,
  execution: Execution,
  { plan, stages }: RunRecord,
  reopened: Reopenings,
): Promise<boolean> {
  // Else its redrives would not count the reopenings any more.
  if (!execution.redrivable || !isCurrent(execution, reopened) || reopeningsAt(execution) !== reopened.count) return false;
  if (plan.stages.some(({ id, onFailure }) => onFailure === 'continue' && stages.get(id)?.state.at === 'failed')) return false;
  if (deployments.compiled(plan).others.some(({ states }) => states.size > 0)) return false;
  const events = await service.history(execution.arn, 0);
  const since = events.findLastIndex(({ type }) => type === 'ExecutionRedriven');
  return !events.slice(since + 1).some(({ type }) => type === 'FailStateEntered');
}

/** Its run has ended, and it does so in a moment. @throws RUN_HELD */
async function endOf({ service }: GoOnOptions, execution: Execution, id: RunId): Promise<Execution> {
  const until = performance.now() + endingMs;
  let now = execution;
  for (let pause = 200; goesOn(now); pause = Math.min(2_000, 2 * pause)) {
    if (performance.now() > until)
      throw held(id, 'It has ended, and its execution has not: what runs beside its last stage comes to its end first.');
    await sleep(pause);
    now = (await service.execution(execution.arn)) ?? { ...execution, status: 'ABORTED', redrivable: false };
  }
  return now;
}
