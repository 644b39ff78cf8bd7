import { expect, it } from 'vitest';
import { json } from './json.ts';

it.each([
  ['plain text', { a: ['x', 1, null, true], b: undefined }, '{"a":["x",1,null,true]}'],
  ['whole pairs', ['😀 \ud83d\ude00'], '["😀 😀"]'],
  ['halves of pairs', ['a\ud800b', 'c\udc00'], '["a\ufffdb","c\ufffd"]'],
  ['NUL', { k: 'a\0b' }, '{"k":"a\u2400b"}'],
  ['what looks like an escape', ['\\u0000 \\ud800'], '["\\\\u0000 \\\\ud800"]'],
  ['bigints', { n: 12n, text: 'a\0' }, '{"n":"12","text":"a\u2400"}'],
  ['times', [new Date(0)], '["1970-01-01T00:00:00.000Z"]'],
])('%s', (_, value, text) => {
  expect(json(value)).toBe(text);
});
