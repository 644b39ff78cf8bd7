import { expect, test } from 'vitest';
import { labelsOf } from './column-type.ts';
import { literal } from './literal.ts';
import { bound } from './sink/sql-runner.ts';

test.each([
  [null, 'NULL'],
  ['plain text, 1 < 2', `'plain text, 1 < 2'`],
  [`it's`, `_utf8mb4 x'69742773'`],
  ['back\\slash', `_utf8mb4 x'6261636b5c736c617368'`],
  ['ü', `_utf8mb4 x'c3bc'`],
  ['line\nfeed', `_utf8mb4 x'6c696e650a66656564'`],
  ['', `''`],
  [12n ** 20n, '3833759992447475122176'],
  [-0.5, '-0.5'],
  [true, 'TRUE'],
  [new Uint8Array([0, 255]), `x'00ff'`],
])('%o is written %s', (value, text) => {
  expect(literal(value)).toBe(text);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, {}, []])('%o is not written', (value) => {
  expect(() => literal(value)).toThrow(/cannot stand in a statement/);
});

test('a parameter is a question mark outside of strings, names and comments', () => {
  const text = 'select \'?\', "it\\"s ?", `a?``?`, ? /* ? */ -- ?\n, ? # ?\n';
  expect(bound({ text, values: [1, `o'`] })).toBe("select '?', \"it\\\"s ?\", `a?``?`, 1 /* ? */ -- ?\n, _utf8mb4 x'6f27' # ?\n");
  expect(bound({ text: 'select 1 ? 2', values: [] })).toBe('select 1 ? 2');
  expect(() => bound({ text: 'select ?', values: [1, 2] })).toThrow(/1 parameters .* 2 values/);
});

test('labels of enums and sets, with quotes and backslashes in them', () => {
  expect(labelsOf(`enum('a','it''s','b\\\\c','')`)).toEqual(['a', `it's`, 'b\\c', '']);
});
