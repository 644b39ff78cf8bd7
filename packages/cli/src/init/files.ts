/** The files of a new project by their path. `name` is the project's, `version` that of the packages it asks for. */
export function projectFiles(name: string, version: string): Readonly<Record<string, string>> {
  return {
    'package.json': packageJson(name, version),
    'tsconfig.json': tsconfig,
    '.gitignore': 'node_modules/\n.millrace/\n.env\n',
    '.env': dotenv,
    'millrace.config.ts': config,
    'tables/shop.ts': shopTables,
    'tables/warehouse.ts': warehouseTables,
    'pipelines/daily-sales.ts': pipeline,
    'pipelines/daily-sales.test.ts': pipelineTest,
    'README.md': readme(name),
  };
}

function packageJson(name: string, version: string): string {
  const wanted = `^${version}`;
  const manifest = {
    name,
    private: true,
    type: 'module',
    engines: { node: '>=20.19' },
    scripts: {
      start: 'millrace run daily-sales',
      test: 'node --import tsx --test "pipelines/*.test.ts"',
      check: 'tsc --noEmit',
    },
    dependencies: {
      '@millrace/cli': wanted,
      '@millrace/connectors': wanted,
      '@millrace/core': wanted,
      '@millrace/transforms': wanted,
      pg: '^8.23.1',
    },
    devDependencies: { '@types/node': '^20.19.0', tsx: '^4.23.15', typescript: '^5.9.0' },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

const tsconfig = `{
  "compilerOptions": {
    "target": "es2023",
    "module": "nodenext",
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "allowImportingTsExtensions": true,
    "noEmit": true,
    "skipLibCheck": true,
    "types": ["node"]
  },
  "include": ["**/*.ts"]
}
`;

const dotenv = `# embedded:<name> is a database of the Postgres that Millrace runs under .millrace/
# Put a postgres:// URL here to use your own.
SHOP_URL=embedded:shop
WAREHOUSE_URL=embedded:warehouse
`;

const config = `import { defineConfig } from '@millrace/core';

export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: {
    local: { secrets: ['.env', 'env'] },
  },
});
`;

const shopTables = `import { int8, numeric, table, text, timestamptz } from '@millrace/core';

/** "npx millrace introspect SHOP_URL --out tables/shop.ts" writes this file from the database. */
export const orders = table(
  'public.orders',
  { id: int8(), customer: text(), total: numeric(12, 2), currency: text(), updated_at: timestamptz() },
  { key: ['id'] },
);
`;

const warehouseTables = `import { date, int8, numeric, table, text } from '@millrace/core';

export const sales = table(
  'public.sales',
  { order_id: int8(), customer: text(), total: numeric(12, 2), currency: text(), day: date() },
  { key: ['order_id'] },
);
`;

const pipeline = `import { postgres } from '@millrace/connectors/postgres';
import { daily, extract, load, pipeline, type RowOf, secret } from '@millrace/core';
import { map, sql } from '@millrace/transforms';
import { orders as shopOrders } from '../tables/shop.ts';
import { sales as warehouseSales } from '../tables/warehouse.ts';

const shop = postgres({ url: secret('SHOP_URL') });
const warehouse = postgres({ url: secret('WAREHOUSE_URL') });

/** A shop to begin with. Take this step out when SHOP_URL names yours. */
const seeded = sql(shop, [
  \`create table if not exists public.orders (
    id bigint primary key, customer text not null, total numeric(12,2) not null, currency text not null, updated_at timestamptz not null)\`,
  \`insert into public.orders
    select n, 'customer ' || n % 100, (n * 37 % 100000)::numeric / 100, case when n % 50 = 0 then '' else 'EUR' end, now() - n * interval '1 minute'
    from generate_series(1, 10000) n on conflict do nothing\`,
]);

/** Test orders carry no currency and are no sales. */
export function toSale(order: RowOf<typeof shopOrders>) {
  if (order.currency === '') return null;
  return { order_id: order.id, customer: order.customer, total: order.total, currency: order.currency, day: order.updated_at.slice(0, 10) };
}

const orders = extract(shop, shopOrders, { since: 'updated_at', after: [seeded] });
const sales = map(orders, { to: warehouseSales, row: toSale });
const loaded = load(sales, warehouse.table(warehouseSales, { mode: 'merge', schema: 'create' }));

export default pipeline({
  name: 'daily-sales',
  runs: daily('02:00', 'Europe/Paris'),
  steps: { seeded, orders, sales, loaded },
});
`;

const pipelineTest = `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toSale } from './daily-sales.ts';

const order = { id: 1n, customer: 'Ada', total: '12.50', currency: 'EUR', updated_at: '2026-03-29T23:30:00.000000Z' };

test('an order becomes a sale of its day', () => {
  assert.deepEqual(toSale(order), { order_id: 1n, customer: 'Ada', total: '12.50', currency: 'EUR', day: '2026-03-29' });
});

test('a test order is no sale', () => {
  assert.equal(toSale({ ...order, currency: '' }), null);
});
`;

const readme = (name: string): string => `# ${name}

\`\`\`sh
npm install
npx millrace run daily-sales      # runs at once: both databases are embedded ones, see .env
npx millrace verify daily-sales   # source and target are equal
npm test
\`\`\`

| command                                              | does                                                    |
| ---------------------------------------------------- | ------------------------------------------------------- |
| \`npx millrace plan daily-sales\`                      | steps, stages, lanes and DDL, before anything runs      |
| \`npx millrace dev\`                                   | its schedule at work here, with whatever you save       |
| \`npx millrace runs show\`                             | what the last run did, or why it waits                  |
| \`npx millrace introspect SHOP_URL --out tables/shop.ts\` | table declarations from the database                 |
| \`npx millrace doctor\`                                | checks connections, secrets and privileges              |

Next: put the URL of your database into \`.env\`, write its tables with \`introspect\`, take the step \`seeded\` out of
\`pipelines/daily-sales.ts\`, and change \`toSale\` and \`tables/warehouse.ts\` to what you need.
`;
