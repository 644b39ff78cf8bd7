import { expect, test } from 'vitest';
import { memoryPosition as at } from '../../testing/memory-database.ts';
import { oldestCopies } from './follow.ts';

const follower = (copied: Readonly<Record<string, number>>) => ({
  copied: new Map(Object.entries(copied).map(([table, position]) => [table, at(position)])),
});

test('of each table the oldest copy counts, and none where a sink follows the table without one', () => {
  expect(oldestCopies([follower({ orders: 20, pairs: 30 }), follower({ orders: 10 })])).toEqual(new Map([['orders', at(10)]]));
  expect(oldestCopies([follower({ orders: 20 })])).toEqual(new Map([['orders', at(20)]]));
  expect(oldestCopies([follower({}), follower({ orders: 10 })])).toEqual(new Map());
  expect(oldestCopies([])).toEqual(new Map());
});
