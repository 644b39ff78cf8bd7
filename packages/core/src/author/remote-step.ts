import type { RemoteTask } from '../connector/index.ts';
import type { RunValue } from './run-value.ts';
import type { Step, StepOptions } from './step.ts';
import { step } from './steps.ts';

/** Parameters of a service's call, by the names of its API. Where a value is known when the run is, `run.date` and the like stand for it. */
export type RemoteParameters = { readonly [name: string]: RemoteValue };
export type RemoteValue = string | number | boolean | null | RunValue | readonly RemoteValue[] | RemoteParameters;

/**
 * Work that a service does elsewhere. For the packages that know services; pipelines call `glue(…).job(…)` and the like.
 *
 * It is started once for each run, watched by its handle and holds no worker meanwhile. Its `timeout` counts from its start and ends the
 * work; a `pool` counts it for as long as it goes on.
 */
export function remote(task: RemoteTask, parameters: RemoteParameters, options: StepOptions = {}): Step<never, 'nothing'> {
  return step('nothing', { input: null, schema: null, work: { kind: 'remote', task, parameters }, options });
}
