import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Reader, tee } from './tee.ts';

function counting(to: number, at: (item: number) => void = () => {}) {
  const state = { given: 0, closed: false };
  async function* items(): AsyncGenerator<number, void, undefined> {
    try {
      for (let item = 1; item <= to; item++) {
        at(item);
        state.given = item;
        yield item;
      }
    } finally {
      state.closed = true;
    }
  }
  return { state, items: items() };
}

async function all<Item>(reader: Reader<Item>, each: (item: Item) => Promise<void> | void = () => {}): Promise<Item[]> {
  const items: Item[] = [];
  try {
    for await (const item of reader) {
      items.push(item);
      await each(item);
    }
    return items;
  } finally {
    reader.leave();
  }
}

test('every reader gets every item, in order', async () => {
  for (const readers of [1, 2, 5]) {
    const { items, state } = counting(20);
    const got = await Promise.all(tee(items, readers).map((reader) => all(reader)));
    expect(got).toEqual(Array.from({ length: readers }, () => Array.from({ length: 20 }, (_, item) => item + 1)));
    expect(state.closed).toBe(true);
  }
});

test('the slowest sets the pace: no item is read before all have asked for it', async () => {
  const { items, state } = counting(20);
  const [quick, slow] = tee(items, 2) as [Reader<number>, Reader<number>];
  let behind = 0;
  await Promise.all([
    all(quick),
    all(slow, async (item) => {
      await sleep(1);
      behind = Math.max(behind, state.given - item);
    }),
  ]);
  expect(behind).toBe(0);
});

test('a reader that leaves, before it begins or in the middle, does not hold up the others', async () => {
  const { items, state } = counting(10);
  const [never, early, whole] = tee(items, 3) as [Reader<number>, Reader<number>, Reader<number>];
  const got = all(whole);
  const some = (async () => {
    for await (const item of early) if (item === 3) break;
  })();
  await sleep(5);
  expect(state.given).toBe(0);
  never.leave();
  await some;
  expect(await got).toHaveLength(10);
});

test('when the last has left the source is closed, and not before', async () => {
  const { items, state } = counting(10);
  const [a, b] = tee(items, 2) as [Reader<number>, Reader<number>];
  const reading = [a, b].map(async (reader, place) => {
    for await (const item of reader) if (item === 3 + 2 * place) break;
  });
  await reading[0];
  expect(state.closed).toBe(false);
  await reading[1];
  await sleep(0);
  expect(state).toEqual({ given: 5, closed: true });
});

test('where the source breaks off every reader hears of it', async () => {
  const { items } = counting(10, (item) => {
    if (item === 4) throw new Error('cut');
  });
  const outcomes = await Promise.allSettled(tee(items, 3).map((reader) => all(reader)));
  expect(outcomes.map((one) => (one.status === 'rejected' ? String(one.reason) : 'ended'))).toEqual(Array(3).fill('Error: cut'));
});

test('a reader that is sent away while it waits does not take that for the end', async () => {
  const [a, b] = tee(counting(3).items, 2) as [Reader<number>, Reader<number>];
  const waits = all(a);
  await sleep(0);
  a.leave();
  await expect(waits).rejects.toMatchObject({ code: 'INTERNAL' });
  await expect(all(a)).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(await all(b)).toEqual([1, 2, 3]);
});
