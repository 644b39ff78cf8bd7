import { dynamodb } from '@millrace/connectors/dynamodb';
import { redis } from '@millrace/connectors/redis';
import { extract, load } from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DynamoServer, dynamoServer } from '../dynamo-server.ts';
import { type TestDatabase, testDatabase } from '../postgres.ts';
import { type RedisServer, redisServer } from '../redis-server.ts';
import { arraysFromOne, intoTable, type Refusals, type Rows, rowsOf, runs, type Way } from './table-ways.ts';
import { arrives, isRefused, running } from './travel.ts';
import { matrix, prelude } from './values.ts';
import { differences, wideTables } from './wide-table.ts';

let [database, cache, dynamo]: [TestDatabase?, RedisServer?, DynamoServer?] = [];
beforeAll(async () => {
  [database, cache, dynamo] = await Promise.all([testDatabase(), redisServer(), dynamoServer()]);
  await database.sql(prelude);
});
afterAll(() => Promise.all([database, cache, dynamo].map((one) => one?.[Symbol.asyncDispose]())));

/** Rows become keys by one pipeline stage, and keys rows by another. */
const throughCache = (as: 'hash' | 'json'): Way => ({
  name: `keys of Redis as ${as}`,
  refuses: arraysFromOne,
  async run(database, { source, target }) {
    const server = cache as RedisServer;
    await server.flush();
    const keys = redis({ url: server.url }).keys({ key: 'row:<n>', as });
    const rows = rowsOf(database, source);
    const cached = load(rows, keys as Target<never, 'rows', 'table'>);
    const read = extract(keys.stored!(target) as never, { after: [cached] }) as Rows;
    await runs({ rows, cached, read, loaded: intoTable(read, database, target) }, ['columns', 'columns']);
  },
});

/** Numbers have 38 digits and no more than 126 before the point, an item has 400 KB, and a document that is null is no attribute. */
const refused = (...values: string[]) => Object.fromEntries(values.map((value) => [value, 'VALUE_UNREPRESENTABLE'] as const));
const valuesOf = (name: string): readonly string[] => matrix.find((type) => type.name === name)?.values ?? [];
const beyondItems: Refusals = {
  float4: refused('NaN', 'Infinity', '-Infinity'),
  float8: refused('NaN', 'Infinity', '-Infinity', '1.7976931348623157e+308', '5e-324'),
  numeric: refused('NaN', 'Infinity', '-Infinity', ...valuesOf('numeric').filter((text) => text.replace(/\D/g, '').length > 38)),
  'numeric(12,2)': refused('NaN'),
  'numeric(60,20)': refused(...valuesOf('numeric(60,20)').filter((text) => text.length > 40)),
  'numeric[]': refused('{1.10,NaN,NULL}', '{Infinity}'),
  text: refused(...valuesOf('text').filter((text) => text.length > 400_000)),
  jsonb: refused('null'),
  ...arraysFromOne,
};

const throughItems: Way = {
  name: 'items of DynamoDB',
  refuses: beyondItems,
  async run(database, { source, target }) {
    const server = dynamo as DynamoServer;
    const name = `matrix-${made++}`;
    await server.create(name, { n: 'N' });
    const connection = dynamodb(server.settings);
    const rows = rowsOf(database, source);
    const put = load(rows, connection.items({ ...source, name }) as unknown as Target<never, 'rows', 'table'>);
    const read = extract(connection.scan({ ...target, name }) as never, { after: [put] }) as Rows;
    await runs({ rows, put, read, loaded: intoTable(read, database, target) }, ['columns', 'columns']);
  },
};
let made = 0;

/** Numbers have neither zeros at their end nor a sign of zero there: what is told of such values. */
const rewritten: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  float4: { '-0': '-0 became 0' },
  float8: { '-0': '-0 became 0' },
  numeric: { '-0.000': '0.000 became 0', '1.10': '1.10 became 1.1' },
  jsonb: {
    '{"a": 1.00, "b": [1, null, "x\\"y"]}': '{"a": 1.00, "b": [1, null, "x\\"y"]} became {"a": 1, "b": [1, null, "x\\"y"]}',
    '123456789012345678901234567890.10': '123456789012345678901234567890.10 became 123456789012345678901234567890.1',
  },
};
const isRewritten = (type: string, text: string): boolean => text in (rewritten[type] ?? {});

for (const way of [throughCache('hash'), throughCache('json'), throughItems]) {
  const types =
    way === throughItems
      ? matrix.map((type) => ({ ...type, values: type.values.filter((text) => !isRewritten(type.name, text)) }))
      : matrix;
  test(`every value goes by ${way.name} to another table to the letter`, () => arrives(way, types, database as TestDatabase));
  test(`what cannot go by ${way.name} is refused by name`, () => isRefused(way, matrix, database as TestDatabase));
}

test('numbers come back from items as the same numbers, written as DynamoDB writes them', async () => {
  const types = matrix.filter(({ name }) => rewritten[name]);
  const tables = await wideTables(database as TestDatabase, types, ({ name }) => Object.keys(rewritten[name] ?? {}));
  await running(throughItems, database as TestDatabase, tables);
  expect((await differences(database as TestDatabase, tables)).sort()).toEqual(
    types.flatMap(({ name }) => Object.values(rewritten[name] ?? {}).map((what) => `${name}: ${what}`)).sort(),
  );
});
