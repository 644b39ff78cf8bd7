import { expect, test } from 'vitest';
import { jsonText } from './json.ts';

/** A value of its own: type, then bytes. Objects and arrays are put together as MySQL does. */
type Value = { readonly type: number; readonly bytes: Buffer };

const inlined = new Set([4, 5, 6]);
const plain = (type: number, hex: string): Value => ({ type, bytes: Buffer.from(hex, 'hex') });
const text = (value: string): Value => {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let left = bytes.length; ; left = Math.floor(left / 128)) {
    length.push(left < 128 ? left : (left & 127) | 128);
    if (left < 128) break;
  }
  return { type: 12, bytes: Buffer.concat([Buffer.from(length), bytes]) };
};

function container(keys: readonly string[] | null, values: readonly Value[], isLarge: boolean): Value {
  const word = isLarge ? 4 : 2;
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(word);
    bytes.writeUIntLE(value, 0, word);
    return bytes;
  };
  const isInlined = ({ type }: Value): boolean => inlined.has(type) || (isLarge && (type === 7 || type === 8));
  let at = 2 * word + (keys?.length ?? 0) * (word + 2) + values.length * (word + 1);
  const keyEntries: Buffer[] = [];
  for (const key of keys ?? []) {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(Buffer.byteLength(key));
    keyEntries.push(number(at), length);
    at += Buffer.byteLength(key);
  }
  const entries: Buffer[] = [];
  for (const value of values) {
    entries.push(Buffer.from([value.type]));
    if (isInlined(value)) entries.push(Buffer.concat([value.bytes, Buffer.alloc(word)], word));
    else {
      entries.push(number(at));
      at += value.bytes.length;
    }
  }
  const type = (keys ? 0 : 2) + (isLarge ? 1 : 0);
  const rest = values.filter((value) => !isInlined(value)).map(({ bytes }) => bytes);
  return {
    type,
    bytes: Buffer.concat([
      number(values.length),
      number(at),
      ...keyEntries,
      ...entries,
      ...(keys ?? []).map((key) => Buffer.from(key)),
      ...rest,
    ]),
  };
}

const document = ({ type, bytes }: Value): string => jsonText(Buffer.concat([Buffer.from([type]), bytes]));

test('an object as a server has written it', () => {
  expect(jsonText(Buffer.from('0001000e000b0001000c0c00610162', 'hex'))).toBe('{"a": "b"}');
});

const small = [
  plain(4, '00'),
  plain(4, '01'),
  plain(4, '02'),
  plain(5, 'feff'),
  plain(6, 'feff'),
  plain(7, 'ffffffff'),
  plain(8, 'ffffffff'),
  plain(9, '0000000000000080'),
  plain(10, 'ffffffffffffffff'),
  plain(11, '000000000000f03f'),
  plain(11, '9a9999999999b93f'),
  text('quote " and \\ and \n and ö 😀'),
  text('x'.repeat(300)),
];
const printed = [
  'null',
  'true',
  'false',
  '-2',
  '65534',
  '-1',
  '4294967295',
  '-9223372036854775808',
  '18446744073709551615',
  '1.0',
  '0.1',
  '"quote \\" and \\\\ and \\n and ö 😀"',
  `"${'x'.repeat(300)}"`,
];

test.each([
  ['small', false],
  ['large', true],
])('every kind of value, in %s objects and arrays', (_, isLarge) => {
  expect(document(container(null, small, isLarge))).toBe(`[${printed.join(', ')}]`);
  const keys = small.map((__, place) => `k${place}`);
  expect(document(container(keys, small, isLarge))).toBe(`{${printed.map((value, place) => `"k${place}": ${value}`).join(', ')}}`);
  expect(document(container(null, [container(['a'], [container(null, [], isLarge)], isLarge)], isLarge))).toBe('[{"a": []}]');
});

test.each(small.map((value, place) => [printed[place], value] as const))('%s alone', (expected, value) => {
  expect(document(value)).toBe(expected);
});

const opaque = (type: number, hex: string): Value => ({
  type: 15,
  bytes: Buffer.from(`${type.toString(16).padStart(2, '0')}${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`, 'hex'),
});

/** Year and month in one, day, then 17 bits of time and 24 of microseconds. */
function packed(year: number, month: number, day: number, hour: number, minute: number, second: number, micros: number): string {
  const days = (BigInt(year * 13 + month) << 5n) | BigInt(day);
  const whole = (days << 17n) | BigInt((hour << 12) | (minute << 6) | second);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE((whole << 24n) | BigInt(micros));
  return bytes.toString('hex');
}

test('values that JSON has no type for', () => {
  const negative = Buffer.alloc(8);
  negative.writeBigInt64LE(-((BigInt((838 << 12) | (59 << 6) | 59) << 24n) | 5n));
  expect(
    document(
      container(
        null,
        [
          opaque(246, '0e04810dfb38d204d2'),
          opaque(10, packed(2024, 2, 29, 0, 0, 0, 0)),
          opaque(12, packed(2024, 2, 29, 23, 59, 58, 123_456)),
          opaque(7, packed(1970, 1, 1, 0, 0, 1, 0)),
          opaque(11, negative.toString('hex')),
          opaque(252, 'dead'),
        ],
        false,
      ),
    ),
  ).toBe(
    '[1234567890.1234, "2024-02-29", "2024-02-29 23:59:58.123456", "1970-01-01 00:00:01.000000", "-838:59:59.000005", "base64:type252:3q0="]',
  );
});

test('a document that is cut short anywhere is refused, not read past its end', () => {
  const whole = container(['a', 'b'], [text('value'), container(null, small, false)], false);
  const bytes = Buffer.concat([Buffer.from([whole.type]), whole.bytes]);
  for (let length = 1; length < bytes.length; length++)
    expect(() => jsonText(Buffer.from(bytes.subarray(0, length)))).toThrow('binary log');
});
