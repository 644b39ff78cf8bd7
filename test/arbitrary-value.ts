import fc from 'fast-check';
import { baseType, type ColumnType } from '../packages/core/src/schema/index.ts';

/**
 * Values of every column type as row functions see them, extremes included, NULL not. For round-trip tests: `format('%s', …)`
 * in a session with DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601 is the oracle. The enum `mood` and the domain `short`
 * (`varchar(5)`) have to exist there.
 */
export function anyValue(type: ColumnType): fc.Arbitrary<unknown> {
  const base = baseType(type);
  switch (base.kind) {
    case 'bool':
      return fc.boolean();
    case 'int2':
      return fc.integer({ min: -32_768, max: 32_767 });
    case 'int4':
      return fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    case 'int8':
      return fc.oneof(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.bigInt({ min: -1000n, max: 1000n }),
        fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, 0n),
      );
    case 'float4':
      return fc.float();
    case 'float8':
      return fc.oneof(
        fc.double(),
        fc.double({ min: -1e6, max: 1e6 }),
        fc.integer(),
        fc.constantFrom(1e15, 1e14, 123456789012345, 1e-4, 1e-5, -0, 5e-324, 1.7976931348623157e308),
      );
    case 'numeric':
      return base.precision === undefined ? anyNumeric : fittingNumeric(base.precision, base.scale ?? 0);
    case 'varchar':
      return base.length === undefined ? anyText : characters(base.length);
    case 'char':
      return characters(base.length).map((text) => text + ' '.repeat(base.length - [...text].length));
    case 'bit':
      return bits(base.length, base.length);
    case 'varbit':
      return bits(0, base.length ?? 40);
    case 'bytea':
      return fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes));
    case 'date':
      return fc.oneof(
        isoDate,
        isoDate,
        fc.constantFrom(
          'infinity',
          '-infinity',
          '4714-11-24 BC',
          '0044-03-15 BC',
          '5874897-12-31',
          '10000-01-01',
          '0001-01-01',
          '9999-12-31',
        ),
      );
    case 'time':
      return fc.oneof(isoTime(base.precision), fc.constant('24:00:00.000000'));
    case 'timetz':
      return fc.tuple(isoTime(base.precision), offset).map(([time, zone]) => time + zone);
    case 'timestamp':
      return fc.oneof(
        stamp(base.precision, ''),
        fc.constantFrom(
          'infinity',
          '-infinity',
          '4714-11-24 00:00:00 BC',
          '0044-03-15 12:30:00 BC',
          '294276-12-31 23:59:59',
          '9999-12-31T23:59:59.000000',
        ),
      );
    case 'timestamptz':
      return fc.oneof(
        stamp(base.precision, 'Z'),
        fc.constantFrom(
          'infinity',
          '-infinity',
          '4714-11-24 00:00:00+00 BC',
          '0044-03-15 12:30:00+00 BC',
          '294276-12-31 23:59:59+00',
          '0001-01-01T00:00:00.000000Z',
        ),
      );
    case 'interval':
      return anyInterval;
    case 'uuid':
      return fc.uuid();
    case 'json':
      return fc.json();
    case 'jsonb':
      return fc.constantFrom('{}', '[]', 'null', '"a"', '1.50', '{"a": [1, 2, {"b": null}]}', '"\\"\\\\"', '"é😀"');
    case 'inet':
      return fc.oneof(fc.ipV4(), fc.constantFrom('10.0.0.0/8', '::1', '2001:db8::/32', '::ffff:1.2.3.4', '192.168.1.5/24'));
    case 'cidr':
      return fc.constantFrom('10.0.0.0/8', '192.168.0.0/16', '2001:db8::/32', '::/0', '1.2.3.4/32');
    case 'macaddr':
      return mac(6);
    case 'macaddr8':
      return mac(8);
    case 'enum':
      return fc.constantFrom(...base.labels);
    case 'array':
      return nested(anyValue(base.of));
    case 'range':
      return fc.constantFrom(...(ranges[base.name] ?? ['empty']));
    case 'other':
      return fc.constantFrom(...(others[base.name] ?? ['']));
    default:
      return anyText;
  }
}

