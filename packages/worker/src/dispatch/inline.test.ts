import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { inlineDispatch } from './inline.ts';

const wake = (stage: string) => ({ run: 'r', stage });

it('hands out as many at a time as there are places, in order', async () => {
  const dispatch = inlineDispatch();
  const begun: (string | null)[] = [];
  let active = 0;
  let most = 0;
  dispatch.receive(2, async ({ stage }) => {
    begun.push(stage);
    most = Math.max(most, ++active);
    await sleep(5);
    active--;
  });
  await dispatch.send(['a', 'b', 'c', 'd', 'e'].map(wake));
  await sleep(60);
  expect(begun).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(most).toBe(2);
});

it('keeps one of several that wait for the same', async () => {
  const dispatch = inlineDispatch();
  const begun: (string | null)[] = [];
  await dispatch.send(['a', 'a', 'b', 'a'].map(wake));
  dispatch.receive(1, async ({ stage }) => void begun.push(stage));
  await sleep(5);
  expect(begun).toEqual(['a', 'b']);
});

it('goes on after a handler that fails, and delivers nothing once paused', async () => {
  const dispatch = inlineDispatch();
  const begun: (string | null)[] = [];
  dispatch.receive(1, async ({ stage }) => {
    begun.push(stage);
    throw new Error('no');
  });
  await dispatch.send(['a', 'b'].map(wake));
  await sleep(5);
  dispatch.pause();
  await dispatch.send([wake('c')]);
  await sleep(5);
  expect(begun).toEqual(['a', 'b']);
});
