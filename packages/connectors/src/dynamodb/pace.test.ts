import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

test('what was spent is waited for before the next turn, and no rest is saved up', async () => {
  let now = 1_000;
  const pace = new Pace(1_000, () => now);
  const stop = new AbortController();
  const turn = () => {
    const began = performance.now();
    return pace.turn(stop.signal).then(() => performance.now() - began);
  };
  expect(await turn()).toBeLessThan(20);
  pace.spent(50);
  expect(await turn()).toBeGreaterThan(40);
  now += 10_000;
  expect(await turn()).toBeLessThan(20);
  pace.spent(100_000);
  const waiting = turn();
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow();
});
