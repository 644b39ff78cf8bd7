import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, MillraceError } from '@millrace/core/runtime';
import type { Storage } from '../s3/storage.ts';
import type { DmsControl, DmsTable } from './control.ts';
import type { JournalFile, Load } from './journal.ts';
import { fileIn, folderOf } from './layout.ts';
import { checkAlive } from './life-cycle.ts';
import type { TablePlace } from './mappings.ts';
import type { Reading } from './output.ts';

/** Clocks of DMS and S3, and S3's whole seconds. */
export const clockMargin = 5_000;

export interface LoadFrom {
  readonly storage: Storage;
  readonly control: DmsControl;
  readonly reading: Reading;
  readonly context: Context;
  readonly everyMs: number;
}

/**
 * Waits until DMS has loaded a table. Files that are older than the load are of an earlier one.
 *
 * @throws REMOTE_FAILED where the load has failed, or has left rows out
 */
export async function loadFilesOf(from: LoadFrom, place: TablePlace, begun: string): Promise<Load> {
  const { control, context, everyMs } = from;
  for (;;) {
    const table = statisticsOf(await control.tables(context), place);
    if (table && isLoaded(table, control.label)) {
      const startedAt = table.startedAt ?? begun;
      return { startedAt, rows: table.loadedRows, files: await filesSince(from, place, startedAt) };
    }
    checkAlive(await control.status(context), control.label);
    await sleep(everyMs, undefined, { signal: context.signal });
  }
}

export const statisticsOf = (tables: readonly DmsTable[], place: TablePlace): DmsTable | undefined =>
  tables.find(({ schema, table }) => schema === place.schema && table === place.table);

/** @throws REMOTE_FAILED */
export function isLoaded({ schema, table, state, errorRows }: DmsTable, label: string): boolean {
  const shown = `"${schema}"."${table}"`;
  if (/error|cancel|does not exist/i.test(state))
    throw new MillraceError('REMOTE_FAILED', {
      message: `${label} could not load ${shown}: it is "${state}".`,
      remedy: 'Look at the log of the task in CloudWatch, mend it, and run "millrace resync".',
      facts: { schema, table, state },
    });
  if (!/completed/i.test(state)) return false;
  if (errorRows === 0) return true;
  throw new MillraceError('REMOTE_FAILED', {
    message: `${label} has left ${errorRows} rows of ${shown} out of the full load.`,
    remedy: 'Look for the rows in the log of the task, mend them at the source or declare wider columns, and run "millrace resync".',
    facts: { schema, table, errorRows },
  });
}

async function filesSince({ storage, reading }: LoadFrom, place: TablePlace, startedAt: string): Promise<JournalFile[]> {
  const folder = folderOf(place);
  const files: JournalFile[] = [];
  for await (const { key, etag, size, modified } of storage.list(`${folder}LOAD`)) {
    const file = fileIn(folder, key, reading);
    if (file?.kind !== 'load' || modified.getTime() < Date.parse(startedAt) - clockMargin) continue;
    files.push({ key, etag, size, modified: modified.toISOString(), stamp: '' });
  }
  return files;
}
