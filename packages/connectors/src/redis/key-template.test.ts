import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hashTag, keyOf, keyTemplate } from './key-template.ts';
import { slotCount, slotOf, slotTags } from './slots.ts';

test.each([
  ['order:<id>', { id: '42' }, 'order:42'],
  ['line:<order>:<number>', { order: 'a:b', number: 'c' }, 'line:a%3Ab:c'],
  ['line:<order>:<number>', { order: 'a', number: 'b:c' }, 'line:a:b%3Ac'],
  ['{shop}:order:<id>', { id: '{x}%' }, '{shop}:order:%7Bx%7D%25'],
  ['user:{<id>}:name', { id: '' }, 'user:{}:name'],
])('%s of %j is %s, and that is read back', (template, row, key) => {
  expect(keyOf(template, row)).toBe(key);
  expect(Object.fromEntries(keyTemplate(template).match(key) ?? [])).toEqual(row);
});

test.each([
  'order',
  'order:<id',
  'order:id>',
  '<id>',
  '<id>:order',
  'a:<x><y>',
  'a:<x>-<y>',
  'a:<x>:<x>',
  'a:{}:<x>',
  '{a}:{b}:<x>',
  'a}{:<x>',
])('%s is no key', (template) => {
  expect(() => keyTemplate(template)).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID', remedy: expect.stringMatching(/\.$/) }));
});

test('two rows never share a key, whatever their values are, and only its own keys match', () => {
  const template = keyTemplate('line:<a>:{<b>}:x');
  const value = fc.string({ unit: fc.constantFrom('a', ':', '%', '{', '}', '3', 'A', '\n', 'é') });
  const row = fc.record({ a: value, b: value });
  fc.assert(
    fc.property(row, row, (one, other) => {
      const [key, another] = [one, other].map((of) => template.render(new Map(Object.entries(of))));
      expect(key === another).toBe(one.a === other.a && one.b === other.b);
      expect(Object.fromEntries(template.match(key as string) ?? [])).toEqual(one);
      expect(template.match(`${key}:lock`)).toBeNull();
    }),
  );
});

test('Memcached has no blanks in its keys', () => {
  expect(keyOf('line:<a>:<b>', { a: 'x y', b: 'tab\tz\u00a0' }, 'memcached')).toBe('line:x%20y:tab%09z%C2%A0');
  expect(() => keyTemplate('a line:<a>', 'memcached')).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});

test('a NULL is no part of a key', () => {
  expect(() => keyTemplate('order:<id>').render(new Map([['id', null]]))).toThrow(expect.objectContaining({ code: 'TYPE_MISMATCH' }));
});

test('slots are those of the specification', () => {
  expect(slotOf('123456789')).toBe(0x31c3 % slotCount);
  expect(hashTag('{user1000}.following')).toBe('user1000');
  expect(hashTag('foo{}{bar}')).toBe('foo{}{bar}');
  const tags = slotTags();
  expect(tags.length).toBe(slotCount);
  expect(tags.every((tag, slot) => slotOf(tag) === slot)).toBe(true);
});
