import { setTimeout as sleep } from 'node:timers/promises';
import { type CaptureSource, type Context, MillraceError, type SqlConnection } from '@millrace/core/runtime';
import type { DmsControl } from './control.ts';
import { quoted } from './examine-source.ts';
import { statisticsOf } from './load-files.ts';
import type { TableReading } from './read-file.ts';

/** How often the source is asked again where the counts do not meet: what DMS has yet to read may explain it. */
const attempts = 6;

export interface CheckParts {
  readonly control: DmsControl;
  readonly native: CaptureSource;
  readonly readings: ReadonlyMap<string, TableReading>;
  readonly context: Context;
  readonly lookMs: number;
}

/**
 * Holds the rows of a full load against the table itself, where the source is a database that can be asked. It goes on changing, so the two
 * may differ by as many rows as DMS has seen come and go since; anything beyond that are rows that DMS has left out, which it does not say.
 */
export function sourceCheck({ control, native, readings, context, lookMs }: CheckParts): (table: string, loaded: number) => Promise<void> {
  return async (table, loaded) => {
    const count = await counting(native);
    if (!count) return;
    const place = (readings.get(table) as TableReading).place;
    let there = 0;
    let moved = 0;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      there = await count(`SELECT count(*) AS rows FROM ${quoted(place)}`, context);
      const statistics = statisticsOf(await control.tables(context), place);
      moved = (statistics?.inserts ?? 0) + (statistics?.deletes ?? 0);
      if (Math.abs(there - loaded) <= moved) return;
      if (attempt < attempts) await sleep(lookMs, undefined, { signal: context.signal });
    }
    throw new MillraceError('MANIFEST_MISMATCH', {
      message: `"${table}" has ${there} rows at the source, and DMS has loaded ${loaded}; the ${moved} that it has seen come or go since do not explain it.`,
      remedy: 'Look for errors of the table in the log of the task, then run "millrace resync" to load the tables again.',
      facts: { table, there, loaded, moved },
    });
  };
}

async function counting({ connection }: CaptureSource): Promise<((text: string, context: Context) => Promise<number>) | null> {
  const { sql, dialect } = connection as Partial<SqlConnection>;
  if (!sql || dialect !== 'postgres') return null;
  const runner = (connection as SqlConnection).sql();
  return async (text, context) => Number((await runner.query(text, [], context))[0]?.['rows'] ?? 0);
}
