import { afterAll, beforeAll, test } from 'vitest';
import { isPortable } from '../../packages/connectors/src/postgres/binary/form.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { binaryWay, tableWays } from './table-ways.ts';
import { arrives, isRefused } from './travel.ts';
import { matrix, prelude } from './values.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.sql(prelude);
});
afterAll(() => database?.[Symbol.asyncDispose]());

const portable = matrix.filter(({ column }) => isPortable(column.type));

test(`every value reaches another table to the letter by ${binaryWay.name}`, () => arrives(binaryWay, portable, database));

for (const way of tableWays) {
  test(`every value reaches another table to the letter by ${way.name}`, () => arrives(way, matrix, database));
  test(`what cannot go by ${way.name} is refused by name`, () => isRefused(way, matrix, database));
}
