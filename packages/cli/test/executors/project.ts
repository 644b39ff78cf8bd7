import { ordersSql } from '../project.ts';

/** Pipelines that say the same wherever they run. Each has tables of its own at the target; state, lake and markers are those of one world. */
export const files = {
  'millrace.config.ts': `import { defineConfig, secret } from '@millrace/core';
const stepFunctions = { region: 'eu-west-1', cluster: 'etl', subnets: ['subnet-1'], securityGroups: ['sg-1'], image: 'etl:1', splits: { copied: 2 } };
const common = { secrets: ['env'], state: secret('STATE_URL') };
export default defineConfig({
  pipelines: 'pipelines/*.ts',
  environments: {
    local: { ...common, executor: 'local' },
    fleet: { ...common, executor: 'fleet' },
    'step-functions': { ...common, executor: 'step-functions', stepFunctions },
    tokens: { ...common, executor: 'step-functions', stepFunctions: { ...stepFunctions, work: 'token' } },
  },
});
`,
  'tables.ts': `import { int8, numeric, table, text, timestamptz } from '@millrace/core';
const columns = { id: int8(), total: numeric(12, 2), note: text().orNull(), updated_at: timestamptz() };
export const orders = table('public.orders', columns, { key: ['id'] });
export const under = (name: string) => table('public.' + name, columns, { key: ['id'] });
`,
  'connections.ts': `import { existsSync, writeFileSync } from 'node:fs';
import { glue } from '@millrace/connectors/glue';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { secret } from '@millrace/core';
export const shop = postgres({ url: secret('SHOP_URL') });
export const warehouse = postgres({ url: secret('WAREHOUSE_URL') });
export const lake = s3({ url: secret('LAKE_URL') });
export const jobs = glue();
/** True once in a world. */
export function first(name: string): boolean {
  const marker = process.env['MARKERS'] + '/' + name;
  if (existsSync(marker)) return false;
  writeFileSync(marker, '');
  return true;
}
`,
  // A chain (files, then a copy of them), two ways side by side that join, splits, a service's work, parameters and the window.
  'pipelines/diamond.ts': `import { extract, load, pipeline, run } from '@millrace/core';
import { filter, map, sql } from '@millrace/transforms';
import { jobs, lake, shop, warehouse } from '../connections.ts';
import { orders as table, under } from '../tables.ts';
const orders = extract(shop, table, { splitBytes: 8192 });
const files = load(orders, lake.parquet({ prefix: 'orders/' }));
const again = extract(shop, table, { splitBytes: 8192, after: [files] });
const rows = map(again, { to: under('copied'), row: (row) => row });
const copied = load(rows, warehouse.table(under('copied'), { mode: 'replace', schema: 'create' }));
const all = extract(shop, table, { since: 'id', after: [files] });
const some = filter(all, [['total', '>', '750']]);
const large = load(some, warehouse.table(under('large'), { mode: 'merge', schema: 'create' }));
const report = jobs.job('report', { arguments: { '--date': run.date, '--country': run.param('country') } }, { after: [files] });
const joined = sql(warehouse, ['create table if not exists public.joined (day text, country text, low text, high text, large bigint, copied bigint)', {
  text: 'insert into public.joined select $1, $2, $3, $4, (select count(*) from public.large), (select count(*) from public.copied)',
  values: [run.date, run.param('country'), run.window.start, run.window.end],
}], { after: [large, copied, report] });
export default pipeline({ name: 'diamond', params: { country: 'FR' }, steps: { orders, files, again, rows, copied, all, some, large, report, joined } });
`,
  // An error that passes, and a process that is killed.
  'pipelines/troubles.ts': `import { extract, load, pipeline } from '@millrace/core';
import { map, sql } from '@millrace/transforms';
import { first, shop, warehouse } from '../connections.ts';
import { orders as table, under } from '../tables.ts';
const retry = { attempts: 3, delay: '10ms' } as const;
const busy = sql(warehouse, ["do $$ begin if nextval('public.tries') = 1 then raise exception 'busy' using errcode = '57P03'; end if; end $$"], { retry });
const orders = extract(shop, table, { after: [busy], retry });
const rows = map(orders, { to: under('killed'), row(row) {
  if (row.id === 500n && first('killed')) process.kill(process.pid, 'SIGKILL');
  return row;
} });
const killed = load(rows, warehouse.table(under('killed'), { mode: 'append', schema: 'create' }), { retry });
export default pipeline({ name: 'troubles', steps: { busy, orders, rows, killed } });
`,
  // What may fail does, what needs it is left out, and the rest goes on.
  'pipelines/partial.ts': `import { extract, load, pipeline } from '@millrace/core';
import { sql } from '@millrace/transforms';
import { shop, warehouse } from '../connections.ts';
import { orders as table, under } from '../tables.ts';
const orders = extract(shop, table);
const kept = load(orders, warehouse.table(under('kept'), { mode: 'merge', schema: 'create' }));
const broken = sql(warehouse, ['select 1 / 0'], { onFailure: 'continue' });
const behind = sql(warehouse, ['create table public.behind ()'], { after: [broken] });
const further = sql(warehouse, ['create table public.further ()'], { after: [behind, kept] });
export default pipeline({ name: 'partial', steps: { orders, kept, broken, behind, further } });
`,
  // Data that is not good is not committed, and ends the run.
  'pipelines/quality.ts': `import { extract, load, pipeline } from '@millrace/core';
import { check, range, sql } from '@millrace/transforms';
import { shop, warehouse } from '../connections.ts';
import { orders as table, under } from '../tables.ts';
const orders = extract(shop, table);
const checked = check(orders, [range('total', { max: '1000' })]);
const loaded = load(checked, warehouse.table(under('loaded'), { mode: 'merge', schema: 'create' }));
const never = sql(warehouse, ['create table public.never ()'], { after: [loaded] });
export default pipeline({ name: 'quality', steps: { orders, checked, loaded, never } });
`,
  // What a person mends, and asks for again.
  'pipelines/mended.ts': `import { pipeline } from '@millrace/core';
import { sql } from '@millrace/transforms';
import { warehouse } from '../connections.ts';
const before = sql(warehouse, ['create table public.before_it ()']);
const mended = sql(warehouse, ['insert into public.by_hand values (1)'], { after: [before] });
export default pipeline({ name: 'mended', steps: { before, mended } });
`,
  'pipelines/slow.ts': `import { pipeline } from '@millrace/core';
import { sql } from '@millrace/transforms';
import { warehouse } from '../connections.ts';
export default pipeline({ name: 'slow', steps: { sleeps: sql(warehouse, ['select pg_sleep(300)']) } });
`,
};

export const sourceSql = ordersSql;
export const targetSql = 'create sequence public.tries';

/** Started one after the other. One that is mended has failed first, and is gone on with when that was done. */
export const runs: readonly {
  readonly pipeline: string;
  readonly args: readonly string[];
  readonly code: number;
  readonly mend?: string;
}[] = [
  {
    pipeline: 'diamond',
    args: ['--date', '2026-03-29', '--window', '2026-03-28..2026-03-29', '--param', 'country=DE'],
    code: 0,
  },
  { pipeline: 'troubles', args: ['--date', '2026-03-29'], code: 0 },
  { pipeline: 'partial', args: ['--date', '2026-03-29'], code: 4 },
  { pipeline: 'quality', args: ['--date', '2026-03-29'], code: 5 },
  { pipeline: 'mended', args: ['--date', '2026-03-29'], code: 0, mend: 'create table public.by_hand (n int)' },
];
