import { describe, expect, test } from 'vitest';
import { type ColumnType, typeName } from '../schema/index.ts';
import { decodeText, encodeText, textCodec } from './text-value.ts';

const decode = (type: ColumnType, text: string): unknown => {
  const bytes = Buffer.from(text);
  return decodeText(type)(bytes, 0, bytes.length);
};
const numeric = (precision: number, scale: number): ColumnType => ({ kind: 'numeric', precision, scale });
const named = (rows: readonly (readonly [ColumnType, ...unknown[]])[]): [string, ColumnType, ...unknown[]][] =>
  rows.map(([type, ...rest]) => [typeName(type), type, ...rest]);

describe('what Postgres prints reads as', () => {
  test.each(
    named([
      [{ kind: 'timestamp' }, '2024-02-29 23:59:59', '2024-02-29T23:59:59.000000'],
      [{ kind: 'timestamp' }, '2024-02-29 23:59:59.12', '2024-02-29T23:59:59.120000'],
      [{ kind: 'timestamptz' }, '2024-02-29 23:59:59.123456+00', '2024-02-29T23:59:59.123456Z'],
      [{ kind: 'timestamptz' }, '2024-03-01 01:30:00+05:30', '2024-02-29T20:00:00.000000Z'],
      [{ kind: 'timestamptz' }, '0044-03-15 00:00:00+00 BC', '0044-03-15 00:00:00+00 BC'],
      [{ kind: 'timestamptz' }, '294276-12-31 23:59:59.999999+00', '294276-12-31 23:59:59.999999+00'],
      [{ kind: 'timestamptz' }, '-infinity', '-infinity'],
      [{ kind: 'date' }, '0044-03-15 BC', '0044-03-15 BC'],
      [{ kind: 'time' }, '24:00:00', '24:00:00.000000'],
      [{ kind: 'timetz' }, '23:59:59.5+02', '23:59:59.500000+02:00'],
      [{ kind: 'timetz' }, '23:59:59-15:59:59', '23:59:59.000000-15:59:59'],
      [{ kind: 'int8' }, '-9223372036854775808', -9223372036854775808n],
      [{ kind: 'float8' }, '-0', -0],
      [{ kind: 'float4' }, '0.1', Math.fround(0.1)],
      [{ kind: 'float8' }, 'NaN', Number.NaN],
      [{ kind: 'numeric' }, '1.50', '1.50'],
      [{ kind: 'bytea' }, '\\x00ff', new Uint8Array([0, 255])],
      [{ kind: 'bool' }, 't', true],
      [{ kind: 'text' }, 'héllo 😀', 'héllo 😀'],
      [{ kind: 'text' }, '\ufffd is a character', '\ufffd is a character'],
      [
        { kind: 'array', of: { kind: 'text' } },
        '{{a,NULL},{"NULL","a\\"b\\\\"}}',
        [
          ['a', null],
          ['NULL', 'a"b\\'],
        ],
      ],
      [{ kind: 'array', of: { kind: 'int4' } }, '{}', []],
    ]),
  )('%s', (_, type, text, value) => expect(decode(type, text as string)).toStrictEqual(value));

  test('an array with bounds of its own is refused when its value is asked for', () => {
    expect(() => decode({ kind: 'array', of: { kind: 'int4' } }, '[0:1]={1,2}')).toThrow(
      expect.objectContaining({ code: 'VALUE_UNREPRESENTABLE' }),
    );
  });

  test('bytes that are no UTF-8 are refused rather than replaced', () => {
    expect(() => decodeText({ kind: 'text' })(Buffer.from([0x61, 0xe9, 0x62]), 0, 3)).toThrow(
      expect.objectContaining({ code: 'WIRE_CORRUPT' }),
    );
  });

  test('a string decoder gives the right string however often its slots are taken by another', () => {
    const decoder = decodeText({ kind: 'text' });
    for (let n = 0; n < 20_000; n++) {
      const text = n % 3 === 0 ? 'often' : `v${(n * 7919) % 5003}é`.slice(0, 2 + (n % 6));
      const bytes = Buffer.from(text);
      expect(decoder(bytes, 0, bytes.length)).toBe(text);
    }
  });
});

