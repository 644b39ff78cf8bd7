import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const files = mkdtempSync(join(tmpdir(), 'millrace-dms-'));
let dms: { env: Record<string, string>; close(): void };
beforeAll(async () => {
  const { standIn } = await import('./stand-in.mjs');
  dms = await standIn(files);
});
afterAll(() => dms.close());

const { databases, must } = example(import.meta.url, ['SHOP_URL', 'MIRROR_URL'], () => ({
  ...dms.env,
  FILES_URL: `file:${files}`,
}));

test('what DMS has written of a shop becomes its mirror, once', async () => {
  await must('run', 'seed');
  for (let round = 0; round < 2; round++) await must('run', 'dms-capture', '--until', 'caught-up');
  const verified = await must('verify', 'dms-capture', '--json');
  expect(verified.json()[0]).toMatchObject({ equal: true });
  const rows = await databases['MIRROR_URL']?.sql('select id::int, status, note from shop.orders order by id');
  expect(rows).toEqual([
    { id: 10, status: 'paid', note: 'ring twice' },
    { id: 11, status: 'placed', note: null },
    { id: 13, status: 'placed', note: 'two lines,\nand a comma' },
  ]);
});
