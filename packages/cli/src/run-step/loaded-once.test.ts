import { expect, test } from 'vitest';
import { loadedOnce } from './loaded-once.ts';

test('what is loaded is kept, and what could not be loaded is tried again', async () => {
  const asked: string[] = [];
  const load = loadedOnce(async (name) => {
    asked.push(name);
    if (asked.length === 1) throw new Error('too many open files');
    return name.toUpperCase();
  });
  const [one, two] = [load('a'), load('a')];
  await expect(one).rejects.toThrow('too many open files');
  await expect(two).rejects.toThrow('too many open files');
  expect(await Promise.all([load('a'), load('a'), load('b')])).toEqual(['A', 'A', 'B']);
  expect(await load('a')).toBe('A');
  expect(asked).toEqual(['a', 'a', 'b']);
});
