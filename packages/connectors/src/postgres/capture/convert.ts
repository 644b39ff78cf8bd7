import { baseType, type ColumnType } from '@millrace/core/runtime';

/** Makes a value of the declared type of a value of the column's own type, which the declared one can hold. */
export type Convert = (value: unknown) => unknown;

/**
 * How a value that came in the binary form of `from` becomes one of `to`: `null` where its bytes mean the same in both; `undefined` where
 * only the text of the value says what it is in the wider type, so that the stream must bring text.
 */
export function conversion(from: ColumnType, to: ColumnType): Convert | null | undefined {
  const a = baseType(from);
  const b = baseType(to);
  if (a.kind === 'numeric' && b.kind === 'numeric') return rescales(a, b) ? (value) => rescaled(String(value), b.scale ?? 0) : null;
  if (a.kind === b.kind) return a.kind === 'array' && b.kind === 'array' ? arrays(a.of, b.of) : null;
  if (characters.has(a.kind) && (b.kind === 'text' || b.kind === 'varchar')) return null;
  if (integers.has(a.kind)) {
    if (b.kind === 'int8') return (value) => BigInt(value as number);
    if (b.kind === 'int4' || b.kind === 'float8' || b.kind === 'float4') return same;
    if (b.kind === 'numeric') return (value) => rescaled(String(value), b.scale ?? 0);
    if (b.kind === 'text' || b.kind === 'varchar') return String;
  }
  if (a.kind === 'float4' && b.kind === 'float8') return same;
  if (a.kind === 'bit' && b.kind === 'varbit') return null;
  if (a.kind === 'cidr' && b.kind === 'inet') return same;
  if ((b.kind === 'text' || b.kind === 'varchar') && ['uuid', 'numeric', 'jsonb'].includes(a.kind)) return same;
  return undefined;
}

/** The same for values that came as the text that Postgres prints: that text is one of the wider type too, but for decimals to be filled up. */
export function textConversion(from: ColumnType, to: ColumnType): Convert | null {
  const a = baseType(from);
  const b = baseType(to);
  if (b.kind !== 'numeric' || b.precision === undefined) return null;
  if (a.kind === 'numeric' && !rescales(a, b)) return null;
  return (value) => rescaled(String(value), b.scale ?? 0);
}

const integers = new Set<ColumnType['kind']>(['int2', 'int4', 'int8']);
const characters = new Set<ColumnType['kind']>(['text', 'varchar', 'char', 'enum', 'json']);
const same: Convert = (value) => value;

type Numeric = Extract<ColumnType, { kind: 'numeric' }>;

const rescales = (from: Numeric, to: Numeric): boolean =>
  to.precision !== undefined && (from.precision === undefined || (from.scale ?? 0) !== (to.scale ?? 0));

/** `1.1` with four decimals is `1.1000`. */
function rescaled(value: string, scale: number): string {
  if (scale <= 0 || !/^-?\d/.test(value)) return value;
  const point = value.indexOf('.');
  const decimals = point < 0 ? 0 : value.length - point - 1;
  return decimals >= scale ? value : `${point < 0 ? `${value}.` : value}${'0'.repeat(scale - decimals)}`;
}

function arrays(from: ColumnType, to: ColumnType): null | undefined {
  // An array of a domain names the domain in its bytes.
  return from.kind === to.kind && from.kind !== 'domain' && conversion(from, to) === null ? null : undefined;
}
