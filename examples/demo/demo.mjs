// npm run demo: nightly-orders on an embedded Postgres: a whole run, a run that is killed and resumed, an incremental one, and the proof.
// Then shop-mirror: a busy shop is followed by a mirror whose worker is killed twice, and the proof.
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import { commands, stopAll } from './command.mjs';
import { mirrored } from './mirror.mjs';
import { report } from './report.mjs';
import { alone, changedOrders, dropDatabases, newOrders } from './shop.mjs';

const { answer, killedWhen, millrace } = commands('.');
const orders = 500_000;
const folder = fileURLToPath(new URL('./.millrace', import.meta.url));
const started = performance.now();
const stop = new AbortController();
process.on('SIGINT', () => stop.abort()).on('SIGTERM', () => stop.abort());
stop.signal.addEventListener('abort', stopAll);

/** @param {string} text */
const title = (text) => console.log(`\n━━ ${text} (${((performance.now() - started) / 1000).toFixed(1)} s)`);

/** @param {Promise<number>} code @param {string} what */
async function mustSucceed(code, what) {
  const got = await code;
  if (got !== 0) throw new Error(`${what} ended with exit code ${got}.`);
}

/** @param {string} server */
async function demo(server) {
  await dropDatabases(server, ['shop', 'warehouse', 'millrace']);
  rmSync(`${folder}/lake`, { recursive: true, force: true });
  const shop = await createDatabase(server, 'shop');

  title(`a shop of ${orders.toLocaleString('en')} orders, with awkward values in them`);
  await mustSucceed(millrace('run', 'seed', '--param', `orders=${orders}`), 'The seed');

  title('the first run: everything');
  await mustSucceed(millrace('plan', 'nightly-orders'), 'The plan');
  await mustSucceed(millrace('run', 'nightly-orders'), 'The first run');

  title('the shop goes on: 150,000 new orders, 100,000 changed ones. The second run is killed in the middle');
  await newOrders(shop, orders + 1, orders + 150_000);
  await changedOrders(shop, 5);
  const killed = await killedWhen(
    ['run', 'nightly-orders'],
    (event) => event.type === 'progress' && event.phase === 'moving' && event.rows >= 50_000,
  );
  console.log(`SIGKILL to the process group, with ${killed.rows.toLocaleString('en')} rows of stage "${killed.stage}" on their way.`);

  title('resumed: the same run, and nothing twice');
  await mustSucceed(millrace('run', 'nightly-orders'), 'The resumed run');

  title('a third run: only what has changed since');
  await changedOrders(shop, 25);
  await mustSucceed(millrace('run', 'nightly-orders'), 'The third run');

  title('what moved');
  const { runs } = await answer('runs', 'list', '--pipeline', 'nightly-orders');
  console.log(report(await Promise.all(runs.reverse().map((/** @type {any} */ { id }) => answer('runs', 'show', id)))));

  title('verify: the source against the lake and the warehouse, row by row');
  await mustSucceed(millrace('verify', 'nightly-orders'), 'verify');

  await mirrored(server, { title, mustSucceed, folder });
  title('done');
}

title('an embedded Postgres, with an empty shop and an empty warehouse');
const server = await embeddedPostgres({ directory: `${folder}/postgres`, signal: stop.signal });
try {
  if (!(await alone(server.url, () => demo(server.url)))) {
    console.error('\nAnother demo is running in this folder. Run this one when it is done, or stop it first.');
    process.exitCode = 75;
  }
} catch (error) {
  if (!stop.signal.aborted) console.error(`\nThe demo failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = stop.signal.aborted ? 130 : 1;
} finally {
  await server[Symbol.asyncDispose]();
}