describe('any reasonable form is taken', () => {
  test.each(
    named([
      [{ kind: 'timestamptz' }, '2024-02-29T23:59:59Z', '2024-02-29 23:59:59+00'],
      [{ kind: 'timestamptz' }, '2024-03-01T01:59:59.5+02:00', '2024-02-29 23:59:59.5+00'],
      [{ kind: 'timestamptz' }, '2024-02-29 23:59:59+00', '2024-02-29 23:59:59+00'],
      [{ kind: 'timestamptz' }, '2024-02-29T24:00:00.000Z', '2024-03-01 00:00:00+00'],
      [{ kind: 'timestamptz' }, '0001-01-01T00:00:00+02:00', '0001-12-31 22:00:00+00 BC'],
      [{ kind: 'timestamptz' }, '9999-12-31T23:59:59-02', '10000-01-01 01:59:59+00'],
      [{ kind: 'timestamptz', precision: 3 }, '2024-02-29T23:59:59.123000Z', '2024-02-29 23:59:59.123+00'],
      [{ kind: 'timestamp' }, '2024-02-29', '2024-02-29 00:00:00'],
      [{ kind: 'timestamp' }, '2024-02-29T10:20', '2024-02-29 10:20:00'],
      [{ kind: 'time' }, '10:20', '10:20:00'],
      [{ kind: 'timetz' }, '10:20Z', '10:20:00+00'],
      [{ kind: 'int4' }, 5n, '5'],
      [{ kind: 'int4' }, ' +5 ', '5'],
      [{ kind: 'int4' }, -0, '0'],
      [{ kind: 'int8' }, 5, '5'],
      [{ kind: 'numeric' }, '1.5e3', '1500'],
      [{ kind: 'numeric' }, '.5', '0.5'],
      [{ kind: 'numeric' }, '-0.00', '0.00'],
      [{ kind: 'numeric' }, '007', '7'],
      [{ kind: 'numeric' }, 'nan', 'NaN'],
      [{ kind: 'numeric' }, 12.5, '12.5'],
      [{ kind: 'numeric' }, 5n, '5'],
      [numeric(12, 2), '5', '5.00'],
      [numeric(12, 2), '5.1000', '5.10'],
      [numeric(3, 5), '0.00123', '0.00123'],
      [numeric(3, -2), '12300', '12300'],
      [{ kind: 'float8' }, '1e300', '1e+300'],
      [{ kind: 'float8' }, 'inf', 'Infinity'],
      [{ kind: 'float8' }, 0.00001, '1e-05'],
      [{ kind: 'float4' }, 0.1, '0.1'],
      [{ kind: 'char', length: 3 }, 'a', 'a  '],
      [{ kind: 'char', length: 3 }, 'a     ', 'a  '],
      [{ kind: 'varchar', length: 2 }, '😀é', '😀é'],
      [{ kind: 'bytea' }, Buffer.from('hi'), '\\x6869'],
      [{ kind: 'uuid' }, '{0D1C2B3A-0000-4000-8000-123456789ABC}', '0d1c2b3a-0000-4000-8000-123456789abc'],
      [{ kind: 'interval' }, '1 year 2 mons -3 days +04:05:06.7', 'P1Y2M-3DT4H5M6.7S'],
      [{ kind: 'interval' }, 'P2W', 'P14D'],
      [{ kind: 'interval' }, 'PT90M', 'PT1H30M'],
      [{ kind: 'interval' }, '-P1YT0.5S', 'P-1YT-0.5S'],
      [{ kind: 'interval' }, 'PT0S', 'PT0S'],
      [{ kind: 'macaddr' }, 'AA-BB-CC-00-11-22', 'aa:bb:cc:00:11:22'],
      [{ kind: 'bool' }, 'true', 't'],
      [{ kind: 'array', of: { kind: 'int4' } }, '{1,NULL}', '{1,NULL}'],
      [{ kind: 'array', of: { kind: 'text' } }, ['', 'null', 'a b', null], '{"","null","a b",NULL}'],
    ]),
  )('%s: %s', (_, type, value, text) => {
    expect(encodeText(type)(value)).toBe(text);
    const codec = textCodec(type);
    const fitting = codec.conform(value);
    expect(codec.conform(fitting)).toStrictEqual(fitting);
    expect(decode(type, text as string)).toStrictEqual(fitting);
  });
});

