import { baseType, type ColumnType, type Log, MillraceError, type ReadRequest, typeName, type Window } from '@millrace/core/runtime';
import { comesAs, readColumn, type SourceColumn } from './columns.ts';
import type { Dialect } from './dialect.ts';
import type { Parameter } from './protocol.ts';
import type { Fragment } from './select-sql.ts';
import type { JdbcSession } from './session.ts';

/**
 * The window of an incremental read: rows with `low <= cursor < high`, where `high` is fixed before anything is read. The next window begins
 * there: nothing is read twice.
 *
 * | cursor                  | `high`                                                                          |
 * |-------------------------|---------------------------------------------------------------------------------|
 * | timestamptz, timestamp  | just above the greatest value, and not after now less the lag on the database's clock |
 * | date                    | the day of now less the lag, and not after the day behind the greatest one: a day is read once it is over |
 * | int2, int4, int8        | the greatest value and one                                                      |
 * | numeric(p, s)           | the greatest value and one in the last decimal                                  |
 *
 * JDBC does not say whose transactions are still open: a row that commits after the window was fixed, with a value below `high`, is missed.
 * That is what the lag is for, and for whole numbers nothing else will do than writers that commit in order.
 */
type Since = NonNullable<ReadRequest['since']>;

const clocks = ['timestamp', 'timestamptz', 'date'];

/** @throws UNSUPPORTED for a column that cannot be a cursor */
export async function fixWindow(
  session: JdbcSession,
  dialect: Dialect,
  column: SourceColumn,
  from: string,
  quote: (name: string) => string,
  since: Since,
  log: Log,
): Promise<Window> {
  const { kind, ...type } = baseType(column.actual.type);
  const isNumeric = kind === 'numeric' && 'precision' in type && type.precision !== undefined;
  if (!clocks.includes(kind) && !['int2', 'int4', 'int8'].includes(kind) && !isNumeric) throw noCursor(column);
  if (column.nullable && since.low === null) {
    log.warn(
      `"${column.name}" may be NULL: rows without it are read now, with the first window, and never again. Set it for every row, or run with --full-refresh.`,
    );
  }
  if (!clocks.includes(kind))
    log.warn(
      `Who is writing to a table is not known through JDBC: a transaction that commits late may add rows below the greatest "${column.name}". Use a time with a lag where that can happen.`,
    );
  const greatest = await one(session, `SELECT MAX(${quote(column.source.name)}) FROM ${from}`, column);
  const high = greatest === null ? (since.low ?? least(column.actual.type)) : await bound(session, dialect, column, greatest, since);
  return { column: since.column, low: since.low, high: since.low !== null && !isAbove(kind, high, since.low) ? since.low : high };
}

async function bound(session: JdbcSession, dialect: Dialect, column: SourceColumn, greatest: string, { lagMs }: Since): Promise<string> {
  const base = baseType(column.actual.type);
  if (!clocks.includes(base.kind)) return nextNumber(greatest);
  const zoned = base.kind === 'timestamptz';
  const expression = zoned ? (dialect.now.timestamptz ?? dialect.now.timestamp) : (dialect.now.timestamp ?? dialect.now.timestamptz);
  if (expression === null) throw noCursor(column);
  const type: ColumnType = { kind: zoned ? 'timestamptz' : 'timestamp', precision: 9 };
  const kind = zoned && dialect.product !== 'mysql' && dialect.now.timestamptz !== null ? 'stamptz' : 'stamp';
  const clock = { ...column, type: { kind: 'text' }, actual: { type, kind } } as const;
  const now = micros((await one(session, `SELECT ${expression}${dialect.fromNothing}`, clock)) ?? '') - BigInt(lagMs) * 1000n;
  if (base.kind === 'date') {
    const day = 86_400_000_000n;
    const [nowDay, next] = [now - mod(now, day), micros(`${greatest} 00:00:00`) + day];
    return printed(nowDay < next ? nowDay : next).slice(0, 10);
  }
  const next = micros(greatest) + 1n;
  return `${printed(now < next ? now : next)}${zoned ? '+00' : ''}`;
}

