import { type CaptureSource, type Context, type Finding, isMillraceError } from '@millrace/core/runtime';
import type { StoreSettings } from '../s3/open-storage.ts';
import type { DmsControl } from './control.ts';
import { examineBucket } from './examine-bucket.ts';
import { examineSource } from './examine-source.ts';
import type { DmsStatus } from './life-cycle.ts';
import { sameMappings } from './mappings.ts';
import type { EngineSettings } from './options.ts';
import { outputDifferences } from './output.ts';
import { settingProblems } from './task-settings.ts';

export interface ExamineParts {
  readonly settings: EngineSettings;
  readonly control: DmsControl;
  readonly native: CaptureSource;
  /** Of the files. */
  readonly url: string;
  readonly store: StoreSettings;
}

/** The task, its endpoint, its bucket and its source, before anything is started. */
export async function examineDms(parts: ExamineParts, context: Context): Promise<Finding[]> {
  const { control, native, settings } = parts;
  const subject = control.label;
  try {
    const state = await control.status(context);
    return [
      ...task(state, parts),
      ...(await endpoint(state, parts, context)),
      ...(await examineBucket(parts.url, parts.store, context)),
      ...proxy(native),
      ...(await examineSource(native, settings, context)),
    ];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}

function task(state: DmsStatus, { control, settings }: ExamineParts): Finding[] {
  const subject = control.label;
  if (state.status === 'missing')
    return [
      { subject, level: 'problem', message: `there is no ${settings.arn}`, remedy: 'Make it, or correct the ARN and the region in dms().' },
    ];
  const findings: Finding[] = [{ subject, level: 'ok', message: `it is ${state.status.replaceAll('_', ' ')}` }];
  if (state.kind === 'full-load')
    findings.push({
      subject,
      level: 'warning',
      message: 'it does a full load only: changes do not come',
      remedy: 'Make the task anew with the migration type full-load-and-cdc.',
    });
  const isStill = ['ready', 'created', 'stopped', 'failed'].includes(state.status);
  const kept = settings.manage
    ? isStill
      ? 'They are brought up to date before the next full load.'
      : 'Run "millrace resync": it stops the task, brings them up to date and loads the tables again.'
    : 'Bring them up to date: "millrace plan" shows them, or leave manage out of dms().';
  const level = settings.manage ? 'warning' : 'problem';
  if (state.mappings !== null && !sameMappings(state.mappings, settings.task.mappings))
    findings.push({ subject, level, message: 'its table mappings are not those of the declared tables', remedy: kept });
  if (state.settings !== null)
    for (const message of settingProblems(settings.task.settings, state.settings)) findings.push({ subject, level, message, remedy: kept });
  return findings;
}

async function endpoint(state: DmsStatus, { control, settings, url }: ExamineParts, context: Context): Promise<Finding[]> {
  const { targetEndpoint } = state;
  if (targetEndpoint === null) return [];
  const subject = `endpoint ${targetEndpoint.split(':').at(-1)}`;
  const found = await control.output(targetEndpoint, context);
  if (found === null)
    return [{ subject, level: 'problem', message: 'it is no S3 endpoint', remedy: 'Give the task a target endpoint of the engine s3.' }];
  const place = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(url);
  const folder = String(found['BucketFolder'] ?? '').replace(/^\/+|\/+$/g, '');
  if (place && (place[1] !== found['BucketName'] || place[2] !== folder))
    return [
      {
        subject,
        level: 'problem',
        message: `it writes to s3://${String(found['BucketName'])}/${folder}, and ${url} is read`,
        remedy: 'Give files: s3({ url }) of dms() the bucket and the folder of the endpoint.',
      },
    ];
  const differences = outputDifferences(settings.output, found);
  if (differences.length === 0) return [{ subject, level: 'ok', message: 'it writes as it is read' }];
  const shown = (value: unknown): string => (value === undefined || value === null ? 'not set' : JSON.stringify(value));
  return [
    {
      subject,
      level: 'problem',
      message: differences.map(({ name, wanted, found: is }) => `${name} is ${shown(is)} and should be ${shown(wanted)}`).join('; '),
      remedy: 'Change the endpoint while the task stands still ("millrace doctor --fix" does), or give dms() what it has as output.',
      fix: () =>
        control.modifyOutput(targetEndpoint, Object.fromEntries(differences.map(({ name, wanted }) => [name, wanted ?? ''])), context),
    },
  ];
}

/** DMS and the native capture alike read the log, which a proxy does not pass on. */
function proxy({ description }: CaptureSource): Finding[] {
  if (!/\.proxy-[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com/.test(description.connection)) return [];
  return [
    {
      subject: description.connection,
      level: 'problem',
      message: 'it is an RDS Proxy, through which no changes can be read',
      remedy: 'Name the instance or the writer of the cluster, in the source endpoint of DMS as well.',
    },
  ];
}
