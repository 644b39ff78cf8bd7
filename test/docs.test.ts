import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

/*
 * What stands in the documentation compiles. The TypeScript blocks of a page are one module, in order, so a later block may
 * use what an earlier one has made; a block that opens with a comment "…" is left out as a fragment.
 */

const root = join(import.meta.dirname, '..');
mkdirSync(join(root, '.millrace', 'test'), { recursive: true });
const folder = mkdtempSync(join(root, '.millrace', 'test', 'docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The README shows a pipeline without the lines that every file begins with. */
const preludes: Readonly<Record<string, string>> = {
  'README.md': `import { postgres } from '@millrace/connectors/postgres';
import { redshift } from '@millrace/connectors/redshift';
import { s3 } from '@millrace/connectors/s3';
import { capture, daily, date, extract, int8, load, numeric, pipeline, run, type RowOf, secret, table, text, timestamptz } from '@millrace/core';
import { call, hash, map, mask, redact } from '@millrace/transforms';
const shopOrders = table('orders', { id: int8(), total: numeric(12, 2), currency: text(), updated_at: timestamptz() }, { key: ['id'] });
const orderFact = table('order_fact', { order_id: int8(), total: numeric(12, 2), day: date() }, { key: ['order_id'] });
const customers = table('customers', { id: int8(), email: text(), phone: text() }, { key: ['id'] });
const mirror = postgres({ url: secret('MIRROR_URL') });
const toFact = (order: RowOf<typeof shopOrders>) => ({ order_id: order.id, total: order.total, day: order.updated_at.slice(0, 10) });
`,
};

const pagesIn = (folder: string): string[] =>
  readdirSync(join(root, folder)).flatMap((name) => (name.endsWith('.md') ? [join(folder, name)] : []));
const pages = ['README.md', ...pagesIn('docs'), ...pagesIn('docs/connectors')];

test('every TypeScript block of the documentation compiles', () => {
  const files = pages.flatMap((page) => {
    const blocks = [...readFileSync(join(root, page), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code as string);
    const whole = blocks.filter((code) => !code.startsWith('// …')).join('\n');
    if (whole === '') return [];
    const file = join(folder, `${page.replaceAll(/\W/g, '_')}.ts`);
    writeFileSync(file, `${preludes[page] ?? ''}${whole}\nexport {};\n`);
    return [file];
  });
  expect(files.length).toBeGreaterThan(0);
  const config = join(folder, 'tsconfig.json');
  writeFileSync(config, JSON.stringify({ extends: '../../../tsconfig.test.json', include: files, exclude: [] }));
  const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config, '--pretty', 'false'], {
    cwd: root,
    encoding: 'utf8',
  });
  const errors = tsc.stdout.split('\n').filter((line) => line.includes('docs-'));
  expect(errors).toEqual([]);
}, 120_000);
