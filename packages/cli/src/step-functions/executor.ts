import { MillraceError, type RunStore } from '@millrace/core/runtime';
import { type StepFunctionsExecutor, stepFunctionsExecutor } from '@millrace/step-functions';
import { postgresStore, type RunViews, runViews, type StateAddress } from '@millrace/worker';
import type { Project } from '../project/config.ts';
import { stepFunctionsSettings } from './settings.ts';

/**
 * Runs of the project on state machines, told from the state database that their tasks use.
 *
 * @throws CONFIG_INVALID, STATE_UNAVAILABLE, STATE_VERSION, UNSUPPORTED
 */
export async function machinesExecutor(
  project: Project,
  state: () => Promise<StateAddress>,
  watch: (store: RunStore) => RunStore = (store) => store,
): Promise<StepFunctionsExecutor<RunViews>> {
  const settings = stepFunctionsSettings(project);
  const { environment, environmentName } = project;
  if (environment.state === undefined && !process.env['MILLRACE_STATE_URL']) throw unreachable(environmentName);
  const store = watch(await postgresStore(await state()));
  const { pools } = environment;
  return stepFunctionsExecutor({ store, views: runViews(store, { pools }), settings, environment: environmentName });
}

const unreachable = (environment: string): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: `The environment "${environment}" runs on Step Functions and names no state database: tasks in AWS cannot reach one on this machine.`,
    remedy:
      "Give it a Postgres that you and the tasks reach, state: secret('STATE_URL') in millrace.config.ts, and STATE_URL among stepFunctions.secrets.",
    facts: { environment },
  });