/** One or more of every type. */
export const sampleTypes: readonly ColumnType[] = [
  { kind: 'bool' },
  { kind: 'int2' },
  { kind: 'int4' },
  { kind: 'int8' },
  { kind: 'float4' },
  { kind: 'float8' },
  { kind: 'numeric' },
  { kind: 'numeric', precision: 12, scale: 2 },
  { kind: 'numeric', precision: 3, scale: 5 },
  { kind: 'numeric', precision: 3, scale: -2 },
  { kind: 'text' },
  { kind: 'varchar' },
  { kind: 'varchar', length: 7 },
  { kind: 'char', length: 5 },
  { kind: 'bytea' },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'time', precision: 3 },
  { kind: 'timetz' },
  { kind: 'timestamp' },
  { kind: 'timestamp', precision: 0 },
  { kind: 'timestamptz' },
  { kind: 'timestamptz', precision: 3 },
  { kind: 'interval' },
  { kind: 'uuid' },
  { kind: 'json' },
  { kind: 'jsonb' },
  { kind: 'inet' },
  { kind: 'cidr' },
  { kind: 'macaddr' },
  { kind: 'macaddr8' },
  { kind: 'bit', length: 9 },
  { kind: 'varbit', length: 12 },
  { kind: 'enum', name: 'mood', labels: ['sad', 'it\'s "fine"', 'ok, {great}'] },
  { kind: 'domain', name: 'short', of: { kind: 'varchar', length: 5 } },
  { kind: 'range', name: 'int4range' },
  { kind: 'range', name: 'tstzrange' },
  { kind: 'range', name: 'nummultirange' },
  { kind: 'other', name: 'point' },
  { kind: 'other', name: 'box' },
  { kind: 'other', name: 'tsvector' },
  { kind: 'array', of: { kind: 'int4' } },
  { kind: 'array', of: { kind: 'int8' } },
  { kind: 'array', of: { kind: 'text' } },
  { kind: 'array', of: { kind: 'numeric', precision: 12, scale: 2 } },
  { kind: 'array', of: { kind: 'timestamptz' } },
  { kind: 'array', of: { kind: 'bytea' } },
  { kind: 'array', of: { kind: 'bool' } },
  { kind: 'array', of: { kind: 'other', name: 'box' } },
  { kind: 'array', of: { kind: 'enum', name: 'mood', labels: ['sad', 'it\'s "fine"', 'ok, {great}'] } },
];

/** Any characters but NUL, with those that formats trip over more often than chance would have them. */
export const anyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        '"',
        ',',
        '\n',
        '\r',
        '\\',
        '\\.',
        '\\N',
        'NULL',
        '{',
        '}',
        ' ',
        '\t',
        '\u0001',
        '\u007f',
        "'",
        ';',
        '😀',
        'é',
        '\u2028',
        '\ufeff',
        '\ufffd',
        '\u000b',
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join('').replaceAll('\0', ''));

const characters = (most: number): fc.Arbitrary<string> => anyText.map((text) => [...text].slice(0, most).join(''));
const bits = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom('0', '1'), minLength, maxLength });
const mac = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((values) => [...values].map((value) => value.toString(16).padStart(2, '0')).join(':'));

const digits = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), minLength, maxLength });

const anyNumeric: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.constantFrom('', '-'), digits(1, 40), digits(0, 30))
    .map(([sign, whole, fraction]) => sign + whole + (fraction && `.${fraction}`)),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '0', '0.000', '1e-20', '9'.repeat(131_072), `0.${'3'.repeat(16_383)}`),
);

function fittingNumeric(precision: number, scale: number): fc.Arbitrary<string> {
  return fc.oneof(
    fc.tuple(fc.constantFrom('', '-'), digits(1, precision)).map(([sign, all]) => `${sign}${all}e${-scale}`),
    fc.constantFrom('NaN', '0', '-0'),
  );
}

const padded = (min: number, max: number, width: number) => fc.integer({ min, max }).map((n) => String(n).padStart(width, '0'));
const isoDate: fc.Arbitrary<string> = fc
  .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true })
  .map((day) => day.toISOString().slice(0, 10));
const decimals = (precision = 6): fc.Arbitrary<string> =>
  precision === 0 ? fc.constant('000000') : fc.oneof(digits(precision, precision), fc.constant('')).map((text) => text.padEnd(6, '0'));
const isoTime = (precision?: number): fc.Arbitrary<string> =>
  fc.tuple(padded(0, 23, 2), padded(0, 59, 2), padded(0, 59, 2), decimals(precision)).map(([h, m, s, f]) => `${h}:${m}:${s}.${f}`);
const stamp = (precision: number | undefined, zone: string): fc.Arbitrary<string> =>
  fc.tuple(isoDate, isoTime(precision)).map(([day, time]) => `${day}T${time}${zone}`);
const offset = fc.constantFrom('+00:00', '+02:00', '-08:00', '+05:30', '-15:59', '+15:59:59', '-00:30');

const anyInterval: fc.Arbitrary<string> = fc
  .record({
    y: fc.integer({ min: -500, max: 500 }),
    m: fc.integer({ min: -30, max: 30 }),
    d: fc.integer({ min: -90, max: 90 }),
    h: fc.integer({ min: -99, max: 99 }),
    s: fc.integer({ min: -90, max: 90 }),
    f: digits(1, 6),
  })
  .map(({ y, m, d, h, s, f }) => `P${y}Y${m}M${d}DT${h}H${s}.${f}S`);

function nested(item: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const leaf = fc.option(item, { freq: 4 });
  const rectangle = (rows: number, columns: number) =>
    fc.array(fc.array(leaf, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows });
  return fc.oneof(
    fc.array(leaf, { maxLength: 5 }),
    rectangle(2, 3),
    rectangle(1, 1),
    fc.array(rectangle(2, 2), { minLength: 2, maxLength: 2 }),
  );
}

const ranges: Record<string, string[]> = {
  int4range: ['empty', '[1,5)', '(,)', '[3,)'],
  tstzrange: ['["2024-01-01 00:00:00+00",)', 'empty', '(-infinity,"2024-02-29 23:59:59.5+00"]'],
  nummultirange: ['{}', '{[1.5,2.5)}', '{[1,2],(3,4)}'],
};

const others: Record<string, string[]> = {
  point: ['(1,2)', '(-0.5,1e+20)'],
  box: ['(3,4),(1,2)', '(0,0),(0,0)'],
  tsvector: ["'a' 'b'", "'fat':2 'rat':3"],
};
