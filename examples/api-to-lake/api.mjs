import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * The API of a shop, as APIs are: it wants a token, answers a page at a time, is busy now and then and cuts an answer off.
 *
 * @param {{ orders: number, products: number }} count
 */
export async function shopApi(count) {
  const token = 'a-token-of-the-shop';
  const orders = Array.from({ length: count.orders }, (_, at) => order(at + 1, new Date(Date.UTC(2026, 0, 1) + at * 60_000)));
  let requests = 0;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://shop');
    if (request.headers.authorization !== `Bearer ${token}`) return void response.writeHead(401).end('{"error":"no token"}');
    requests++;
    if (requests % 7 === 3) return void response.writeHead(429, { 'retry-after': '0' }).end();
    const body = pathname === '/orders' ? ordersPage(searchParams) : pathname === '/products' ? productsPage(searchParams) : null;
    if (body === null) return void response.writeHead(404).end();
    const cut = requests % 7 === 5;
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    if (cut) response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
    else response.end(body);
  });

  /** @param {URLSearchParams} parameters */
  function ordersPage(parameters) {
    const since = parameters.get('updated_since') ?? '';
    const changed = orders.filter(({ updated_at }) => updated_at >= since).sort((a, b) => (a.updated_at < b.updated_at ? -1 : 1));
    const from = Number(parameters.get('cursor') ?? 0);
    const to = from + Math.min(Number(parameters.get('limit') ?? 100), 100);
    return JSON.stringify({ data: changed.slice(from, to), meta: { next_cursor: to < changed.length ? String(to) : null } });
  }

  /** @param {URLSearchParams} parameters */
  function productsPage(parameters) {
    const from = (Number(parameters.get('page') ?? 1) - 1) * 20;
    const all = Array.from({ length: count.products }, (_, at) => ({
      sku: `P${at + 1}`,
      name: `Product ${at + 1}`,
      price: `${at + 1}.90`,
    }));
    return JSON.stringify({ total: all.length, items: all.slice(from, from + 20) });
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    env: { SHOP_API_URL: `http://127.0.0.1:${port}/`, SHOP_API_TOKEN: token },
    /** Somebody orders something. @param {number} more */
    trade(more) {
      for (let at = 0; at < more; at++) orders.push(order(orders.length + 1, new Date()));
    },
    close: () => server.close(),
  };
}

/**
 * @param {number} id
 * @param {Date} at
 */
function order(id, at) {
  const lines = Array.from({ length: id % 3 }, (_, place) => ({
    place: place + 1,
    sku: `P${((id + place) % 50) + 1}`,
    quantity: place + 1,
  }));
  return {
    id,
    customer: { id: 1000 + (id % 10) },
    shipping: id % 4 === 0 ? null : { city: ['Oslo', 'Bern', '京都'][id % 3] },
    total: (id * 110) / 100,
    lines,
    updated_at: at.toISOString(),
  };
}
