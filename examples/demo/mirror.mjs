// The second act: a busy shop is mirrored, masked, and its worker is killed twice.
import { rmSync } from 'node:fs';
import { createDatabase } from '@millrace/cli/embedded';
import { commands } from './command.mjs';
import { dropDatabases, inDatabase, traffic } from './shop.mjs';

const orders = 20_000;

/**
 * @param {string} server
 * @param {{ title: (text: string) => void, mustSucceed: (code: Promise<number>, what: string) => Promise<void>, folder: string }} stage
 */
export async function mirrored(server, { title, mustSucceed, folder }) {
  await dropDatabases(server, ['live', 'mirror', 'mirror_state']);
  rmSync(`${folder}/mirror-lake`, { recursive: true, force: true });
  const live = await createDatabase(server, 'live');
  const mirror = await createDatabase(server, 'mirror');
  const { millrace, killedWhen } = commands('mirror', {
    SHOP_URL: live,
    MIRROR_URL: mirror,
    LAKE_URL: `file:${folder}/mirror-lake`,
    PII_SALT: 'of the demo',
    MILLRACE_STATE_URL: await createDatabase(server, 'mirror_state'),
  });

  title(`act two: another shop, of ${orders.toLocaleString('en')} orders, and its customers never stop`);
  await mustSucceed(millrace('run', 'seed', '--param', `orders=${orders}`), 'The seed');
  const shop = traffic(live);
  try {
    title('a mirror and a change log follow it, e-mail addresses and phone numbers masked. The worker is killed, twice');
    for (const changes of [500, 2000]) {
      const killed = await killedWhen(
        ['run', 'shop-mirror'],
        (event) => event.type === 'progress' && event.phase === 'streaming' && event.stream?.changes >= changes,
      );
      console.log(`SIGKILL to the process group, after ${killed.stream.changes.toLocaleString('en')} changes, with more on their way.`);
    }
  } finally {
    await shop.closed();
  }

  title(`the shop has closed after ${shop.transactions.toLocaleString('en')} transactions: the mirror catches up`);
  await mustSucceed(millrace('run', 'shop-mirror', '--until', 'caught-up'), 'The mirror');
  await mustSucceed(millrace('status', 'shop-mirror'), 'status');

  title('verify: the shop against its mirror, through the masks, row by row');
  await mustSucceed(millrace('verify', 'shop-mirror'), 'verify');
  const unmasked = await inDatabase(mirror, (client) =>
    client.query("select count(*)::int as count from shop.customers where email like '%@%' or phone like '+%'"),
  );
  console.log(`${unmasked.rows[0].count} e-mail addresses or phone numbers in the mirror.`);
  if (unmasked.rows[0].count > 0) throw new Error('The mirror holds what should have been masked.');
}
