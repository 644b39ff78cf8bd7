import type { TestDatabase } from '../database.ts';
import type { LogicalServer } from '../logical-server.ts';
import { LiveMirror, type MirrorOptions, prepare } from './live-mirror.ts';
import { type Place, placeOf } from './scenario.ts';

export interface Given extends Partial<Omit<MirrorOptions, 'tables'>> {
  readonly tables?: MirrorOptions['tables'] | ((source: TestDatabase) => Promise<MirrorOptions['tables']>);
  /** At the source, before the stream begins. */
  readonly before: string;
  /** At the target. */
  readonly there?: string;
}

/** A scenario with databases and a stream of its own. */
export async function following(
  server: LogicalServer,
  { before, there, tables, ...options }: Given,
  body: (place: Place) => Promise<void>,
): Promise<void> {
  await using source = options.source ?? (await server.database());
  await using target = options.target ?? (await server.database());
  await prepare(source);
  await source.sql(before);
  if (there) await target.sql(there);
  const some = typeof tables === 'function' ? await tables(source) : tables;
  await using mirror = new LiveMirror({ source, target, ...options, ...(some && { tables: some }) });
  await mirror.start();
  await body(placeOf(source, target, mirror));
}
