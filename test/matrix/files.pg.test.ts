import { afterAll, beforeAll, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { fileWays } from './file-ways.ts';
import { arrives, isRefused } from './travel.ts';
import { matrix, prelude } from './values.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.sql(prelude);
});
afterAll(() => database?.[Symbol.asyncDispose]());

for (const way of fileWays) {
  test(`every value goes by ${way.name} to another table to the letter`, () => arrives(way, matrix, database));
  test(`what cannot go by ${way.name} is refused by name`, () => isRefused(way, matrix, database));
}
