import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const lake = mkdtempSync(join(tmpdir(), 'millrace-lake-'));
let shop: { env: Record<string, string>; trade(more: number): void; close(): void };
beforeAll(async () => {
  const { shopApi } = await import('./api.mjs');
  shop = await shopApi({ orders: 500, products: 50 });
});
afterAll(() => shop.close());
const { must } = example(import.meta.url, [], () => ({ ...shop.env, LAKE_URL: `file:${lake}` }));

async function query(sql: string): Promise<unknown> {
  const { DuckDBInstance } = createRequire(new URL('../../packages/connectors/package.json', import.meta.url))('@duckdb/node-api');
  const duckdb = await (await DuckDBInstance.create()).connect();
  const [row] = await (await duckdb.runAndReadAll(sql)).getRowObjectsJson();
  return row;
}

const orders = `select count(*)::int as orders, count(distinct id)::int as ids, sum(total)::varchar as total, count(city)::int as cities
  from read_parquet('${lake}/orders/**/*.parquet')`;
const totalOf = (count: number): string => ((count * (count + 1) * 110) / 200).toFixed(2);

test('every order is in the lake once, with its lines, and the next run reads what is new', async () => {
  await must('run', 'api-to-lake');
  expect(await query(orders)).toEqual({ orders: 500, ids: 500, total: totalOf(500), cities: 375 });
  expect(await query(`select count(*)::int as lines from read_parquet('${lake}/lines/**/*.parquet')`)).toEqual({ lines: 501 });

  shop.trade(10);
  // A window ends with a whole second.
  await sleep(1_000);
  const again = await must('run', 'api-to-lake');
  expect(again.stderr + again.stdout).not.toContain('a-token-of-the-shop');
  expect(await query(orders)).toEqual({ orders: 510, ids: 510, total: totalOf(510), cities: 383 });
  const [{ stages } = { stages: [] }] = (await must('runs', 'show', '--json')).json<{
    stages: { id: string; state: { output: { receipt: { rows: number } } } }[];
  }>();
  expect(Object.fromEntries(stages.map(({ id, state }) => [id, state.output.receipt.rows]))).toEqual({
    orderFiles: 10,
    lineFiles: 9,
    productFiles: 50,
  });
});
