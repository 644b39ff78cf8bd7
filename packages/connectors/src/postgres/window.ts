import { setTimeout as sleep } from 'node:timers/promises';
import { baseType, type ColumnType, type Log, MillraceError, type ReadRequest, typeName, type Window } from '@millrace/core/runtime';
import type { Session } from './client.ts';
import { clockBound } from './clock-bound.ts';
import { quoteIdentifier } from './identifier.ts';
import { literal } from './literal.ts';

/**
 * The window of an incremental read: rows with `low <= cursor < high`, where `high` is fixed before the snapshot is taken, so
 * that every row below it is either visible to the snapshot or will never come. The next window begins at this `high`: nothing is
 * lost between the two and nothing is read twice.
 *
 * | cursor             | `high`                                                                                                  |
 * |--------------------|---------------------------------------------------------------------------------------------------------|
 * | timestamptz        | now less the lag, on the database's clock, and not after the start of the oldest transaction still open    |
 * | timestamp          | the same moment in the database's own time zone, and not past the greatest value there is                  |
 * | date               | the same moment's day: a day is read once it is over                                                     |
 * | int2, int4, int8   | the greatest value and one, once all transactions that were writing to the table have ended              |
 * | numeric(p, s)      | the greatest value and one in the last decimal, likewise                                                  |
 * | uuid, text         | the next value after the greatest, by bytes, likewise: for keys that grow (UUID 7, ULID)                    |
 *
 * A row whose cursor is NULL has no place in any later window, so the first one (`low` null) takes it. What writers set by clocks of
 * their own, or draw from a sequence long before they insert, may come below `high`: that is what the lag is for.
 */
export interface Cursor {
  readonly column: string;
  /** The type at the source. */
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** FROM item that holds the column: a quoted table, or a query in parentheses. */
  readonly from: string;
  /** OIDs of the table and its children; null for anything else, whose tables are not known. */
  readonly tables: readonly string[] | null;
  readonly kind: 'table' | 'view' | 'materialized view' | 'foreign table' | 'query';
}

type Since = NonNullable<ReadRequest['since']>;

/** How long a window waits for transactions that are writing to the table, where the lag is not longer. */
const patienceMs = 30_000;
const pollMs = 100;

/** Outside any transaction, before the snapshot. @throws UNSUPPORTED for a column that cannot be a cursor */
export async function fixWindow(session: Session, cursor: Cursor, since: Since, log: Log, signal: AbortSignal): Promise<Window> {
  const base = baseType(cursor.type);
  warnOfNulls(cursor, since, log);
  warnOfOthers(cursor, base.kind, log);
  switch (base.kind) {
    case 'timestamptz':
    case 'timestamp':
      return { column: since.column, low: since.low, high: await clockBound(session, cursor, { ...base, kind: base.kind }, since, log) };
    case 'date':
      return { column: since.column, low: since.low, high: await clockBound(session, cursor, { kind: 'date' }, since, log) };
    case 'int2':
    case 'int4':
    case 'int8':
    case 'uuid':
    case 'text':
    case 'varchar':
      return { column: since.column, low: since.low, high: await valueBound(session, cursor, since, log, signal) };
    case 'numeric':
      if (base.precision !== undefined)
        return { column: since.column, low: since.low, high: await valueBound(session, cursor, since, log, signal) };
      break;
    default:
  }
  throw new MillraceError('UNSUPPORTED', {
    message: `"${cursor.column}" is ${typeName(cursor.type)}, which cannot tell new rows from old ones.`,
    remedy: 'Use a timestamptz that each change sets, a key that grows (int8, UUID 7, ULID), a date, or a numeric with a scale.',
    facts: { column: cursor.column, type: typeName(cursor.type) },
  });
}

/** The window as conditions on the source's own column. */
export function windowConditions(window: Window, { column, type, nullable }: Pick<Cursor, 'column' | 'type' | 'nullable'>): string[] {
  const name = quoteIdentifier(column);
  const compared = isText(type) ? `${name} COLLATE "C"` : name;
  const below = `${compared} < ${bound(type, window.high)}`;
  if (window.low === null) return [nullable ? `${below} OR ${name} IS NULL` : below];
  return [`${compared} >= ${bound(type, window.low)}`, below];
}

const isText = (type: ColumnType): boolean => ['text', 'varchar'].includes(baseType(type).kind);

/** The value behind the greatest integer fits no integer. */
const beyond: Readonly<Record<string, string>> = { int2: '32768', int4: '2147483648', int8: '9223372036854775808' };

function bound(type: ColumnType, value: string): string {
  const { kind } = baseType(type);
  return `${literal(value)}::${beyond[kind] === value ? 'numeric' : kind === 'varchar' ? 'text' : kind}`;
}

function warnOfNulls({ column, nullable, tables }: Cursor, { low }: Since, log: Log): void {
  if (!nullable || tables === null || low !== null) return;
  log.warn(
    `"${column}" may be NULL: rows without it are read now, with the first window, and never again. Set it for every row, or run with --full-refresh.`,
  );
}

