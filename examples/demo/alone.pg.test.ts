import { expect, test } from 'vitest';
import { testDatabase } from '../../test/postgres.ts';
import { alone } from './shop.mjs';

test('of two demos in one folder the second leaves the first alone, and the next one begins when the first has ended in whatever way', async () => {
  await using database = await testDatabase();
  let second: boolean | undefined;
  const first = await alone(database.url, async () => {
    second = await alone(database.url, () => Promise.reject(new Error('It began.')));
  });
  expect([first, second]).toEqual([true, false]);
  await expect(alone(database.url, () => Promise.reject(new Error('It failed.')))).rejects.toThrow('It failed.');
  expect(await alone(database.url, async () => {})).toBe(true);
});
