import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { shopApi } from './api.mjs';

const shop = await shopApi({ orders: 1_000, products: 50 });
for (const round of ['everything', 'what is new']) {
  console.log(`\n# ${round}`);
  const child = spawn('millrace', ['run', 'api-to-lake'], { stdio: 'inherit', env: { ...process.env, ...shop.env } });
  const [code] = await once(child, 'exit');
  process.exitCode = code;
  if (code !== 0) break;
  shop.trade(10);
  await sleep(1_000);
}
shop.close();
