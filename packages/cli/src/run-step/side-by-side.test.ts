import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { sideBySide } from './side-by-side.ts';

test('a place that cannot go on has the others end first, and is told then', async () => {
  const told: string[] = [];
  let places = 0;
  const working = sideBySide(3, new AbortController().signal, async (end) => {
    if (++places === 2) throw new Error('no such activity');
    await sleep(60_000, undefined, { signal: end }).catch(() => {});
    await sleep(20);
    told.push('ended');
  });
  await expect(working).rejects.toThrow('no such activity');
  expect(told).toEqual(['ended', 'ended']);
});

test('asked to end, all of them do', async () => {
  const asked = new AbortController();
  const working = sideBySide(2, asked.signal, async (end) => {
    await sleep(60_000, undefined, { signal: end }).catch(() => {});
  });
  asked.abort('SIGTERM');
  await working;
});
