import type { Column } from '@millrace/core';
import { type ColumnType, textCodec, typeName } from '@millrace/core/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isPortable } from '../../packages/connectors/src/postgres/binary/form.ts';
import { anyValue, sampleTypes } from '../arbitrary-value.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { fileWays, isBeyondParquet } from './file-ways.ts';
import { binaryWay, tableWays } from './table-ways.ts';
import { running } from './travel.ts';
import type { MatrixType } from './values.ts';
import { differences, wideTables } from './wide-table.ts';

/** Another one with every run; a failure names it, and `MILLRACE_SEED` brings it back. */
const seed = Number(process.env['MILLRACE_SEED'] ?? fc.sample(fc.nat(), 1)[0]);
/** Values of each type in one load. */
const many = 100;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.sql(`create type mood as enum ('sad', 'it''s "fine"', 'ok, {great}'); create domain short as varchar(5)`);
});
afterAll(() => database?.[Symbol.asyncDispose]());

const columnOf = (type: ColumnType, nullable = false): Column => ({ type, nullable, orNull: () => columnOf(type, true) });

const types: readonly MatrixType[] = sampleTypes.map((type, at) => {
  const value = fc.option(anyValue(type), { freq: 10 }).map((given) => (given === null ? null : textCodec(type).print(given)));
  const values = fc.sample(value, { numRuns: many, seed: seed + at }) as string[];
  return { name: typeName(type), column: columnOf(type), sql: typeName(type), values };
});

const portable = types.filter(({ column }) => isPortable(column.type));

/** Files take what Parquet can hold: whether the rest is refused is for the table of extremes. */
const storable = types.map((type) => ({
  ...type,
  values: type.values.filter((value) => value === null || !isBeyondParquet(type.column, value)),
}));

for (const [way, generated] of [
  [binaryWay, portable] as const,
  ...tableWays.map((way) => [way, types] as const),
  ...fileWays.map((way) => [way, storable] as const),
]) {
  test(`values that nobody has thought of reach another table to the letter by ${way.name}`, async () => {
    const tables = await wideTables(database, generated, ({ values }) => values);
    await running(way, database, tables);
    await database.sql('delete from matrix_target where n < 0');
    expect(await differences(database, tables), `MILLRACE_SEED=${seed}`).toEqual([]);
  });
}