/** The one value of an answer, as the column's values come. */
async function one(session: JdbcSession, sql: string, column: SourceColumn): Promise<string | null> {
  const as = { ...column, name: 'value', type: { kind: 'text' } as const };
  const request = {
    sql,
    parameters: [],
    fetchSize: 1,
    columns: [readColumn(as)],
    types: [comesAs(as)],
    schema: { columns: [{ name: 'value', type: as.type, nullable: true }] },
  };
  let value: string | null = null;
  for await (const batch of session.read(request, column.name)) value = batch.vectors[0]!.get(0) as string | null;
  return value;
}

/** The window as conditions on the source's own column. */
export function windowConditions(
  { low, high }: Window,
  column: SourceColumn,
  dialect: Dialect,
  quote: (name: string) => string,
): Fragment[] {
  const name = quote(column.source.name);
  const isMoment = ['timestamp', 'timestamptz'].includes(baseType(column.actual.type).kind);
  const mark = isMoment ? dialect.moment(column.actual.type) : '?';
  const parameter = (value: string): Parameter => ({ kind: parameterKind(column.actual.type, value), value });
  const below: Fragment = { sql: `${name} < ${mark}`, parameters: [parameter(high)] };
  if (low !== null) return [{ sql: `${name} >= ${mark}`, parameters: [parameter(low)] }, below];
  return [column.source.nullable === 'no' ? below : { ...below, sql: `${below.sql} OR ${name} IS NULL` }];
}

function parameterKind(type: ColumnType, value: string): Parameter['kind'] {
  const { kind } = baseType(type);
  if (kind === 'timestamptz') return 'stamptz';
  if (kind === 'timestamp') return 'stamp';
  if (kind === 'date') return 'date';
  return kind !== 'numeric' && value.length < 19 ? 'long' : 'decimal'; // the value behind the greatest integer is none
}

/** `2024-02-29 23:59:59.123456`, with `+00` or without, in microseconds since 1970. */
function micros(text: string): bigint {
  const [, day = '', time = '', fraction = ''] = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00)?$/.exec(text) ?? [];
  const milliseconds = Date.parse(`${day}T${time}Z`);
  if (Number.isNaN(milliseconds)) {
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `${JSON.stringify(text)} cannot bound a window.`,
      remedy: 'Correct the value of the cursor column: its years must be 1 to 9999.',
    });
  }
  return BigInt(milliseconds) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
}

function printed(at: bigint): string {
  const second = at - mod(at, 1_000_000n);
  const text = new Date(Number(second / 1000n)).toISOString().slice(0, 19).replace('T', ' ');
  const fraction = mod(at, 1_000_000n);
  return fraction === 0n ? text : `${text}.${String(fraction).padStart(6, '0')}`;
}

const mod = (a: bigint, b: bigint): bigint => ((a % b) + b) % b;

/** One more in the last decimal. */
function nextNumber(value: string): string {
  const point = value.indexOf('.');
  const scale = point < 0 ? 0 : value.length - point - 1;
  const next = String(BigInt(value.replace('.', '')) + 1n);
  if (scale === 0) return next;
  const digits = next.replace('-', '').padStart(scale + 1, '0');
  return `${next.startsWith('-') ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function isAbove(kind: ColumnType['kind'], a: string, b: string): boolean {
  if (kind === 'date') return a > b;
  if (clocks.includes(kind)) return micros(a) > micros(b);
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
    case 'timestamptz':
      return '1000-01-01 00:00:00+00';
    case 'timestamp':
      return '1000-01-01 00:00:00';
    case 'date':
      return '1000-01-01';
    case 'numeric':
      return `-${'9'.repeat(Math.max(1, Math.min(38, (base.precision ?? 1) - (base.scale ?? 0))))}`;
    default:
      return '-9223372036854775808';
  }
}

const noCursor = ({ name, actual }: SourceColumn): MillraceError =>
  new MillraceError('UNSUPPORTED', {
    message: `"${name}" is ${typeName(actual.type)}, which cannot tell new rows from old ones.`,
    remedy: 'Use a timestamp that each change sets, a whole number that grows, a date, or a numeric with a scale.',
    facts: { column: name, type: typeName(actual.type) },
  });
