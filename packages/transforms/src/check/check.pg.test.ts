import { date, int8, numeric, type SqlConnection, table, text, timestamptz } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { accepted, check, freshness, notNull, on, range, rowCount, unique } from '../index.ts';

const facts = table(
  '"we""ird"."fac""ts"',
  { id: int8(), total: numeric().orNull(), currency: text().orNull(), day: date(), at: timestamptz() },
  { key: ['id'] },
);
const warehouse = { kind: 'connection', connector: 'postgres', label: 'test', dialect: 'postgres' } as unknown as SqlConnection;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.sql('create schema "we""ird"');
  await db.sql('create table "we""ird"."fac""ts" (id int8, total numeric, currency text, day date, at timestamptz)');
  await db.sql(`insert into "we""ird"."fac""ts" values
    (1, 1.5, 'EUR', current_date, now()), (2, null, null, current_date, now()), (2, 'NaN', 'é', '2020-01-01', '2020-01-01')`);
});
afterAll(() => db[Symbol.asyncDispose]());

test.each([
  [notNull('id'), 0],
  [notNull('total'), 1],
  [unique('id'), 1],
  [unique('id', 'currency'), 0],
  [accepted('currency', ['EUR', 'é']), 0],
  [accepted('currency', ['EUR', "o'x"]), 1],
  [range('total', { min: '0' }), 0],
  [range('total', { min: 2, max: 1e6 }), 2],
  [range('currency', { max: 'Z' }), 1],
  [range('day', { min: '2021-01-01' }), 1],
  [rowCount({ min: 3, max: 3 }), 0],
  [rowCount({ min: 4 }), 1],
  [freshness('at', '1h'), 0],
  [freshness('day', '30h'), 0],
] as const)('$0.name: %s', async (expectation, violations) => {
  const { work } = check(warehouse, [on(facts, [expectation])]);
  if (work.kind !== 'execute' || work.request.kind !== 'check') throw new Error('no check');
  const { text, values } = work.request.expectations[0]!.query;
  expect(await db.sql(`select * from (${text}) as violations`, [...values])).toHaveLength(violations);
});

test('a table without rows is neither fresh nor full', async () => {
  await db.sql('truncate "we""ird"."fac""ts"');
  const { work } = check(warehouse, [on(facts, [freshness('at', '1h'), rowCount({ min: 1 }), notNull('id')])]);
  if (work.kind !== 'execute' || work.request.kind !== 'check') throw new Error('no check');
  const found = await Promise.all(work.request.expectations.map(({ query }) => db.sql(query.text, [...query.values])));
  expect(found).toEqual([[{ newest: null }], [{ row_count: '0' }], []]);
});
