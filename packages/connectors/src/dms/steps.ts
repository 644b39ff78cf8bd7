import { MillraceError, type RunValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import { capitalised } from '../aws/capital.ts';
import { regionOfArn } from '../aws/console.ts';
import { settlesMs as usual } from '../aws/listed.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { dmsService } from './client.ts';
import type { Until } from './life.ts';
import { dmsReplication } from './replication.ts';
import { dmsTask } from './task.ts';

export interface DmsStepSettings extends AwsSettings {
  /** How long DMS may tell the state of before a start, in milliseconds: 5,000. Waited for only where the answer to a start was lost. */
  readonly settlesMs?: number;
}

export interface DmsStepOptions {
  /** `stopped` (default): the step ends when the replication does. `loaded`: when its full load is done, and the replication goes on. */
  readonly until?: Until;
  /** Loads all tables anew, where a stream that was stopped would go on. False by default. */
  readonly reload?: boolean;
  /** Of a task that captures changes only, for its first start: `2026-03-29T00:00:00Z`. */
  readonly cdcStartTime?: string | RunValue;
  /** A checkpoint or a log position, for its first start. */
  readonly cdcStartPosition?: string | RunValue;
  /** `server_time:2026-03-29T12:00:00` or `commit_time:…`: where the stream ends. */
  readonly cdcStopPosition?: string | RunValue;
}

export interface DmsSteps {
  /** A task on a replication instance, by its ARN. Started, resumed or reloaded as its state asks for. */
  task(arn: string, options?: DmsStepOptions, step?: StepOptions): Step<never, 'nothing'>;
  /** A serverless replication, by the ARN of its configuration. */
  replication(configArn: string, options?: DmsStepOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** Replications of AWS DMS as steps: `dmsSteps({ region: 'eu-west-1' }).task(arn, {}, { after: [prepared] })`. */
export function dmsSteps(settings: DmsStepSettings = {}): DmsSteps {
  const service = dmsService(settings);
  const lifeOf = ({ until = 'stopped', reload = false }: DmsStepOptions) => ({ until, reload, settlesMs: settings.settlesMs ?? usual });
  const cdcOf = ({ until: _, reload: __, ...cdc }: DmsStepOptions) => capitalised({ ...cdc });
  return Object.freeze({
    task: (arn: string, options: DmsStepOptions = {}, step: StepOptions = {}) =>
      remote(dmsTask(service, checked(arn, 'task'), lifeOf(options)), { ReplicationTaskArn: arn, ...cdcOf(options) }, step),
    replication: (arn: string, options: DmsStepOptions = {}, step: StepOptions = {}) =>
      remote(
        dmsReplication(service, checked(arn, 'replication-config'), lifeOf(options)),
        { ReplicationConfigArn: arn, ...cdcOf(options) },
        step,
      ),
  });
}

/** @throws PIPELINE_INVALID */
function checked(arn: string, what: 'task' | 'replication-config'): string {
  if (regionOfArn(arn) !== null && arn.split(':')[5] === what) return arn;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `"${arn}" is no ARN of a DMS ${what}.`,
    remedy: `Write it as DMS shows it: arn:aws:dms:eu-west-1:123456789012:${what}:ABCDEFGHIJKLMNOPQRSTUVWXYZ.`,
  });
}
