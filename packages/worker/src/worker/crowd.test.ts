import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Crowd } from './crowd.ts';

let waiting: number;
const crowd = () => new Crowd({ depth: async () => waiting });

beforeEach(() => {
  waiting = 0;
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => void vi.useRealTimers());

const heard = () => sleep(0);

test('a place goes on while nobody waits, for a second', async () => {
  const one = crowd();
  const since = one.begin();
  await heard();
  expect(one.mayGoOn(since)).toBe(true);
  vi.advanceTimersByTime(900);
  expect(one.mayGoOn(since)).toBe(true);
  vi.advanceTimersByTime(200);
  expect(one.mayGoOn(since)).toBe(false);
});

test('where others wait it does not', async () => {
  const one = crowd();
  const since = one.begin();
  await heard();
  waiting = 3;
  vi.advanceTimersByTime(60);
  one.mayGoOn(since); // asks
  await heard();
  expect(one.mayGoOn(since)).toBe(false);
});

test('nor where nobody has said yet, or nobody knows', async () => {
  const one = crowd();
  expect(one.mayGoOn(one.begin())).toBe(false);
  const alone = new Crowd(null);
  const since = alone.begin();
  await heard();
  expect(alone.mayGoOn(since)).toBe(false);
});

test('a queue that is away keeps nobody from going on', async () => {
  const one = new Crowd({ depth: () => Promise.reject(new Error('away')) });
  const since = one.begin();
  await heard();
  expect(one.mayGoOn(since)).toBe(true);
});
