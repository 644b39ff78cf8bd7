import type { RunValue, Step, StepOptions } from '@millrace/core/runtime';
import { remote } from '@millrace/core/runtime';
import { capitalised } from '../aws/capital.ts';
import { settlesMs } from '../aws/listed.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { glueService } from './client.ts';
import { glueJob } from './job.ts';

export interface GlueSettings extends AwsSettings {
  /** How long a run that was just started may be missing from the list of runs, in milliseconds: 5,000. Waited for only where the answer to a start was lost. */
  readonly settlesMs?: number;
}

/** As Glue's `StartJobRun` has them; what is left out is as the job has it. */
export interface GlueJobOptions {
  /** `{ '--date': run.date }`. Names begin with `--`. */
  readonly arguments?: Readonly<Record<string, string | RunValue>>;
  readonly workerType?: string;
  readonly numberOfWorkers?: number;
  /** For Python shell jobs: 0.0625 or 1. */
  readonly maxCapacity?: number;
  /** In minutes. */
  readonly timeout?: number;
  readonly executionClass?: 'STANDARD' | 'FLEX';
  readonly securityConfiguration?: string;
  /** A run that finds no capacity waits in Glue's queue. */
  readonly jobRunQueuingEnabled?: boolean;
}

export interface GlueConnection {
  /** One run of the job, watched until it ends. */
  job(name: string, options?: GlueJobOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** AWS Glue jobs as steps: `glue({ region: 'eu-west-1' }).job('nightly-sales', { arguments: { '--date': run.date } }, { after: [files] })`. */
export function glue(settings: GlueSettings = {}): GlueConnection {
  const service = glueService(settings);
  return Object.freeze({
    job: (name: string, options: GlueJobOptions = {}, step: StepOptions = {}) =>
      remote(glueJob(service, name, settings.settlesMs ?? settlesMs), { JobName: name, ...capitalised({ ...options }) }, step),
  });
}
