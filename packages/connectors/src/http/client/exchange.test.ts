import http from 'node:http';
import https from 'node:https';
import { expect, test } from 'vitest';
import { apiServer } from '../../../../../test/api-server.ts';
import { exchange, InsideAddress, type Wire } from './exchange.ts';

const wire: Wire = { agents: { http: new http.Agent(), https: new https.Agent() }, ca: undefined, silenceMs: 5_000 };
const ask = (url: string, to: 'ours' | 'listed' | 'public') =>
  exchange({ method: 'GET', url: new URL(url), headers: {}, body: null }, wire, new AbortController().signal, to);

test('a host that must be public is not asked where its name or its address is inside', async () => {
  const server = await apiServer({ records: () => [] });
  await using _server = server;
  const { port } = new URL(server.url);
  for (const host of ['localhost', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1'])
    await expect(ask(`http://${host}:${port}/single`, 'public'), host).rejects.toBeInstanceOf(InsideAddress);
  expect(server.requests).toEqual([]);
  for (const to of ['ours', 'listed'] as const) (await ask(`http://127.0.0.1:${port}/single`, to)).resume();
  expect(server.requests).toHaveLength(2);
});
