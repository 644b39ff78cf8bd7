import { baseType, type Log } from '@millrace/core/runtime';
import { bound, type Cursor, type Since } from './cursor.ts';
import { quoteIdentifier } from './identifier.ts';
import { literal } from './literal.ts';
import { heldBack } from './open-writers.ts';
import type { Session } from './session.ts';

/** How far a transaction may hold the window back before that is worth a word. */
const worthSayingSeconds = 60;

/** The upper bound of a window over a clock: rows that are committed later will have been stamped at or after it. See `fixWindow`. */
export async function clockBound(session: Session, cursor: Cursor, since: Since, log: Log): Promise<string> {
  const { column } = cursor;
  const base = baseType(column.type);
  const { kind } = base;
  if (session.server.readOnly && since.lagMs === 0)
    log.warn(
      `A read replica shows neither the writer's transactions nor how far it is behind: set a lag longer than both, or rows with an earlier "${column.name}" may be missed.`,
    );
  const held = await heldBack(session, log);
  if (held.seconds - since.lagMs / 1000 > worthSayingSeconds)
    log.warn(`A transaction has been open for ${held.seconds} s (${held.by}): rows stamped since then wait for the next run.`, {
      by: held.by,
    });
  const back = Math.max(held.seconds, since.lagMs / 1000);
  const unit = kind === 'date' ? 'DATE' : 'DATETIME(6)';
  // A column with fewer decimals rounds to the nearest, which may be half a unit back.
  const rounding = base.kind !== 'date' && 'precision' in base && base.precision !== undefined ? 10 ** (6 - base.precision) : 0;
  const now = `CAST(${held.now} AS DATETIME(6)) - INTERVAL ${Math.ceil(back * 1_000_000) + rounding} MICROSECOND`;
  const inZone = kind === 'timestamptz' ? now : `CONVERT_TZ(${now}, '+00:00', @@global.time_zone)`;
  const low = since.low === null ? null : bound(column.type, since.low);
  const greatest = kind === 'timestamp' ? await greatestOf(session, cursor) : null;
  const capped =
    greatest === null
      ? `CAST(${inZone} AS ${unit})`
      : `LEAST(${inZone}, CAST(${literal(greatest)} AS DATETIME(6)) + INTERVAL 1 MICROSECOND - INTERVAL ${Math.ceil(since.lagMs * 1000)} MICROSECOND)`;
  const [row] = await session.query(
    `SELECT CAST(${low === null ? capped : `GREATEST(${capped}, ${low})`} AS ${unit}) AS high`,
    column.name,
  );
  const high = row?.['high'] ?? '';
  return kind === 'timestamptz' ? `${high}+00` : high;
}

/** What a `datetime` means depends on who wrote it: nothing is taken to be complete beyond what is there. */
async function greatestOf(session: Session, { column, from }: Cursor): Promise<string | null> {
  const [row] = await session.query(`SELECT CAST(MAX(${quoteIdentifier(column.name)}) AS CHAR) AS value FROM ${from}`, column.name);
  return row?.['value'] ?? null;
}
