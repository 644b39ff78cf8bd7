import { baseType, type ColumnType } from '../schema/index.ts';
import { dayNumber } from './calendar.ts';
import { intervalMicros } from './interval-value.ts';

export type Compare = (a: never, b: never) => number;

/**
 * The order of a type's values, as Postgres has it: NaN above everything and equal to itself, text by code points
 * (`COLLATE "C"`), enums by their labels, char without its blanks, intervals with months of 30 days. Null for types whose
 * order or equality is not defined here (json, arrays, ranges, networks and other types).
 */
export function comparer(type: ColumnType): ((a: unknown, b: unknown) => number) | null {
  return orderOf(type) as ((a: unknown, b: unknown) => number) | null;
}

function orderOf(type: ColumnType): Compare | null {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return (a: boolean, b: boolean) => Number(a) - Number(b);
    case 'int2':
    case 'int4':
      return (a: number, b: number) => a - b;
    case 'int8':
      return (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
    case 'float4':
    case 'float8':
      return compareFloats;
    case 'numeric':
      return compareDecimals;
    case 'text':
    case 'varchar':
      return compareText;
    case 'char':
      return (a: string, b: string) => compareText(a.replace(/ +$/, ''), b.replace(/ +$/, ''));
    case 'enum': {
      const places = new Map(base.labels.map((label, place) => [label, place]));
      return (a: string, b: string) => (places.get(a) ?? -1) - (places.get(b) ?? -1);
    }
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return compareMoments;
    case 'time':
    case 'uuid':
    case 'macaddr':
    case 'macaddr8':
      return (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
    case 'timetz':
      return compareZonedTimes;
    case 'interval':
      return (a: string, b: string) => {
        const [x, y] = [intervalMicros(a), intervalMicros(b)];
        return x < y ? -1 : x > y ? 1 : 0;
      };
    case 'bytea':
      return (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b);
    default:
      return null;
  }
}

function compareFloats(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return a === b ? 0 : Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** By code points, which is the order of the bytes in UTF-8. Surrogates sort below U+E000 in UTF-16, so they are lifted. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? lifted(x) - lifted(y) : x - y;
  }
  return a.length - b.length;
}

const lifted = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit + 0x2000);

/** Decimal text as numeric has it, compared digit by digit and never as a float. */
export function compareDecimals(a: string, b: string): number {
  const [x, y] = [decimalClass(a), decimalClass(b)];
  if (x !== y || x !== 0) return x - y;
  const negative = a.startsWith('-');
  if (negative !== b.startsWith('-')) return /[1-9]/.test(a + b) ? (negative ? -1 : 1) : 0;
  return negative ? comparePlain(b.slice(1), a.slice(1)) : comparePlain(a, b);
}

function decimalClass(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  if (last >= 48 && last <= 57) return 0;
  return text === 'NaN' ? 2 : text === 'Infinity' ? 1 : -1;
}

function comparePlain(a: string, b: string): number {
  const x = a.indexOf('.') < 0 ? a.length : a.indexOf('.');
  const y = b.indexOf('.') < 0 ? b.length : b.indexOf('.');
  if (x !== y) return x - y;
  const length = Math.max(a.length, b.length);
  for (let at = 0; at < length; at++) {
    if (at === x) continue;
    const difference = (at < a.length ? a.charCodeAt(at) : 48) - (at < b.length ? b.charCodeAt(at) : 48);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Dates, timestamps: their text sorts as they do between the years 1 and 9999. */
function compareMoments(a: string, b: string): number {
  if (isIso(a) && isIso(b)) return a < b ? -1 : a > b ? 1 : 0;
  const [x, y] = [momentKey(a), momentKey(b)];
  return x.day !== y.day ? (x.day < y.day ? -1 : 1) : x.clock < y.clock ? -1 : x.clock > y.clock ? 1 : 0;
}

const isIso = (text: string): boolean => text.charCodeAt(4) === 45 && text.charCodeAt(text.length - 1) !== 67;

function momentKey(text: string): { day: number; clock: string } {
  if (text === 'infinity') return { day: Number.POSITIVE_INFINITY, clock: '' };
  if (text === '-infinity') return { day: Number.NEGATIVE_INFINITY, clock: '' };
  const [, year = '', month, day, clock = '', era] = /^(\d+)-(\d\d)-(\d\d)(?:[T ]([\d:.]+))?(?:Z|\+00)?( BC)?$/.exec(text) ?? [];
  const [time = '', fraction = ''] = clock.split('.');
  return { day: dayNumber(era ? 1 - Number(year) : Number(year), Number(month), Number(day)), clock: `${time}.${fraction.padEnd(6, '0')}` };
}

/** By the moment in UTC, then the more western one last. */
function compareZonedTimes(a: string, b: string): number {
  const [x, y] = [zonedTime(a), zonedTime(b)];
  return x.micros - y.micros || y.offset - x.offset;
}

function zonedTime(text: string): { micros: number; offset: number } {
  const seconds = (clock: string): number => clock.split(':').reduce((sum, part, place) => sum + Number(part) * 60 ** (2 - place), 0);
  const offset = seconds(text.slice(16)) * (text[15] === '-' ? -1 : 1);
  return { micros: (seconds(text.slice(0, 8)) - offset) * 1_000_000 + Number(text.slice(9, 15)), offset };
}
