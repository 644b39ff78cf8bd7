import { readFileSync } from 'node:fs';
import {
  array,
  bit,
  bool,
  bytea,
  type Column,
  char,
  cidr,
  date,
  enumeration,
  float4,
  float8,
  inet,
  int2,
  int4,
  int8,
  interval,
  json,
  jsonb,
  macaddr,
  macaddr8,
  numeric,
  other,
  range,
  text,
  time,
  timestamp,
  timestamptz,
  timetz,
  uuid,
  varbit,
  varchar,
} from '@millrace/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { plainValue } from './json/plain-value.ts';
import { recordReader } from './record-reader.ts';

const read = (column: Column, value: string): unknown => {
  const { type, nullable } = column;
  const [row] = recordReader([{ name: 'x', type, nullable }], [{ path: ['x'], outer: false }], null)(`{"a":[{"x":0}],"x":${value}}`);
  return row?.[0];
};

test.each<[string, Column, string, unknown]>([
  ['int2', int2(), '-32768', -32768],
  ['int4 in a power', int4(), '1.5e3', 1500],
  ['int4 with a point', int4(), '7.0', 7],
  ['int4 in quotes', int4(), '"42"', 42],
  ['int8 past 2^53', int8(), '9223372036854775807', 9223372036854775807n],
  ['float8', float8(), '0.1', 0.1],
  ['numeric, every digit', numeric(), '12345678901234567890.123456789012345678', '12345678901234567890.123456789012345678'],
  ['numeric keeps its zeros', numeric(), '1.10', '1.10'],
  ['numeric with a scale', numeric(12, 2), '1.1', '1.10'],
  ['text', text(), '"a\\u00e9\\n\\ud83d\\ude00"', 'aé\n😀'],
  ['digits as text', text(), '00'.slice(1), '0'],
  ['a long number as text', text(), '12345678901234567890', '12345678901234567890'],
  ['varchar', varchar(3), '"abc"', 'abc'],
  ['bool', bool(), 'true', true],
  ['date', date(), '"2024-02-29"', '2024-02-29'],
  ['timestamptz with an offset', timestamptz(), '"2024-02-29T12:00:00.5+02:00"', '2024-02-29T10:00:00.500000Z'],
  ['uuid', uuid(), '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['enum', enumeration('mood', ['sad', 'ok']), '"ok"', 'ok'],
  ['json, to the letter', json(), '{"b": 1.0, "a":[ 12345678901234567890 ]}', '{"b": 1.0, "a":[ 12345678901234567890 ]}'],
  ['a string as json', jsonb(), '"a"', '"a"'],
  ['a list', array(int8()), '[1, null, 9007199254740993]', [1n, null, 9007199254740993n]],
  [
    'a list of lists',
    array(int4()),
    '[[1,2],[3,4]]',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ['a list of json', array(jsonb()), '[{"a":1},[2]]', ['{"a":1}', '[2]']],
  ['an empty list', array(text()), '[ ]', []],
  ['null', text().orNull(), 'null', null],
])('%s', (_, column, value, expected) => {
  expect(read(column, value)).toEqual(expected);
});

test.each<[string, Column, string]>([
  ['a fraction in int4', int4(), '1.5'],
  ['too large for int4', int4(), '2147483648'],
  ['too large for int8', int8(), '9223372036854775808'],
  ['too many decimals', numeric(12, 2), '1.234'],
  ['too large for float8', float8(), '1e400'],
  ['text in int4', int4(), '"x"'],
  ['an empty string in int4', int4(), '""'],
  ['true in int4', int4(), 'true'],
  ['true in text', text(), 'true'],
  ['an object in text', text(), '{"a":1}'],
  ['a list in text', text(), '[1]'],
  ['a number in a date', date(), '20240229'],
  ['a number in bool', bool(), '1'],
  ['NUL in text', text(), '"\\u0000"'],
  ['half a surrogate pair', text(), '"\\ud800"'],
  ['null where it may not be', text(), 'null'],
  ['a scalar in a list', array(int4()), '1'],
  ['a time without its zone', timestamptz(), '"2024-02-29T12:00:00"'],
])('%s is refused by name', (_, column, value) => {
  expect(() => read(column, value)).toThrow(
    expect.objectContaining({ code: 'TYPE_MISMATCH', facts: expect.objectContaining({ column: 'x' }) }),
  );
});

/** A text of each type. */
const texts: readonly (readonly [Column, string])[] = [
  [bool(), 'true'],
  [int2(), '1'],
  [int4(), '1'],
  [int8(), '1'],
  [float4(), '1.5'],
  [float8(), '1.5'],
  [numeric(), '1.50'],
  [text(), 'a'],
  [varchar(), 'a'],
  [char(1), 'a'],
  [bytea(), '\\x01ff'],
  [date(), '2024-02-29'],
  [time(), '12:00'],
  [timetz(), '12:00+02'],
  [timestamp(), '2024-02-29T12:00'],
  [timestamptz(), '2024-02-29T12:00Z'],
  [interval(), 'P1D'],
  [uuid(), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  [enumeration('mood', ['sad', 'ok']), 'ok'],
  [json(), 'a'],
  [jsonb(), 'a'],
  [bit(2), '01'],
  [varbit(), '01'],
  [inet(), '127.0.0.1'],
  [cidr(), '10.0.0.0/8'],
  [macaddr(), '08:00:2b:01:02:03'],
  [macaddr8(), '08:00:2b:01:02:03:04:05'],
  [range('int4range'), '[1,2)'],
  [other('point'), '(1,2)'],
  [array(text()), '{a}'],
];

test('the table of types in the documentation is what happens', () => {
  const kinds = texts.map(([{ type }]) => type.kind);
  const becomes = (jsonOf: (text: string) => string): string[] =>
    texts.flatMap(([column, sample]) => {
      try {
        read(column, jsonOf(sample));
        return [column.type.kind];
      } catch (error) {
        expect(error).toMatchObject({ code: 'TYPE_MISMATCH', facts: { column: 'x' } });
        return [];
      }
    });
  const page = readFileSync(new URL('../../../../docs/connectors/http.md', import.meta.url), 'utf8');
  const documented = (json: string): string[] => {
    const [, cell = ''] = new RegExp(`^\\| ${json} \\| (.*) \\|$`, 'm').exec(page) ?? [];
    const named = [...cell.matchAll(/`(\w+)`/g)].map(([, kind]) => kind as string);
    return cell.startsWith('all but') ? kinds.filter((kind) => !named.includes(kind)) : kinds.filter((kind) => named.includes(kind));
  };
  expect(becomes((sample) => JSON.stringify(sample))).toEqual(documented('string'));
  expect(becomes(() => '1')).toEqual(documented('number'));
  expect(becomes(() => 'true')).toEqual(documented('true, false'));
  expect(becomes(() => '[]')).toEqual(documented('list'));
  expect(becomes(() => '{}')).toEqual(documented('object'));
});

test.each(['{"x":1', '{"x":1}}', '{"x":tru}', '{"x":01}', '{"x":"a\tb"}', '{"x":"\\q"}', `{"x":${'['.repeat(600)}${']'.repeat(600)}}`])(
  '%s is no record',
  (record) => {
    const reader = recordReader([{ name: 'x', type: { kind: 'json' }, nullable: true }], [{ path: ['x'], outer: false }], null);
    expect(() => reader(record)).toThrow(expect.objectContaining({ code: 'WIRE_CORRUPT' }));
  },
);

test('of a name that stands twice the last one counts, also within', () => {
  const columns = ['a', 'b'].map((name) => ({ name, type: { kind: 'int4' } as const, nullable: true }));
  const reader = recordReader(
    columns,
    [
      { path: ['x', 'a'], outer: false },
      { path: ['x', 'b'], outer: false },
    ],
    null,
  );
  expect(reader('{"x":{"a":1,"b":2},"x":{"a":3}}')).toEqual([[3, null]]);
});

test('names that objects have of themselves are names like others', () => {
  const columns = ['__proto__', 'constructor'].map((name) => ({ name, type: { kind: 'int4' } as const, nullable: true }));
  const reader = recordReader(
    columns,
    columns.map(({ name }) => ({ path: [name], outer: false })),
    null,
  );
  expect(reader('{"__proto__":1,"constructor":2}')).toEqual([[1, 2]]);
  expect(reader('{}')).toEqual([[null, null]]);
});

test('a reader of json agrees with JSON.parse', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2), (value, indent) => {
      expect(JSON.parse((read(json().orNull(), JSON.stringify(value, null, indent)) as string) ?? 'null')).toEqual(
        JSON.parse(JSON.stringify(value)),
      );
    }),
  );
});

test('functions see numbers as numbers, but where digits would be lost', () => {
  expect(plainValue('{"a":1.10,"b":9007199254740993,"c":0.12345678901234567,"d":"9007199254740993","e":1e2}')).toEqual({
    a: 1.1,
    b: 9007199254740993n,
    c: '0.12345678901234567',
    d: '9007199254740993',
    e: 100,
  });
});

test('functions see long texts beside such numbers', () => {
  const long = 'x\n"'.repeat(3_000_000);
  expect(plainValue(JSON.stringify({ long, a: 0 }).replace('"a":0', '"a":9007199254740993'))).toEqual({ long, a: 9007199254740993n });
});

test('a list that is too long to be taken apart is refused before it is', () => {
  const list = `[${'1,'.repeat(1_000_000)}1]`;
  expect(() => read(array(int4()), list)).toThrow(expect.objectContaining({ code: 'MEMORY_EXHAUSTED' }));
  expect(read(json(), list)).toBe(list);
});
