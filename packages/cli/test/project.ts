import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface TestProject extends Disposable {
  readonly root: string;
  write(files: Readonly<Record<string, string>>): void;
}

/** A folder with these files, inside the repository, so that its imports of `@millrace/…` resolve. It goes when disposed. */
export function testProject(files: Readonly<Record<string, string>> = {}): TestProject {
  const base = fileURLToPath(new URL('../.millrace/', import.meta.url));
  mkdirSync(base, { recursive: true });
  const root = mkdtempSync(join(base, 'project-'));
  const write = (more: Readonly<Record<string, string>>) => {
    for (const [path, text] of Object.entries(more)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
  };
  write({ 'package.json': '{ "type": "module" }', ...files });
  return { root, write, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 }) };
}

export const config = `import { defineConfig } from '@millrace/core';
export default defineConfig({ pipelines: 'pipelines/*.ts', environments: { local: {}, prod: { secrets: ['env'] } } });
`;

/** Copies public.orders of the shop to public.orders of the warehouse. */
export const copyOrders = `import { postgres } from '@millrace/connectors/postgres';
import { extract, load, pipeline, secret } from '@millrace/core';
import { orders as table } from '../tables/shop.ts';

export const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });
const orders = extract(shop, table);
const copied = load(orders, warehouse.table(table, { mode: 'replace', schema: 'create' }));

export default pipeline({ name: 'copy-orders', steps: { orders, copied } });
`;

export const ordersTable = `import { int8, numeric, table, text, timestamptz } from '@millrace/core';

export const orders = table('public.orders', {
  id: int8(),
  total: numeric(12, 2),
  note: text().orNull(),
  updated_at: timestamptz(),
}, { key: ['id'] });
`;

export const ordersSql = `create table public.orders (id bigint primary key, total numeric(12,2) not null, note text, updated_at timestamptz not null);
insert into public.orders select n, n * 1.5, case when n % 3 = 0 then 'note ' || n end, '2026-03-01'::timestamptz + n * interval '1 second' from generate_series(1, 1000) n;`;
