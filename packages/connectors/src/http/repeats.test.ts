import { expect, test } from 'vitest';
import { Repeats } from './repeats.ts';

test('keys are told from one another, whatever they are made of', () => {
  const repeats = new Repeats();
  const keys: unknown[][] = [[1], [2n], ['a'], ['a,b'], ['a', 'b'], ['a","b'], ['x'.repeat(50)], ['x'.repeat(51)], ['', ''], ['']];
  expect(keys.map((key) => repeats.seen(key))).toEqual(keys.map(() => false));
  expect(keys.map((key) => repeats.seen([...key]))).toEqual(keys.map(() => true));
});

test('a key with a NULL is none', () => {
  const repeats = new Repeats();
  expect([repeats.seen([null]), repeats.seen([null]), repeats.seen(['null']), repeats.seen([1, null]), repeats.seen([1, null])]).toEqual(
    Array.from({ length: 5 }, () => false),
  );
});

test('at least the last ones are remembered, and not all', () => {
  const repeats = new Repeats(200);
  for (let id = 0; id < 500; id++) repeats.seen([id]);
  expect([repeats.seen([300]), repeats.seen([499]), repeats.seen([0])]).toEqual([true, true, false]);
});
