import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { postgres } from '@millrace/connectors/postgres';
import { s3 } from '@millrace/connectors/s3';
import { extract, int4, load, numeric, pipeline, type Step, secret, table, text } from '@millrace/core';
import { compile } from '@millrace/core/runtime';
import { hash, map, mask, select, sql } from '@millrace/transforms';
import { environmentSecrets, loadPipeline } from '@millrace/worker';
import { expect, test } from 'vitest';
import { openProject } from '../../packages/cli/src/project/config.ts';
import { findPipeline } from '../../packages/cli/src/project/pipelines.ts';
import { testProject } from '../../packages/cli/test/project.ts';
import { type BadInput, expectRefusal, hush } from './refusal.ts';

const shop = postgres({ url: `postgres://shop:${hush}@shop.example/shop` });
const orders = table('orders', { id: int4(), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] });
const people = table('people', { id: int4(), email: text() }, { key: ['id'] });
const into = (name: string) =>
  shop.table(table(name, { id: int4(), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] }), { mode: 'append' });

function cycle(): unknown {
  const after: Step[] = [];
  const first = sql(shop, 'select 1', { after });
  const second = sql(shop, 'select 2', { after: [first] });
  after.push(second);
  return compile(pipeline({ name: 'p', steps: { first, second } }));
}

const loading =
  (files: Record<string, string>, file = 'pipelines/bad.ts') =>
  async () => {
    using project = testProject(files);
    return await loadPipeline(path.join(project.root, file));
  };

const configured = (text: string) => async () => {
  using project = testProject({ 'millrace.config.ts': text });
  return await openProject({ from: project.root });
};

const cases: readonly BadInput[] = [
  { name: 'a cycle through after', code: 'PIPELINE_INVALID', says: /wait for each other: .*first.*second/, act: cycle },
  {
    name: 'a step that is read and not listed',
    code: 'PIPELINE_INVALID',
    says: /"copied" reads a step \(extract of orders\) that is not listed/,
    act: () => compile(pipeline({ name: 'p', steps: { copied: load(extract(shop, orders), into('copy')) } })),
  },
  {
    name: 'one step under two names',
    code: 'PIPELINE_INVALID',
    says: /"again" and "rows" are the same step/,
    act: () => {
      const rows = extract(shop, orders);
      return compile(pipeline({ name: 'p', steps: { rows, again: rows, copied: load(rows, into('copy')) } }));
    },
  },
  {
    name: 'two pipelines of one name',
    code: 'PIPELINE_INVALID',
    says: /one\.ts.*two\.ts/,
    act: async () => {
      const file = `import { pipeline } from '@millrace/core';\nexport default pipeline({ name: 'same', steps: {} });\n`;
      using project = testProject({
        'millrace.config.ts': `export default { pipelines: 'pipelines/*.ts', environments: { local: {} } };`,
        'pipelines/one.ts': file,
        'pipelines/two.ts': file,
      });
      return await findPipeline(await openProject({ from: project.root }), 'same', project.root);
    },
  },
  {
    name: 'a name that is no name for a pipeline',
    code: 'PIPELINE_INVALID',
    says: /"; DROP TABLE/,
    act: () => pipeline({ name: '"; DROP TABLE orders; --', steps: {} }),
  },
  {
    name: 'a name that is no name for a step',
    code: 'PIPELINE_INVALID',
    says: /DROP TABLE.* cannot be the name of a step/,
    act: () => compile(pipeline({ name: 'p', steps: { '"; DROP TABLE orders; --': extract(shop, orders) } })),
  },
  {
    name: 'a cursor that is no column',
    code: 'PIPELINE_INVALID',
    says: /"updated_at", which is not a column of orders/,
    act: () => {
      const rows = extract(shop, orders, { since: 'updated_at' as never });
      return compile(pipeline({ name: 'p', steps: { rows, copied: load(rows, into('copy')) } }));
    },
  },
  {
    name: 'a column that is not there, in a transform',
    code: 'PIPELINE_INVALID',
    says: /"colour"/,
    act: () => select(extract(shop, orders), ['id', 'colour' as never]),
  },
  {
    name: 'a key that is no column',
    code: 'PIPELINE_INVALID',
    says: /"nr", which is not a column/,
    act: () => table('orders', { id: int4() }, { key: ['nr' as never] }),
  },
  {
    name: 'a type that does not fit the target',
    code: 'PIPELINE_INVALID',
    says: /"total" would go from numeric\(12,2\) to int4/,
    act: () => {
      const rows = extract(shop, orders);
      const target = shop.table(table('copy', { id: int4(), total: int4(), note: text().orNull() }), { mode: 'append' });
      return compile(pipeline({ name: 'p', steps: { rows, copied: load(rows, target as never) } }));
    },
  },
  {
    name: 'a merge without a key',
    code: 'PIPELINE_INVALID',
    says: /key/,
    act: () => {
      const rows = extract(shop, orders);
      const target = shop.table(table('copy', { id: int4(), total: numeric(12, 2), note: text().orNull() }), { mode: 'merge' });
      return compile(pipeline({ name: 'p', steps: { rows, copied: load(rows, target) } }));
    },
  },
  {
    name: 'a salt that stands in the file',
    code: 'PIPELINE_INVALID',
    says: /the salt is not a secret/,
    act: () => mask(extract(shop, people), { email: hash({ salt: hush as never }) }),
  },
  {
    name: 'a mask of a column that is not there',
    code: 'PIPELINE_INVALID',
    says: /"phone"/,
    act: () => mask(extract(shop, people), { phone: hash({ salt: secret('SALT') }) } as never),
  },
  {
    name: 'a map without a function',
    code: 'PIPELINE_INVALID',
    says: /function/,
    act: () => map(extract(shop, people), { to: people } as never),
  },
  {
    name: 'a lake that is no place',
    code: 'CONFIG_INVALID',
    says: /is not a place for files/,
    act: (run) => {
      const lake = s3({ url: `ftp://user:${hush}@lake.example/x` });
      const rows = extract(lake.csv('*.csv', people));
      return run(pipeline({ name: 'p', steps: { rows, copied: load(rows, lake.parquet({ prefix: 'x/' })) } }));
    },
  },
  {
    name: 'a URL of a database that is none',
    code: 'CONFIG_INVALID',
    says: /URL|postgres:/,
    act: (run) => {
      const rows = extract(postgres({ url: `postgres//shop:${hush}@host` }), people);
      return run(pipeline({ name: 'p', steps: { rows, copied: load(rows, s3({ url: 'file:/tmp' }).parquet({ prefix: 'x/' })) } }));
    },
  },
  { name: 'a pipeline file that is not there', code: 'PIPELINE_NOT_FOUND', says: /nowhere\.ts/, act: () => loadPipeline('nowhere.ts') },
  {
    name: 'a pipeline file with a slip of the pen',
    code: 'PIPELINE_INVALID',
    says: /bad\.ts cannot be loaded/,
    act: loading({ 'pipelines/bad.ts': 'export default pipeline({' }),
  },
  {
    name: 'a pipeline file that throws',
    code: 'PIPELINE_INVALID',
    says: /bad\.ts.*no such thing/,
    act: loading({ 'pipelines/bad.ts': 'throw new Error("no such thing");' }),
  },
  {
    name: 'a pipeline file that imports what is not there',
    code: 'PIPELINE_INVALID',
    says: /bad\.ts cannot be loaded/,
    act: loading({ 'pipelines/bad.ts': "import 'no-such-package';" }),
  },
  {
    name: 'a default export that is no pipeline',
    code: 'PIPELINE_INVALID',
    says: /does not export a pipeline by default/,
    act: loading({ 'pipelines/bad.ts': 'export default { steps: {} };' }),
  },
  {
    name: 'a pipeline that is exported by another name only',
    code: 'PIPELINE_INVALID',
    says: /by default/,
    act: loading({ 'pipelines/bad.ts': 'export const nightly = 1;' }),
  },
  {
    name: 'a config with a slip of the pen',
    code: 'CONFIG_INVALID',
    says: /millrace\.config\.ts does not load/,
    act: configured('export default {'),
  },
  {
    name: 'a config without pipelines',
    code: 'CONFIG_INVALID',
    says: /"pipelines"/,
    act: configured('export default { environments: { local: {} } };'),
  },
  {
    name: 'a config with a setting that is none',
    code: 'CONFIG_INVALID',
    says: /"sate" is not a setting/,
    act: configured(`export default { pipelines: '*.ts', environments: { local: { sate: 'postgres://u:${hush}@h/d' } } };`),
  },
  { name: 'a config that exports nothing', code: 'CONFIG_INVALID', says: /no default export/, act: configured('export {};') },
  {
    name: 'a secret that is nowhere',
    code: 'SECRET_MISSING',
    says: /"SHOP_URL" is not in/,
    act: () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'millrace-secrets-'));
      writeFileSync(path.join(directory, '.env'), `OTHER=${hush}\n`);
      const asked = environmentSecrets({ directory, env: { PASSWORD: hush } }).get({ kind: 'secret', name: 'SHOP_URL' });
      return asked.finally(() => rmSync(directory, { recursive: true }));
    },
  },
];

