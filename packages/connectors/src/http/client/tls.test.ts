import { int4, table } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ApiServer, type ApiServerOptions, apiServer } from '../../../../../test/api-server.ts';
import { certificates } from '../../../test/certificates.ts';
import { readAll } from '../../../test/read.ts';
import { clientCredentials, type HttpOptions, http, nextUrl } from '../index.ts';

const made = certificates();
beforeEach((context) => {
  if (!made) context.skip('openssl is not installed here');
});
const {
  authority,
  server: identity,
  client,
} = made ?? { authority: '', server: { key: '', certificate: '' }, client: { key: '', certificate: '' } };

const numbers = table('numbers', { id: int4() }, { key: ['id'] });
const servers: ApiServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});
const start = async (options: Partial<ApiServerOptions> = {}, isSecure = true) => {
  const tls = { key: identity.key, cert: identity.certificate, ca: authority };
  const server = await apiServer({ records: () => ['{"id":1}'], ...(isSecure && { tls }), ...options });
  servers.push(server);
  return server;
};
const read = (server: ApiServer, options: Partial<HttpOptions> = {}) =>
  readAll(
    http({ url: server.url, retry: { attempts: 2, delay: '1ms' }, ...options }).rows('next-url', numbers, {
      records: 'data',
      pages: nextUrl('links.next'),
    }),
    {},
    testContext(),
  );
const known = { ca: authority, cert: client.certificate, key: client.key };

test('a server is believed whose certificate an authority that is known has signed', async () => {
  const server = await start();
  await expect(read(server)).rejects.toMatchObject({ code: 'CERTIFICATE_REFUSED', remedy: expect.stringContaining('tls: { ca') });
  expect(server.requests).toEqual([]);
  expect((await read(server, { tls: { ca: authority } })).rows).toEqual([{ id: 1 }]);
  expect(server.requests[0]?.client).toBe(null);
  expect((await read(server, { tls: known })).rows).toEqual([{ id: 1 }]);
  expect(server.requests[1]?.client).toBe('client');
});

test('a certificate of the client is not shown to another host', async () => {
  const other = await start();
  const server = await start({ answer: (_request, response) => !!response.writeHead(302, { location: `${other.url}next-url` }).end() });
  expect((await read(server, { tls: known, hosts: [new URL(other.url).host] })).rows).toEqual([{ id: 1 }]);
  expect([server.requests[0]?.client, other.requests[0]?.client]).toEqual(['client', null]);
});

test('nothing leads from https to http', async () => {
  const open = await start({}, false);
  const server = await start({ answer: (_request, response) => !!response.writeHead(302, { location: `${open.url}next-url` }).end() });
  const hosts = [new URL(open.url).host];
  await expect(read(server, { tls: known, hosts })).rejects.toMatchObject({
    code: 'REMOTE_REFUSED',
    message: expect.stringContaining('not encrypted'),
  });
  const auth = clientCredentials({ tokenUrl: `${open.url}token`, clientId: 'me', clientSecret: 'a-secret-word' });
  await expect(read(server, { tls: known, auth })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('tokenUrl'),
  });
  expect(open.requests).toEqual([]);
});
