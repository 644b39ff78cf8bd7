import { baseType, type ColumnType, conform, mismatch, sameType, significant, textCodec } from '@millrace/core/runtime';
import { roundDecimal } from './decimal.ts';
import { dayOf, roundClock, withZone } from './moment.ts';

export type CastValue = (value: unknown) => unknown;

/**
 * What `value::type` gives in Postgres (in a session whose TimeZone is UTC), or null where that cast is not done here. Numbers
 * round as Postgres rounds them, text is cut to `varchar(n)`; what does not fit throws TYPE_MISMATCH. NULL is not its business.
 */
export function castValue(from: ColumnType, to: ColumnType): CastValue | null {
  const source = baseType(from);
  const target = baseType(to);
  if (sameType(source, target)) return (value) => value;
  const converted = conversion(source, target);
  if (!converted) return null;
  const fitting = conform(to);
  return (value) => {
    const made = converted(value);
    if (made === undefined) throw mismatch(to, value, 'the cast has no such value');
    return fitting(made);
  };
}

type Base = ReturnType<typeof baseType>;
const isText = (kind: string): boolean => kind === 'text' || kind === 'varchar' || kind === 'char';
const isInteger = (kind: string): boolean => kind === 'int2' || kind === 'int4' || kind === 'int8';
const isFloat = (kind: string): boolean => kind === 'float4' || kind === 'float8';
const isNumber = (kind: string): boolean => isInteger(kind) || isFloat(kind) || kind === 'numeric';

/** To something that `conform` of the target takes; undefined where there is no value. */
function conversion(from: Base, to: Base): CastValue | null {
  if (isText(to.kind)) {
    const asText = textOf(from);
    return (value) => cutTo(to, asText(value));
  }
  if (isText(from.kind)) return fromText(from, to);
  if (to.kind === 'numeric' && isNumber(from.kind)) return toNumeric(from, to);
  if (isInteger(to.kind)) return toInteger(from, to);
  if (isFloat(to.kind) && isNumber(from.kind)) return (value) => (typeof value === 'string' ? value : Number(value));
  if (to.kind === 'bool') return from.kind === 'int4' ? (value) => value !== 0 : null;
  if (from.kind === 'array' && to.kind === 'array') return eachItem(castValue(from.of, to.of));
  if (isBits(from) && isBits(to)) return (value) => fitBits(value as string, to);
  if ((from.kind === 'json' || from.kind === 'jsonb') && (to.kind === 'json' || to.kind === 'jsonb')) return (value) => value;
  if (from.kind === 'cidr' && to.kind === 'inet') return (value) => value;
  return clockConversion(from, to);
}

/** What `::text` gives, which for three types is not what COPY prints. */
function textOf(from: Base): (value: unknown) => string {
  if (from.kind === 'bool') return String;
  if (from.kind === 'char') return (value) => (value as string).replace(/ +$/, '');
  if (from.kind === 'inet') return (value) => withMask(value as string);
  return textCodec(from).print;
}

