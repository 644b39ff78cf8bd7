import type { Channel } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { copyPart } from '../sink/copy-part.ts';
import { landingOf } from '../sink/landing.ts';
import { stagingTable, written } from '../sink/staged-rows.ts';
import type { Applying } from './apply-sink.ts';
import type { SplitInto } from './fresh-copy.ts';
import { history } from './settings.ts';

/** Straight into the table where it takes the bytes as they come, else by way of a temporary one. */
export async function copySplit(
  { settings, context }: Applying,
  session: Session,
  { into, time }: SplitInto,
  channel: Channel,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  const landing = landingOf(channel.schema.columns, into.real);
  const versioned = settings.mode === 'history' && into.columns.has(history.validFrom);
  const copy = { session, object: into.shown, progress: context.progress };
  if (landing.direct && !versioned) return copyPart({ ...copy, table: into.quoted }, channel, null);
  const landed = '"__millrace_split"';
  await session.execute(stagingTable(landed, landing, { persistence: 'TEMP', notNull: new Set() }));
  const copied = await copyPart({ ...copy, table: landed }, channel, null);
  const { into: columns, values } = written(landing);
  const extra = versioned ? [history.validFrom, history.isCurrent, '_position'].map((name) => quoteIdentifier(name)) : [];
  const given = versioned ? ['$1::timestamptz', 'true', `''`] : [];
  await session.execute(
    `INSERT INTO ${into.quoted} (${[columns, ...extra].join(', ')}) OVERRIDING SYSTEM VALUE SELECT ${[values, ...given].join(', ')} FROM ${landed} AS s`,
    versioned ? [time] : [],
    into.shown,
  );
  await session.execute(`DROP TABLE ${landed}`);
  return copied;
}
