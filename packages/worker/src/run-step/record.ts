import {
  decide,
  isEnded,
  machineReached,
  machineRedriven,
  type Reopenings,
  type RunRecord,
  type RunStore,
  runRequest,
  stepFunctionsQueue,
} from '@millrace/core/runtime';
import { held, planChanged } from '../executor/refusals.ts';
import { anotherPlan, anotherRun, noStage, recordBehind, redrivenAlone, wentOnElsewhere } from './refusals.ts';
import type { Step, StepOptions } from './step.ts';

/**
 * The record of the run that a step is of, made by whichever task comes first. The execution has it from here on.
 *
 * @throws PLAN_CHANGED where the code here is another version than the machine's; nothing is recorded then
 * @throws CONFIG_INVALID where the id belongs to another run · RUN_HELD where a process works on it by itself
 */
export async function recordOf(step: Step, { store, pipeline: { plan } }: Pick<StepOptions, 'store' | 'pipeline'>): Promise<RunRecord> {
  if (step.plan !== plan.fingerprint) throw anotherPlan(step, plan);
  if (!plan.stages.some(({ id }) => id === step.stage)) throw noStage(step, plan);
  const { date, window, ...asked } = step.request;
  const request = await runRequest({ file: '', plan, ...asked, ...(window && { window }) }, plan, store, await store.now());
  const { run, created } = await store.create({
    id: step.run,
    request: { ...request, ...(date !== null && { date }), file: null },
    plan,
    queue: stepFunctionsQueue,
  });
  if (created) return run;
  const same = run.request.pipeline === plan.pipeline && Date.parse(run.request.logicalTime) === Date.parse(request.logicalTime);
  if (!same) throw anotherRun(run);
  if (run.plan.fingerprint !== plan.fingerprint) throw planChanged(run);
  if ((await store.queueOf(run.id)) !== stepFunctionsQueue && !(await store.adopt(run.id, stepFunctionsQueue))) throw held(run);
  return run;
}

/**
 * Records that the machine has come to the stage: the run goes on, what is before the stage is over, and a retry of it is due.
 *
 * @throws CONFIG_INVALID where a stage of ours before it is not over: then it was recorded elsewhere
 */
export async function arrive({ run: id, stage, failed }: Step, store: RunStore): Promise<void> {
  const { run } = await store.transition(id, (record, now) => {
    const reached = machineReached(record, stage, new Set(failed), now);
    return reached.length > 0 ? reached : decide(record, { type: 'due', stage }, now);
  });
  if (run.state.at === 'running' && run.stages.get(stage)?.state.at === 'waiting') throw recordBehind(run, stage);
}

/**
 * Opens the run again where its execution was redriven, or begun anew, and nobody has done that: before the stage is looked at, so that what
 * becomes of it now is not taken for what became of it then. Once, however many come. False while attempts of before are being stopped.
 *
 * @throws RUN_HELD where the run has gone on in another execution since, or nothing would go on behind this one
 */
export async function countRedrives(step: Step, store: RunStore, counted: () => Promise<Reopenings>): Promise<boolean> {
  const { run: id, reopenings, redrives, alone } = step;
  if (alone) throw redrivenAlone(step);
  if (reopenings === 0) return true;
  for (;;) {
    const { seq } = await store.read(id);
    const { count, ways } = await counted();
    if (ways.slice(reopenings - redrives, reopenings).includes('execution')) throw wentOnElsewhere(step);
    if (count >= reopenings) return true;
    const { run } = await store.transition(id, (record, now) => (record.seq === seq ? machineRedriven(record, now) : []));
    // Of one that has succeeded there is nothing to open.
    if (run.seq === seq) return isEnded(run.state);
  }
}