describe('nothing is rounded, cut or guessed', () => {
  test.each(
    named([
      [{ kind: 'int2' }, 32_768, 'outside -32768 to 32767'],
      [{ kind: 'int4' }, 2 ** 31, 'outside'],
      [{ kind: 'int4' }, 1.5, 'not a whole number'],
      [{ kind: 'int4' }, '', 'not a whole number'],
      [{ kind: 'int8' }, 2n ** 63n, 'outside'],
      [{ kind: 'int8' }, 2 ** 53, 'above 2^53 has lost digits'],
      [numeric(12, 2), '1.005', 'more than 2 decimals'],
      [numeric(12, 2), '12345678901', '13 digits where 12 are kept'],
      [numeric(12, 2), 'Infinity', 'no infinity'],
      [numeric(3, -2), '12345', 'multiple of 100'],
      [{ kind: 'numeric' }, '1,000', 'not a decimal number'],
      [{ kind: 'numeric' }, '', 'not a decimal number'],
      [{ kind: 'numeric' }, '.', 'not a decimal number'],
      [{ kind: 'numeric' }, 2 ** 53, 'above 2^53 has lost digits'],
      [{ kind: 'numeric' }, '1e999999999', 'more digits than Postgres keeps'],
      [{ kind: 'numeric' }, null, 'a value is needed'],
      [{ kind: 'float4' }, 1e39, 'too large'],
      [{ kind: 'float4' }, 1e-60, 'too small'],
      [{ kind: 'float8' }, '1e999', 'too large'],
      [{ kind: 'float8' }, 2n ** 60n + 1n, 'cannot hold all its digits'],
      [{ kind: 'float8' }, '', 'not a number'],
      [{ kind: 'text' }, 'a\0b', 'no NUL'],
      [{ kind: 'text' }, '\ud800', 'half of a surrogate pair'],
      [{ kind: 'text' }, 5, 'it is not text'],
      [{ kind: 'json' }, { a: 1 }, 'it is not text'],
      [{ kind: 'json' }, '{a}', 'not JSON'],
      [{ kind: 'jsonb' }, '"\\u0000"', 'jsonb keeps no'],
      [{ kind: 'varchar', length: 2 }, 'abc', 'it has 3 characters'],
      [{ kind: 'char', length: 2 }, 'abc', 'it has 3 characters'],
      [{ kind: 'bit', length: 3 }, '10', 'it has 2 bits'],
      [{ kind: 'bit', length: 3 }, '102', 'written with 0 and 1'],
      [{ kind: 'bool' }, 1, 'neither true nor false'],
      [{ kind: 'bytea' }, 'hello', 'it is not bytes'],
      [{ kind: 'uuid' }, 'x', 'not a UUID'],
      [{ kind: 'inet' }, '1.2.3.4/33', 'not an internet address'],
      [{ kind: 'enum', name: 'mood', labels: ['sad'] }, 'glad', 'none of "sad"'],
      [{ kind: 'date' }, '2023-02-29', 'there is no such day'],
      [{ kind: 'date' }, '2024-02-29T00:00:00Z', 'it is not a date'],
      [{ kind: 'date' }, '0000-01-01', 'there is no such day'],
      [{ kind: 'date' }, '4714-11-23 BC', 'no such day'],
      [{ kind: 'date' }, new Date(0), 'a Date holds milliseconds'],
      [{ kind: 'timestamptz' }, new Date(Number.NaN), 'Invalid Date'],
      [{ kind: 'timestamptz' }, '2024-02-29T10:00:00', 'no offset from UTC'],
      [{ kind: 'timestamptz' }, '2024-02-29T25:00:00Z', 'no such time of day'],
      [{ kind: 'timestamptz' }, '2024-02-30T10:00:00.000000Z', 'no such day'],
      [{ kind: 'timestamptz' }, '2024-02-29T10:00:60.000000Z', 'no such time of day'],
      [{ kind: 'timestamptz' }, '2024-02-29T10:00:00.1234567Z', 'more than 6 decimals'],
      [{ kind: 'timestamptz' }, '2024-02-29T10:00:00+16:00', 'offsets go from'],
      [{ kind: 'timestamptz', precision: 3 }, '2024-02-29T10:00:00.123456Z', 'more than 3 decimals'],
      [{ kind: 'timestamp' }, '2024-02-29T10:00:00Z', 'it has an offset and the column has none'],
      [{ kind: 'timestamp' }, '294277-01-01 00:00:00', 'no such day'],
      [{ kind: 'time' }, '24:00:01', 'no such time of day'],
      [{ kind: 'time' }, '10:00+02', 'it has an offset'],
      [{ kind: 'interval' }, 'P', 'not an interval'],
      [{ kind: 'interval' }, '1 fortnight', 'not an interval'],
      [{ kind: 'array', of: { kind: 'int4' } }, [[1], [2, 3]], 'differ in length'],
      [{ kind: 'array', of: { kind: 'int4' } }, [[1], 2], 'some of its items are arrays'],
      [{ kind: 'array', of: { kind: 'int4' } }, [[]], 'an empty array'],
      [{ kind: 'array', of: { kind: 'int4' } }, [1.5], 'not a whole number'],
      [{ kind: 'array', of: { kind: 'int4' } }, [undefined], 'an item is undefined'],
      [{ kind: 'array', of: { kind: 'int4' } }, [[[[[[[1]]]]]]], 'more than 6 dimensions'],
      [{ kind: 'domain', name: 'short', of: { kind: 'varchar', length: 2 } }, 'abc', 'does not fit short'],
    ]),
  )('%s refuses %s', (_, type, value, why) => {
    expect(() => encodeText(type)(value)).toThrow(
      expect.objectContaining({ code: 'TYPE_MISMATCH', message: expect.stringContaining(why as string) }),
    );
  });

  test('a long value is cut short in the message', () => {
    expect(() => encodeText({ kind: 'int4' })('x'.repeat(10_000))).toThrow(/^"x{60}…" does not fit int4: it is not a whole number\.$/);
  });
});