test.for(cases.map((one) => [one.name, one] as const))('%s is told by one clear error', async ([, bad]) => {
  await expectRefusal(bad);
});

test('a plan of 10,000 steps is compiled in half a second', () => {
  const steps: Record<string, Step> = {};
  let last: Step | undefined;
  for (let n = 1; n <= 5_000; n++) {
    const rows = extract(shop, orders, last && n % 10 ? { after: [last] } : {});
    last = load(rows, into(`copy_${n}`));
    steps[`rows_${n}`] = rows;
    steps[`copied_${n}`] = last;
  }
  const big = pipeline({ name: 'big', steps });
  const compiled = quickest(() => compile(big));
  expect(compiled.value.stages).toHaveLength(5_000);
  // A machine of its own needs some 60 ms to write the plan as JSON and read it; one that others use too has proportionally longer.
  const written = quickest(() => JSON.parse(JSON.stringify(compiled.value)));
  expect(compiled.milliseconds).toBeLessThan(500 * Math.max(1, written.milliseconds / 60));
});

/** The best of five, in CPU time. */
function quickest<T>(work: () => T): { value: T; milliseconds: number } {
  const tries = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    const value = work();
    const { user, system } = process.cpuUsage(before);
    return { value, milliseconds: (user + system) / 1000 };
  });
  return tries.reduce((best, one) => (one.milliseconds < best.milliseconds ? one : best));
}

test('every problem of a pipeline is told at once', () => {
  const rows = extract(shop, orders, { since: 'nowhere' as never });
  const forgotten = sql(shop, 'select 1');
  const target = shop.table(table('copy', { id: text(), colour: text() }), { mode: 'append' });
  const made = pipeline({
    name: 'p',
    steps: { rows, 'not a name': sql(shop, 'select 2', { after: [forgotten] }), copied: load(rows, target as never) },
  });
  expect(() => compile(made)).toThrow(/since "nowhere"/);
  expect(() => compile(made)).toThrow(/"not a name"/);
  expect(() => compile(made)).toThrow(/"total" has no place/);
  expect(() => compile(made)).toThrow(/Nothing fills column "colour"/);
});
