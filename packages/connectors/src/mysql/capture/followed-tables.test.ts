import { expect, test } from 'vitest';
import type { FollowedTable } from './followed-table.ts';
import { FollowedTables, folded } from './followed-tables.ts';

const orders = { schema: 'shop', plainName: 'orders', joinedAt: '20' } as FollowedTable;

test('letters are lowered one by one, as the server does it', () => {
  expect(folded('ΟΔΟΣ')).toBe('οδοσ');
  expect(folded('İSTANBUL')).toBe('istanbul');
  expect(folded('Straße')).toBe('straße');
});

test('names are told apart by their letters only where the server does so', () => {
  const name = { schema: 'Shop', name: 'ORDERS' };
  expect(new FollowedTables([orders], false).find(name, () => '21')).toBeNull();
  const folds = new FollowedTables([orders], true);
  expect(folds.find(name, () => '21')).toBe(orders);
  expect(folds.in('SHOP')).toEqual([{ schema: 'shop', name: 'orders' }]);
});

test('before the commit of its copy a table is nobody’s', () => {
  const tables = new FollowedTables([orders], false);
  const name = { schema: 'shop', name: 'orders' };
  expect(tables.has(name)).toBe(true);
  expect(tables.find(name, () => '19')).toBeNull();
  expect(tables.find(name, () => '20')).toBe(orders);
});
