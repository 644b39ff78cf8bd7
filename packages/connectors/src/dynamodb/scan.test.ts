import { int8, jsonb, numeric, table, text } from '@millrace/core';
import { rowSourceConformance } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { dynamoServer } from '../../../../test/dynamo-server.ts';
import { readAll } from '../../test/read.ts';
import { dynamodb } from './index.ts';

const orders = table(
  'shop-orders',
  { customer: text(), id: int8(), total: numeric().orNull(), lines: jsonb().orNull() },
  { key: ['customer', 'id'] },
);
const rows = Array.from({ length: 40 }, (_, id) => ({
  customer: `customer ${id % 7}`,
  id: BigInt(id),
  total: id % 5 === 0 ? null : `${id}.5`,
  lines: id % 3 === 0 ? null : `[{"sku":"a","count":${id}}]`,
}));

async function shop() {
  const server = await dynamoServer();
  await server.create('shop-orders', { customer: 'S', id: 'N' });
  await server.put(
    'shop-orders',
    ...rows.map(({ customer, id, total, lines }) => ({
      customer: { S: customer },
      id: { N: String(id) },
      ...(total !== null && { total: { N: total } }),
      ...(lines !== null && { lines: { L: [{ M: { sku: { S: 'a' }, count: { N: String(id) } } }] } }),
      other: { S: 'not asked for' },
    })),
  );
  return server;
}

rowSourceConformance(
  (name, body) => test(`dynamodb: ${name}`, body),
  async () => {
    const server = await shop();
    return {
      selection: dynamodb(server.settings).scan(orders, { segments: 4 }),
      rows,
      splitBytes: 1,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
);

test('segments together have every item once, whatever is missing in it', async () => {
  await using server = await shop();
  for (const segments of [1, 3, 16]) {
    const { splits, rows: read } = await readAll(dynamodb(server.settings).scan(orders, { segments, consistent: true }));
    expect(splits.length).toBe(segments);
    expect(read.map(({ id }) => id).sort((a, b) => Number((a as bigint) - (b as bigint)))).toEqual(rows.map(({ id }) => id));
  }
});

test('what is not there, or not as declared, is said by name', async () => {
  await using server = await shop();
  const dynamo = dynamodb(server.settings);
  const code = (of: Parameters<typeof dynamo.scan>[0]) =>
    readAll(dynamo.scan(of)).then(
      () => 'read',
      (error) => `${error.code}: ${error.message}`,
    );
  expect(await code(table('shop-nothing', { id: int8() }))).toMatch(/^TABLE_MISSING: .*"shop-nothing" in eu-west-1/);
  expect(await code(table('shop-orders', { customer: int8(), id: int8() }, { key: ['customer', 'id'] }))).toMatch(
    /^SCHEMA_DRIFT: .*"customer" is S/,
  );
  expect(await code(table('shop-orders', { customer: text(), id: int8() }, { key: ['id'] }))).toMatch(
    /^SCHEMA_DRIFT: .*its key is customer, id/,
  );
  expect(await code(table('shop-orders', { customer: text(), id: int8(), total: int8() }))).toMatch(/^TYPE_MISMATCH: .*"total"/);
  await expect(readAll(dynamo.scan(orders), { since: { column: 'id', low: null, lagMs: 0 } })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    remedy: expect.stringContaining('since'),
  });
});
