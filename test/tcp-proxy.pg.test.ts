import pg from 'pg';
import { expect, test } from 'vitest';
import { testDatabase } from './postgres.ts';
import { startTcpProxy } from './tcp-proxy.ts';

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

test('a cut ends the query under way, and the next connection works', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  const client = await connected(proxy.through(database.url));
  const query = client.query('select pg_sleep(20)');
  setTimeout(() => proxy.cut(), 50);
  await expect(query).rejects.toThrow();
  const again = await connected(proxy.through(database.url));
  expect((await again.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await again.end();
});

test('a cut after so many bytes comes in the middle of a result', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  proxy.cutAfter(1_000_000);
  const client = await connected(proxy.through(database.url));
  await expect(client.query('select repeat($1, 1000) as wide from generate_series(1, 5000)', ['x'])).rejects.toThrow();
  const again = await connected(proxy.through(database.url));
  expect((await again.query('select repeat($1, 1000) as wide from generate_series(1, 5000)', ['x'])).rows).toHaveLength(5000);
  await again.end();
});

test('a stalled line is silent, and loses nothing when it resumes', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  const client = await connected(proxy.through(database.url));
  proxy.stall();
  const query = client.query('select sum(n)::text as sum from generate_series(1, 100000) n');
  const first = await Promise.race([query, new Promise((resolve) => setTimeout(resolve, 200, 'silence'))]);
  expect(first).toBe('silence');
  proxy.resume();
  expect((await query).rows).toEqual([{ sum: '5000050000' }]);
  await client.end();
});

test('a half-closed line ends the connection for its reader', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  const client = await connected(proxy.through(database.url));
  const query = client.query('select pg_sleep(20)');
  setTimeout(() => proxy.halfClose(), 50);
  await expect(query).rejects.toThrow(/terminated/);
});

test('a refused connection fails at once', async () => {
  await using database = await testDatabase();
  await using proxy = await startTcpProxy(database.url);
  proxy.refuse(true);
  await expect(connected(proxy.through(database.url))).rejects.toThrow();
});
