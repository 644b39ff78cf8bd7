import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { example } from '../../packages/cli/test/example.ts';

const lake = mkdtempSync(join(tmpdir(), 'millrace-lake-'));
const { databases, must, start } = example(import.meta.url, ['SHOP_URL', 'MIRROR_URL'], () => ({
  LAKE_URL: `file:${lake}`,
  PII_SALT: 'salt',
}));
const shop = (text: string) => databases['SHOP_URL']?.sql(text);
const mirror = (text: string) => databases['MIRROR_URL']?.sql(text);
const ordersOf = 'count(*)::int as orders, sum(hashtextextended(o::text, 0))::text as sum';

test('a busy shop is mirrored, masked; killed twice in the middle it goes on, and nothing is lost or doubled', async () => {
  await must('run', 'seed');
  const busy = shop('call public.trade(3000)');
  for (let kill = 0; kill < 2; kill++) {
    const running = start('run', 'shop-mirror', '--json');
    await running.said('"phase":"streaming"');
    process.kill(-(running.process.pid as number), 'SIGKILL');
    expect((await running.ended).signal).toBe('SIGKILL');
  }
  await busy;
  await must('run', 'shop-mirror', '--until', 'caught-up');

  expect(await mirror(`select ${ordersOf} from shop.orders o`)).toEqual(await shop(`select ${ordersOf} from public.orders o`));
  expect(await mirror("select count(*)::int as unmasked from shop.customers where email like '%@%' or phone like '+%'")).toEqual([
    { unmasked: 0 },
  ]);
  const verified = await must('verify', 'shop-mirror', '--json');
  expect(verified.json()[0]).toMatchObject({ equal: true });
});
