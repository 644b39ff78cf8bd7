import { expect, test } from 'vitest';
import { splitConditions } from './split.ts';

const sql = (key: Parameters<typeof splitConditions>[0]['key']) =>
  splitConditions(key ? { key } : {}, (name) => `"${name}"`).map(({ sql: text, parameters }) => [
    text,
    ...parameters.map(({ value }) => value),
  ]);

test('splits are ranges of the key, and rows without one are in the first', () => {
  expect(sql(undefined)).toEqual([]);
  expect(sql({ column: 'id', from: null, to: '10' })).toEqual([['"id" < ?', '10']]);
  expect(sql({ column: 'id', from: null, to: '10', nulls: true })).toEqual([['"id" < ? OR "id" IS NULL', '10']]);
  expect(sql({ column: 'id', from: '10', to: '20' })).toEqual([
    ['"id" >= ?', '10'],
    ['"id" < ?', '20'],
  ]);
  expect(sql({ column: 'id', from: '20', to: null })).toEqual([['"id" >= ?', '20']]);
});
