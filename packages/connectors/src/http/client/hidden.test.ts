import { expect, test } from 'vitest';
import { hiddenTexts } from './hidden.ts';

test.each([
  ['it', 'as it is: a/b c!d', 'as it is: ***'],
  ['it in a path', 'GET /x/a%2Fb%20c!d/y', 'GET /x/***/y'],
  ['it in a query', '?key=a%2Fb+c%21d&x', '?key=***&x'],
  ['two of it', 'a/b c!da/b c!d', '******'],
])('%s', (_, message, clean) => {
  const hidden = hiddenTexts();
  expect(hidden.add('a/b c!d')).toBe('a/b c!d');
  expect(hidden.clean(message)).toBe(clean);
});

test('a text in JSON, a cut one, and one within another', () => {
  const hidden = hiddenTexts();
  hidden.add('quote"and\\more');
  hidden.add('abcdefghijklmnopqrstuvwxyz');
  hidden.add('defg');
  expect(hidden.clean('{"x":"quote\\"and\\\\more"} abcdefghijklmnop… abcdefghijk defghi')).toBe('{"x":"***"} ***… abc***hijk ***hi');
});

test('a form of it that begins like another leaves nothing of the other', () => {
  const hidden = hiddenTexts();
  hidden.add('abcdefghijkl/rest of it');
  hidden.add('xyzabcd');
  expect(hidden.clean('abcdefghijkl/rest of it; xyzabcdefghijkl/rest of it')).toBe('***; ***');
});

test('what is too short to be one tears no words apart', () => {
  const hidden = hiddenTexts();
  for (const text of ['', 'a', 'abc']) hidden.add(text);
  expect(hidden.clean('abcabc')).toBe('abcabc');
});

test('of what passes, the last are hidden', () => {
  const hidden = hiddenTexts();
  for (let at = 0; at < 1_000; at++) hidden.addPassing(`signature-${at};`);
  expect(hidden.clean('signature-999;')).toBe('***');
  expect(hidden.clean('other-999;')).toBe('other-999;');
});