/** Whose rows appear by rules that the catalog does not show. */
function warnOfOthers({ column, tables, kind }: Cursor, type: ColumnType['kind'], log: Log): void {
  if (tables !== null) return;
  const isClock = type === 'timestamptz' || type === 'timestamp' || type === 'date';
  if (!isClock)
    log.warn(
      `Who is writing to what a ${kind} reads is not known: a transaction that commits late may add rows below the greatest "${column}". Use a timestamptz with a lag where that can happen.`,
    );
  else if (kind === 'materialized view' || kind === 'foreign table') {
    log.warn(`The rows of a ${kind} may appear long after the time in "${column}": set a lag longer than that.`);
  }
}

/** Values that grow, but not with the clock: everything up to the greatest one there is, once nobody can add below it any more. */
async function valueBound(session: Session, cursor: Cursor, since: Since, log: Log, signal: AbortSignal): Promise<string> {
  const closed = since.low ?? least(cursor.type);
  const [state] = await session.query('select pg_is_in_recovery() as standby');
  if (state?.['standby'] === 't') {
    throw new MillraceError('UNSUPPORTED', {
      message: `A read replica does not show who is still writing, so rows below the greatest "${cursor.column}" could be missed.`,
      remedy: 'Read from the writer, or use a timestamptz column as the cursor, with a lag.',
      facts: { column: cursor.column },
    });
  }
  const name = quoteIdentifier(cursor.column);
  const order = isText(cursor.type) ? `${name} COLLATE "C"` : name;
  const real = baseType(cursor.type).kind === 'numeric' ? ` AND ${name} < 'NaN'` : '';
  const [greatest] = await session.query(
    `SELECT ${name}::text AS value FROM ${cursor.from} WHERE ${name} IS NOT NULL${real} ORDER BY ${order} DESC LIMIT 1`,
    [],
    cursor.column,
  );
  if (!greatest?.['value']) return closed;
  const high = successor(cursor.type, greatest['value']);
  if (since.low !== null && !isAbove(cursor.type, high, since.low)) return since.low;
  const writer = cursor.tables && (await writersGone(session, cursor.tables, Math.max(patienceMs, since.lagMs), signal));
  if (writer === null) return high;
  log.warn(
    `A transaction (${writer}) has been writing to the table for a while and may yet add rows below the greatest "${cursor.column}": this run reads nothing new, the next one goes on.`,
  );
  return closed;
}

/** Null once every transaction that could have uncommitted rows in the tables has ended; else one that has not. */
async function writersGone(
  session: Session,
  tables: readonly string[] | null,
  patience: number,
  signal: AbortSignal,
): Promise<string | null> {
  if (tables === null) return null;
  const until = performance.now() + patience;
  let waitFor: Set<string> | undefined;
  for (;;) {
    const rows = await session.query(
      `select distinct virtualtransaction as id, coalesce('pid ' || pid, 'prepared') as writer from pg_locks
       where locktype = 'relation' and granted and relation = any($1::oid[]) and database = (select oid from pg_database where datname = current_database())
         and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') and pid is distinct from pg_backend_pid()`,
      [`{${tables.join(',')}}`],
    );
    // Later transactions write above the greatest value: only those that were there at first count.
    const left = rows.filter((row) => waitFor === undefined || waitFor.has(row['id'] ?? ''));
    waitFor = new Set(left.map((row) => row['id'] ?? ''));
    if (left.length === 0) return null;
    if (performance.now() > until) return left[0]?.['writer'] ?? '';
    await sleep(pollMs, undefined, { signal });
  }
}

/** The smallest value above all that are at or below `value`. */
export function successor(type: ColumnType, value: string): string {
  const base = baseType(type);
  if (base.kind === 'uuid') {
    const next = (BigInt(`0x${value.replaceAll('-', '')}`) + 1n).toString(16).padStart(32, '0').slice(-32);
    // There is nothing behind ffffffff-…: that one value waits, as it would in a table of UUIDs that really grow.
    return (next === '0'.repeat(32) ? 'f'.repeat(32) : next).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
  if (base.kind === 'text' || base.kind === 'varchar') return `${value}\u0001`;
  const point = value.indexOf('.');
  const scale = point < 0 ? 0 : value.length - point - 1;
  const step = base.kind === 'numeric' && (base.scale ?? 0) < 0 ? 10n ** BigInt(-(base.scale ?? 0)) : 1n;
  const next = String(BigInt(value.replace('.', '')) + step);
  if (scale === 0) return next;
  const digits = next.replace('-', '').padStart(scale + 1, '0');
  return `${next.startsWith('-') ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function isAbove(type: ColumnType, a: string, b: string): boolean {
  const { kind } = baseType(type);
  if (kind === 'uuid') return a > b;
  if (kind === 'text' || kind === 'varchar') return Buffer.compare(Buffer.from(a), Buffer.from(b)) > 0;
  const scaled = (text: string): bigint => {
    const [whole = '', fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(1000, '0'));
  };
  return scaled(a) > scaled(b);
}

/** A bound below which there is nothing: the window of a table without rows. */
function least(type: ColumnType): string {
  const base = baseType(type);
  switch (base.kind) {
    case 'uuid':
      return '00000000-0000-0000-0000-000000000000';
    case 'text':
    case 'varchar':
      return '';
    case 'int2':
      return '-32768';
    case 'int4':
      return '-2147483648';
    case 'numeric':
      return `-${'9'.repeat(Math.max(1, (base.precision ?? 1) - (base.scale ?? 0)))}`;
    default:
      return '-9223372036854775808';
  }
}