const withMask = (address: string): string => (address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`);

function cutTo(to: Base, text: string): string {
  const length = to.kind === 'varchar' || to.kind === 'char' ? to.length : undefined;
  return length === undefined || text.length <= length ? text : [...text].slice(0, length).join('');
}

function fromText(from: Base, to: Base): CastValue | null {
  const plain = textOf(from);
  switch (to.kind) {
    case 'bool':
      return (value) => boolOfText(plain(value));
    case 'numeric':
      return (value) => rounding(to)(conform({ kind: 'numeric' })(plain(value)) as string);
    case 'date':
      return (value) =>
        plain(value)
          .trim()
          .replace(/^(\d{4}-\d\d-\d\d)[T ].*\d.*$/, '$1');
    case 'timestamptz':
    case 'timestamp':
    case 'time':
    case 'timetz': {
      const fitting = conform({ kind: to.kind });
      return (value) => {
        const text = plain(value).trim();
        // Longer fractions than Postgres keeps are rounded here; `conform` would refuse them.
        const fraction = /[:\d]\.(\d+)/.exec(text)?.[1];
        const bare = fraction === undefined ? text : text.replace(`.${fraction}`, '');
        const moment = fitting(to.kind === 'timestamptz' ? zonedText(bare) : bare) as string;
        const exact = fraction === undefined ? moment : moment.replace(/(\d\d:\d\d:\d\d)(\.\d+)?/, `$1.${fraction}`);
        return roundClock(exact, to.precision ?? 6);
      };
    }
    case 'bit':
    case 'varbit':
    case 'bytea':
      // Text becomes bits or bytes by rules of its own in every database.
      return null;
    default:
      return plain;
  }
}

/** Without an offset Postgres takes the session's time zone, which is UTC here. */
const zonedText = (text: string): string =>
  /\d$/.test(text) && !/[T ].*[+-]\d[\d:]*$/.test(text) ? `${text}${text.length <= 10 ? 'T00:00:00Z' : 'Z'}` : text;

/** Any unambiguous beginning of these words, as Postgres reads them. */
function boolOfText(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  if (word === '') return undefined;
  if ('true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1') return true;
  if ('false'.startsWith(word) || 'no'.startsWith(word) || word === 'off' || word === 'of' || word === '0') return false;
  return undefined;
}

type NumericType = Extract<Base, { kind: 'numeric' }>;
const rounding =
  ({ precision, scale = 0 }: NumericType) =>
  (text: string): string =>
    precision === undefined ? text : roundDecimal(text, scale);

function toNumeric(from: Base, to: NumericType): CastValue {
  const round = rounding(to);
  if (!isFloat(from.kind)) return (value) => round(String(value));
  // Floats become numerics through 15 (float4: 6) significant digits.
  const digits = from.kind === 'float4' ? 6 : 15;
  const exact = conform({ kind: 'numeric' });
  return (value) => {
    const number = value as number;
    if (!Number.isFinite(number)) return round(String(number));
    return round(exact(significant(number, digits).replace(/\.?0*e/, 'e')) as string);
  };
}

function toInteger(from: Base, to: Base): CastValue | null {
  if (from.kind === 'bool') return to.kind === 'int4' ? Number : null;
  if (isInteger(from.kind)) return (value) => value;
  if (from.kind === 'numeric') return (value) => (/\d$/.test(value as string) ? roundDecimal(value as string, 0) : undefined);
  if (!isFloat(from.kind)) return null;
  return (value) => {
    const number = value as number;
    return Number.isFinite(number) ? BigInt(halfEven(number)) : undefined;
  };
}

/** As rint() of C. */
function halfEven(number: number): number {
  const floor = Math.floor(number);
  const rest = number - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function eachItem(item: CastValue | null): CastValue | null {
  if (!item) return null;
  const list = (values: readonly unknown[]): unknown[] =>
    values.map((value) => (value === null ? null : Array.isArray(value) ? list(value) : item(value)));
  return (value) => list(value as readonly unknown[]);
}

type BitType = Extract<Base, { kind: 'bit' | 'varbit' }>;
const isBits = (type: Base): type is BitType => type.kind === 'bit' || type.kind === 'varbit';

function fitBits(bits: string, to: BitType): string {
  if (to.length === undefined) return bits;
  return to.kind === 'bit' ? bits.slice(0, to.length).padEnd(to.length, '0') : bits.slice(0, to.length);
}

function clockConversion(from: Base, to: Base): CastValue | null {
  const precision = 'precision' in to ? (to.precision ?? 6) : 6;
  const round = (text: string): string => roundClock(text, precision);
  const onText =
    (work: (text: string) => string | undefined): CastValue =>
    (value) =>
      work(value as string);
  if (from.kind === to.kind && ['time', 'timetz', 'timestamp', 'timestamptz'].includes(from.kind)) return onText(round);
  const isStamp = from.kind === 'timestamp' || from.kind === 'timestamptz';
  switch (to.kind) {
    case 'date':
      return isStamp ? onText(dayOf) : null;
    case 'timestamp':
    case 'timestamptz': {
      const zoned = to.kind === 'timestamptz';
      if (isStamp) return onText((text) => round(withZone(text, zoned)));
      if (from.kind !== 'date') return null;
      return onText((text) => (text.endsWith('infinity') ? text : text.replace(/( BC)?$/, ` 00:00:00${zoned ? '+00' : ''}$1`)));
    }
    case 'time':
      if (isStamp) return onText((text) => (text.endsWith('infinity') ? undefined : round(clockOf(text))));
      return from.kind === 'timetz' ? onText((text) => round(text.slice(0, 15))) : null;
    case 'timetz':
      if (from.kind === 'timestamptz') return onText((text) => (text.endsWith('infinity') ? undefined : `${round(clockOf(text))}+00:00`));
      return from.kind === 'time' ? onText((text) => `${round(text)}+00:00`) : null;
    default:
      return null;
  }
}

/** The time of day of a timestamp, with six decimals. */
function clockOf(stamp: string): string {
  const [, clock = '', fraction = ''] = /[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?/.exec(stamp) ?? [];
  return `${clock}.${fraction.padEnd(6, '0')}`;
}
