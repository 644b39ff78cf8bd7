import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '@millrace/core/runtime';
import type { DmsStatus } from './life-cycle.ts';
import { sameMappings } from './mappings.ts';
import { settingProblems } from './task-settings.ts';

export type Asking = Pick<Context, 'signal' | 'secret'>;

/** What DMS counts of a table. */
export interface DmsTable {
  readonly schema: string;
  readonly table: string;
  /** `Full load`, `Table completed`, `Table error`, … */
  readonly state: string;
  readonly loadedRows: number;
  readonly errorRows: number;
  readonly startedAt: string | null;
  readonly inserts: number;
  readonly deletes: number;
}

export type StartKind = 'start-replication' | 'resume-processing' | 'reload-target';

/** A replication task or a serverless replication, as the engine uses it. */
export interface DmsControl {
  readonly arn: string;
  /** For people: `DMS task shop-to-lake`. */
  readonly label: string;
  status(context: Asking): Promise<DmsStatus>;
  tables(context: Asking): Promise<readonly DmsTable[]>;
  start(kind: StartKind, context: Asking): Promise<void>;
  stop(context: Asking): Promise<void>;
  /** Of a task that stands still. */
  modify(what: { readonly mappings: string; readonly settings: string | null }, context: Asking): Promise<void>;
  /** `S3Settings` of the target endpoint; null where it is of another kind. */
  output(endpoint: string, context: Asking): Promise<Readonly<Record<string, unknown>> | null>;
  /** Brings the endpoint's `S3Settings` up to date. */
  modifyOutput(endpoint: string, settings: Readonly<Record<string, unknown>>, context: Asking): Promise<void>;
}

/** Between two looks, in milliseconds. */
export const lookEvery = 5_000;

/** Mappings and settings are brought up to date while the task stands still: a start in between would run with the old ones. */
export async function keepTask(
  control: DmsControl,
  wanted: { readonly mappings: string; readonly settings: Readonly<Record<string, unknown>> },
  context: Asking,
  everyMs = lookEvery,
): Promise<void> {
  const { sameTables, sameSettings } = sameTask(await control.status(context), wanted);
  if (sameTables && sameSettings) return;
  await control.modify({ mappings: wanted.mappings, settings: sameSettings ? null : JSON.stringify(wanted.settings) }, context);
  await settled(control, ['modifying', 'updating'], context, everyMs);
}

/** Whether it has loaded what is read now, and as it is read. */
export function sameTask(
  { mappings, settings }: Pick<DmsStatus, 'mappings' | 'settings'>,
  wanted: { readonly mappings: string; readonly settings: Readonly<Record<string, unknown>> },
): { readonly sameTables: boolean; readonly sameSettings: boolean } {
  return {
    sameTables: mappings !== null && sameMappings(mappings, wanted.mappings),
    sameSettings: settings === null || settingProblems(wanted.settings, settings).length === 0,
  };
}

/** Waits until it is none of these any more. */
export async function settled(control: DmsControl, states: readonly string[], context: Asking, everyMs = lookEvery): Promise<DmsStatus> {
  for (;;) {
    const state = await control.status(context);
    if (!states.includes(state.status)) return state;
    await sleep(everyMs, undefined, { signal: context.signal });
  }
}
