import { decide, isMillraceError, MillraceError, mayPass, type RunId, type RunRecord, type RunStore } from '@millrace/core/runtime';
import type { Deployments } from './deployments.ts';
import { executionArn, executionInput, executionName, reopeningsAt, runOf } from './executions.ts';
import type { StepFunctionsService } from './service.ts';

export interface LaunchOptions {
  readonly store: RunStore;
  readonly service: StepFunctionsService;
  readonly deployments: Deployments;
}

/** At once, whatever else of the pipeline runs: so does every execution that a schedule starts. */
export async function admit({ store }: Pick<LaunchOptions, 'store'>, id: RunId): Promise<RunRecord> {
  const { run } = await store.transition(id, (record, now) => decide(record, { type: 'admit', rivals: [], limit: 1 }, now));
  return run;
}

/**
 * Starts an execution of the run under the first name from this number on that no execution of another run, or of an earlier time of this
 * one, has. Safe to repeat, by anybody: where one for the same time is there already, nothing happens.
 *
 * @throws RUN_HELD where somebody starts one at this very moment
 */
export async function launch(
  { store, service, deployments }: LaunchOptions,
  run: RunRecord,
  { machine, number, reopened = 0 }: { readonly machine: string; readonly number: number; readonly reopened?: number },
): Promise<void> {
  const machines = deployments.compiled(run.plan);
  for (let at = number; ; at++) {
    const name = executionName(run.id, at);
    const input = executionInput(run, machines, { execution: name, reopened });
    const taken = await asked(store, run.id, async () =>
      (await service.start(machine, name, input)) ? null : { by: await service.execution(executionArn(machine, name)) },
    );
    if (taken === null) return stopIfCancelled({ store, service }, run.id, executionArn(machine, name));
    if (taken.by === null) throw held(run.id, `Somebody has just started execution ${name}.`);
    if (runOf(taken.by) === run.id && reopeningsAt(taken.by) >= reopened) return;
  }
}

/** Whoever has cancelled the run before its execution was there has found nothing to stop. */
export async function stopIfCancelled(
  { store, service }: Pick<LaunchOptions, 'store' | 'service'>,
  id: RunId,
  execution: string,
): Promise<void> {
  if ((await store.read(id)).cancelRequestedAt !== null) await stop(service, id, execution);
}

export const stop = (service: StepFunctionsService, id: RunId, execution: string): Promise<void> =>
  service.stop(execution, 'RUN_CANCELLED', `"millrace runs cancel ${id}"`);

/** What passes leaves the run for a retry; what does not ends it, for nothing would. */
async function asked<Answer>(store: RunStore, id: RunId, call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call();
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    if (mayPass(error))
      throw new MillraceError(error.code, {
        message: `${error.message} Run ${id} is stored.`,
        remedy: `Start it when Step Functions answers: millrace runs retry ${id}`,
        facts: error.facts,
        cause: error,
      });
    await store.transition(id, (record, now) => decide(record, { type: 'cancel' }, now));
    throw error;
  }
}

export const held = (run: RunId, why: string): MillraceError =>
  new MillraceError('RUN_HELD', {
    message: `Run ${run} cannot go on yet. ${why}`,
    remedy: `Watch it: millrace runs watch ${run}`,
    facts: { run },
  });
