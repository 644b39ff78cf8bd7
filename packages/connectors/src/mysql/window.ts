import { setTimeout as sleep } from 'node:timers/promises';
import { baseType, type ColumnType, type Log, MillraceError, typeName, type Window } from '@millrace/core/runtime';
import type { CatalogColumn } from './catalog.ts';
import { clockBound } from './clock-bound.ts';
import { bound, byBytes, type Cursor, isText, type Since } from './cursor.ts';
import { quoteIdentifier } from './identifier.ts';
import { openWriters, settleMs } from './open-writers.ts';
import type { Session } from './session.ts';

/** How long a window waits for transactions that may be writing, where the lag is not longer. */
const patienceMs = 30_000;
const pollMs = 100;

/**
 * The window of an incremental read: rows with `low <= cursor < high`, where `high` is fixed before the snapshot is taken, so that every
 * row below it is either visible to the snapshot or will never come. The next window begins at this `high`: nothing is lost between the
 * two and nothing is read twice.
 *
 * | cursor                  | `high`                                                                                              |
 * |-------------------------|-----------------------------------------------------------------------------------------------------|
 * | timestamp               | now less the lag, on the server's clock, and not after the start of the oldest statement or transaction that may write |
 * | datetime                | the same moment in the server's own time zone, and not past the greatest value there is               |
 * | date                    | the same moment's day: a day is read once it is over                                                 |
 * | integers, decimal       | the greatest value and one in the last place, once all transactions that were open have ended         |
 * | varchar, text, uuid     | the next value after the greatest, by bytes, likewise: for keys that grow (UUID 7, ULID)              |
 *
 * A row is stamped when its statement begins, and seen when its transaction has ended. A row whose cursor is NULL has no place in any
 * later window, so the first one (`low` null) takes it. What writers set by clocks of their own may come below `high`: that is what the
 * lag is for.
 *
 * Outside any transaction, before the snapshot. @throws UNSUPPORTED for a column that cannot be a cursor
 */
export async function fixWindow(session: Session, cursor: Cursor, since: Since, log: Log, signal: AbortSignal): Promise<Window> {
  const { column } = cursor;
  if (!column.notNull && since.low === null)
    log.warn(
      `"${column.name}" may be NULL: rows without it are read now, with the first window, and never again. Set it for every row, or run with --full-refresh.`,
    );
  const kind = kindOf(column.type);
  if (kind === null) {
    throw new MillraceError('UNSUPPORTED', {
      message: `"${column.name}" is ${column.sqlType} (${typeName(column.type)}), which cannot tell new rows from old ones.`,
      remedy: 'Use a timestamp that each change sets, a key that grows (bigint, UUID 7, ULID), a date, or a decimal.',
      facts: { column: column.name, type: column.sqlType },
    });
  }
  const high = kind === 'clock' ? await clockBound(session, cursor, since, log) : await valueBound(session, cursor, since, log, signal);
  return { column: since.column, low: since.low, high };
}

function kindOf(type: ColumnType): 'clock' | 'value' | null {
  const { kind } = baseType(type);
  if (kind === 'date' || kind === 'timestamp' || kind === 'timestamptz') return 'clock';
  return ['int2', 'int4', 'int8', 'numeric', 'varchar', 'text', 'uuid'].includes(kind) ? 'value' : null;
}

/** The window as conditions on the source's own column. */
export function windowConditions(window: Window, column: CatalogColumn): string[] {
  const name = quoteIdentifier(column.name);
  const compared = isText(column.type) ? byBytes(name) : name;
  const below = `${compared} < ${bound(column.type, window.high)}`;
  if (window.low === null) return [column.notNull ? below : `${below} OR ${name} IS NULL`];
  return [`${compared} >= ${bound(column.type, window.low)}`, below];
}

/** Values that grow, but not with the clock: everything up to the greatest one there is, once nobody can add below it any more. */
async function valueBound(session: Session, { column, from }: Cursor, since: Since, log: Log, signal: AbortSignal): Promise<string> {
  const closed = since.low ?? least(column.type);
  if (session.server.readOnly) {
    throw new MillraceError('UNSUPPORTED', {
      message: `A read replica does not show who is still writing, so rows below the greatest "${column.name}" could be missed.`,
      remedy: 'Read from the writer, or use a timestamp column as the cursor, with a lag.',
      facts: { column: column.name },
    });
  }
  const name = quoteIdentifier(column.name);
  const order = isText(column.type) ? byBytes(name) : name;
  const [greatest] = await session.query(
    `SELECT CAST(${name} AS CHAR) AS value FROM ${from} WHERE ${name} IS NOT NULL ORDER BY ${order} DESC LIMIT 1`,
    column.name,
  );
  if (greatest?.['value'] == null) return closed;
  const high = successor(column.type, greatest['value']);
  if (since.low !== null && !isAbove(column.type, high, since.low)) return since.low;
  const writer = await writersGone(session, Math.max(patienceMs, since.lagMs), log, signal);
  if (writer === null) return high;
  log.warn(
    `A transaction (connection ${writer}) has been open for a while and may yet add rows below the greatest "${column.name}": this run reads nothing new, the next one goes on.`,
  );
  return closed;
}

/** Null once every transaction and statement that was there at first has ended, since later ones write above; else one that has not. */
async function writersGone(session: Session, patience: number, log: Log, signal: AbortSignal): Promise<string | null> {
  await sleep(settleMs, undefined, { signal });
  const begun = performance.now();
  let waitFor: Set<string> | undefined;
  for (;;) {
    const elapsed = Math.floor((performance.now() - begun) / 1000);
    const open = await openWriters(session, log);
    waitFor ??= new Set(open.map(({ id }) => id));
    const left = open.filter(({ id, seconds }) => waitFor?.has(id) && (seconds === null || seconds >= elapsed));
    if (left.length === 0) return null;
    if (performance.now() > begun + patience) return left[0]?.thread ?? '';
    await sleep(pollMs, undefined, { signal });
  }
}

/** The next value that the type can hold; for text the next by bytes. */
function successor(type: ColumnType, value: string): string {
  const base = baseType(type);
  if (isText(type)) return `${value}\u0001`;
  const scale = base.kind === 'numeric' ? (base.scale ?? 0) : 0;
  const [whole = '0', fraction = ''] = value.split('.');
  const next = BigInt(whole + fraction.padEnd(scale, '0')) + 1n;
  if (scale === 0) return String(next);
  const digits = String(next < 0n ? -next : next).padStart(scale + 1, '0');
  return `${next < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function isAbove(type: ColumnType, a: string, b: string): boolean {
  if (isText(type)) return Buffer.compare(Buffer.from(a), Buffer.from(b)) > 0;
  const scaled = (text: string): bigint => {
    const [whole = '', fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(30, '0'));
  };
  return scaled(a) > scaled(b);
}

/** A bound below which there is nothing: the window of a table without rows. */
function least(type: ColumnType): string {
  const base = baseType(type);
  if (isText(type)) return '';
  return base.kind === 'numeric' ? `-${'9'.repeat(Math.max(1, (base.precision ?? 1) - (base.scale ?? 0)))}` : '-9223372036854775808';
}
