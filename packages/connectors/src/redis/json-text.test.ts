import { bool, bytea, type Column, float8, int8, json, numeric, text, timestamptz } from '@millrace/core';
import type { ColumnSchema } from '@millrace/core/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonFields, jsonText } from './json-text.ts';

const column = (name: string, { type }: Column): ColumnSchema => ({ name, type, nullable: true });

test.each<[Column, string | null, string]>([
  [bool(), 't', 'true'],
  [bool(), 'f', 'false'],
  [int8(), '9007199254740991', '9007199254740991'],
  [int8(), '9007199254740993', '"9007199254740993"'],
  [int8(), '-9223372036854775808', '"-9223372036854775808"'],
  [float8(), '-0', '-0'],
  [float8(), '1e-05', '1e-05'],
  [float8(), 'NaN', '"NaN"'],
  [float8(), '-Infinity', '"-Infinity"'],
  [numeric(12, 2), '1.00', '1.00'],
  [numeric(), '1234567890.1234567', '"1234567890.1234567"'],
  [json(), ' {"b": [1, "}"], "a": null} ', ' {"b": [1, "}"], "a": null} '],
  [text(), 'it\'s "quoted", and\nmore }', '"it\'s \\"quoted\\", and\\nmore }"'],
  [text(), '', '""'],
  [timestamptz(), '2024-02-29 23:59:59.5+00', '"2024-02-29 23:59:59.5+00"'],
  [bytea(), '\\x00ff', '"\\\\x00ff"'],
  [text(), null, 'null'],
])('%j: %s is %s, and that is read back', (of, value, printed) => {
  const columns = [column('a', text()), column('it', of), column('z', int8())];
  const row = new Map([
    ['a', 'before'],
    ['it', value],
    ['z', '7'],
  ]);
  const all = jsonText(columns, row);
  expect(all).toBe(`{"a":"before","it":${printed},"z":7}`);
  expect(JSON.parse(all)).toMatchObject({ a: 'before', z: 7 });
  expect(jsonFields(columns, all)).toEqual(row);
});

test('texts and JSON of any kind are read back to the letter, under any name', () => {
  const name = fc.string().filter((one) => one !== 'z');
  fc.assert(
    fc.property(name, fc.string(), fc.json(), (called, value, document) => {
      const columns = [column(called, text()), column('z', json())];
      const row = new Map<string, string | null>([
        [called, value],
        ['z', document],
      ]);
      expect(jsonFields(columns, jsonText(columns, row))).toEqual(row);
    }),
  );
});

test('JSON that is null is there, and JSON that is not there is not', () => {
  const columns = [column('a', json()), column('b', json()), column('c', int8())];
  const row = new Map([
    ['a', 'null'],
    ['b', null],
    ['c', null],
  ]);
  expect(jsonText(columns, row)).toBe('{"a":null,"c":null}');
  expect(jsonFields(columns, '{"a":null,"c":null}')).toEqual(row);
});

test('what somebody else has written there is no row', () => {
  expect(jsonFields([column('a', text())], 'plain')).toBeNull();
  expect(jsonFields([column('a', text())], '{"b":1}')).toEqual(new Map([['a', null]]));
});
