// The shop's own life, between the runs: customers order, orders change.
import pg from 'pg';

/**
 * The pipeline leaves the last five minutes alone (`lag: '5m'`), so that late commits are not missed. The demo has no five
 * minutes: what happens in its shop happens five minutes ago.
 */
const now = "clock_timestamp() - interval '5 minutes'";

/** @template T @param {string} url @param {(client: pg.Client) => Promise<T>} work */
export async function inDatabase(url, work) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * Does the work while no other demo does: they share the folder and the server. False where another one runs, which may end in any way.
 * @param {string} server @param {() => Promise<void>} work
 */
export function alone(server, work) {
  return inDatabase(server, async (client) => {
    const { rows } = await client.query("select pg_try_advisory_lock(hashtext('millrace demo')) as mine");
    if (rows[0].mine) await work();
    return rows[0].mine === true;
  });
}

/** @param {string} server @param {string[]} names */
export function dropDatabases(server, names) {
  return inDatabase(server, async (client) => {
    for (const name of names) await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
  });
}

/** @param {string} shop @param {number} from @param {number} to */
export function newOrders(shop, from, to) {
  return inDatabase(shop, (client) =>
    client.query(`insert into public.orders select id, customer_id, total, currency, note, ${now} from public.make_orders($1, $2, now())`, [
      from,
      to,
    ]),
  );
}

/** Every n-th order is paid a little more. @param {string} shop @param {number} nth */
export function changedOrders(shop, nth) {
  return inDatabase(shop, (client) =>
    client.query(
      `update public.orders set total = total * 0.9, note = coalesce(note, '') || ' (changed)', updated_at = ${now} where id % $1 = 0`,
      [nth],
    ),
  );
}

/**
 * Customers who come and go until the shop is closed, in two sessions at once: see `public.trade` of the example.
 * @param {string} shop
 */
export function traffic(shop) {
  let open = true;
  const day = { transactions: 0, closed: async () => {} };
  const session = () =>
    inDatabase(shop, async (client) => {
      while (open) {
        await client.query('call public.trade(50)');
        day.transactions += 50;
      }
    });
  const sessions = Promise.all([session(), session()]);
  sessions.catch(() => {}); // told when the shop closes
  day.closed = async () => {
    open = false;
    await sessions;
  };
  return day;
}
