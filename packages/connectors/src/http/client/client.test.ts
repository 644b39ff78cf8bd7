import { createHmac } from 'node:crypto';
import { int4, secret, table } from '@millrace/core';
import type { Context } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterEach, expect, test } from 'vitest';
import { type ApiServer, type ApiServerOptions, apiServer, type SeenRequest } from '../../../../../test/api-server.ts';
import { readAll } from '../../../test/read.ts';
import { apiKey, basic, bearer, clientCredentials, custom, type HttpAuth, type HttpOptions, http, linkHeader, nextUrl } from '../index.ts';
import { Pace } from './pace.ts';

const numbers = table('numbers', { id: int4() }, { key: ['id'] });
const records = () => Array.from({ length: 25 }, (_, at) => `{"id":${at + 1}}`);

const servers: ApiServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});
const start = async (options: Partial<ApiServerOptions> = {}) => {
  const server = await apiServer({ records, ...options });
  servers.push(server);
  return server;
};
const api = (server: ApiServer, options: Partial<HttpOptions> = {}) =>
  http({ url: server.url, retry: { attempts: 3, delay: '1ms', longestWait: '2s' }, ...options });
const read = (server: ApiServer, options: Partial<HttpOptions> = {}, context: Context = testContext()) =>
  readAll(api(server, options).rows('link', numbers, { pages: linkHeader() }), {}, context);
/** Everything that a person may come to see of a failed read. */
const failure = async (reading: Promise<unknown>): Promise<{ code: string; message: string; text: string }> => {
  const error = await reading.then(
    () => null,
    (error: unknown) => error as Error & { code: string; remedy: string; facts: unknown },
  );
  if (!error) throw new Error('it did not fail');
  const { code, message, remedy, facts, stack, cause } = error;
  return { code, message, text: JSON.stringify([code, message, remedy, facts, stack, String(cause)]) };
};

const token = (request: SeenRequest): string | undefined => request.headers.authorization;
const signed: HttpAuth = custom(async ({ method, url }, { secret: lookUp }) => ({
  'X-Signature': createHmac('sha256', await lookUp(secret('SIGNING_KEY')))
    .update(`${method} ${url.pathname}${url.search}`)
    .digest('hex'),
}));

test.each<[string, HttpAuth, (request: SeenRequest) => boolean]>([
  ['basic', basic('anna', secret('P:Ä')), (request) => token(request) === `Basic ${Buffer.from('anna:P:Ä').toString('base64')}`],
  ['a token', bearer(secret('TOKEN')), (request) => token(request) === 'Bearer TOKEN'],
  ['a key in a header', apiKey({ header: 'X-Api-Key' }, secret('KEY')), ({ headers }) => headers['x-api-key'] === 'KEY'],
  ['a key in the query', apiKey({ query: 'key' }, secret('K Y&')), ({ target }) => target.includes('key=K+Y%26')],
  [
    'a signature',
    signed,
    ({ method, target, headers }) =>
      headers['x-signature'] === createHmac('sha256', 'SIGNING_KEY').update(`${method} ${target}`).digest('hex'),
  ],
])('%s goes with every request, and every page is read', async (_, auth, allows) => {
  const server = await start({ allows });
  expect((await read(server, { auth })).rows).toHaveLength(25);
  const refused = await failure(read(server, { auth: bearer('wrong-token-1') }));
  expect(refused.code).toBe('AUTHENTICATION_FAILED');
  expect(refused.text).not.toContain('wrong-token-1');
});

/** An API with OAuth 2; tokens are good for one listing. */
const oauth = (good: { token: string; given: number }, more: Partial<ApiServerOptions> = {}) =>
  start({
    allows: ({ headers }) => headers.authorization === `Bearer ${good.token}`,
    answer({ target, headers, body }, response) {
      if (target !== '/token') return false;
      const form = new URLSearchParams(body);
      const [id, password] = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64')
        .toString()
        .split(':')
        .map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
      const known = (form.get('client_id') ?? id) === 'my client' && (form.get('client_secret') ?? password) === 's+cret/1';
      if (!known || form.get('grant_type') !== 'client_credentials') {
        response.writeHead(400).end('{"error":"invalid_client"}');
        return true;
      }
      good.token = `token-${++good.given}-${form.get('scope')}`;
      response.end(JSON.stringify({ access_token: good.token, token_type: 'bearer', expires_in: 3600 }));
      return true;
    },
    ...more,
  });
const client = (server: ApiServer, more: object = {}) =>
  clientCredentials({ tokenUrl: `${server.url}token`, clientId: 'my client', clientSecret: secret('s+cret/1'), scope: 'read', ...more });

test.each(['basic', 'body'] as const)('OAuth 2: a token is asked for once (%s), and again when it is refused', async (sends) => {
  const good = { token: '', given: 0 };
  const server = await oauth(good);
  const auth = client(server, { sends });
  expect((await read(server, { auth })).rows).toHaveLength(25);
  expect((await read(server, { auth })).rows).toHaveLength(25);
  expect(good.given).toBe(1);
  good.token = 'revoked';
  expect((await read(server, { auth })).rows).toHaveLength(25);
  expect(good.given).toBe(2);
});

test('OAuth 2: a token that has expired is not sent, and two readers ask for one together', async () => {
  const good = { token: '', given: 0 };
  const server = await oauth(good);
  const auth = client(server);
  let now = Date.now();
  const context = () => testContext({ now: () => new Date(now) });
  await Promise.all([read(server, { auth }, context()), read(server, { auth }, context())]);
  expect(good.given).toBe(1);
  now += 3_600_000;
  await read(server, { auth }, context());
  expect(good.given).toBe(2);
});

test('OAuth 2: a client that is refused is told so, without its secret', async () => {
  const server = await oauth({ token: '', given: 0 });
  const refused = await failure(read(server, { auth: client(server, { clientSecret: secret('not-the-secret') }) }));
  expect(refused).toMatchObject({ code: 'AUTHENTICATION_FAILED', message: expect.stringContaining('invalid_client') });
  expect(refused.text).not.toMatch(/not-the-secret/);
});

test('a secret that was changed meanwhile is looked up anew', async () => {
  let current = 'old-token';
  const server = await start({ allows: (request) => token(request) === 'Bearer new-token' });
  const context = testContext({
    async secret(_, refused) {
      if (refused === 'old-token') current = 'new-token';
      return current;
    },
  });
  expect((await read(server, { auth: bearer(secret('TOKEN')) }, context)).rows).toHaveLength(25);
});

const credentials: readonly (readonly [string, Partial<HttpOptions>])[] = [
  ['a token', { auth: bearer(secret('travelling-secret')) }],
  ['a key in the query', { auth: apiKey({ query: 'key' }, secret('travelling-secret')) }],
  ['a header of the connection', { headers: { 'X-Tenant': secret('travelling-secret') } }],
];

test.each(credentials)('%s does not travel with a redirect to another host', async (_, options) => {
  const other = await start();
  let isEchoing = false;
  const server = await start({
    answer: ({ target }, response) =>
      !!response.writeHead(302, { location: `${other.url}link${isEchoing ? new URL(target, server.url).search : ''}` }).end(),
  });
  const refused = await failure(read(server, options));
  expect(refused).toMatchObject({ code: 'REMOTE_REFUSED', message: expect.stringContaining('Nothing was sent there') });
  expect(refused.text).not.toContain('travelling-secret');
  expect(other.requests).toEqual([]);

  // Listed, it is asked, and told nothing.
  const { host } = new URL(other.url);
  await read(server, { ...options, hosts: [host] }).catch(() => {});
  isEchoing = true;
  await read(server, { ...options, hosts: [host] }).catch(() => {});
  expect(other.requests.length).toBeGreaterThan(0);
  expect(JSON.stringify(other.requests)).not.toContain('travelling-secret');
  expect(JSON.stringify(server.requests)).toContain('travelling-secret');
});

test.each(credentials)('%s does not travel with a next link to another host', async (_, options) => {
  const other = await start();
  const server = await start({ answer: (_request, response) => !!response.end(`{"data":[{"id":1}],"next":"${other.url}single"}`) });
  const rows = (more: Partial<HttpOptions>) =>
    readAll(api(server, { ...options, ...more }).rows('x', numbers, { records: 'data', pages: nextUrl('next') }), {}, testContext());
  const refused = await failure(rows({}));
  expect(refused.code).toBe('REMOTE_REFUSED');
  expect(refused.text).not.toContain('travelling-secret');
  expect(other.requests).toEqual([]);
  await rows({ hosts: [new URL(other.url).host] }).catch(() => {});
  expect(JSON.stringify(other.requests)).not.toContain('travelling-secret');
});

test('a redirect within the place is followed with credentials, a few times', async () => {
  let redirects = 1;
  const server = await start({
    allows: (request) => token(request) === 'Bearer TOKEN',
    answer({ target }, response) {
      if (target.startsWith('/link') || redirects-- <= 0) return false;
      response.writeHead(308, { location: redirects > 0 ? '/again' : '/link' }).end();
      return true;
    },
  });
  const rows = () =>
    readAll(api(server, { auth: bearer(secret('TOKEN')) }).rows('old', numbers, { pages: linkHeader() }), {}, testContext());
  expect((await rows()).rows).toHaveLength(25);
  redirects = 100;
  await expect(rows()).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
});

test('what an API says of a request is told, without what it repeats of our secrets', async () => {
  const server = await start({
    answer: ({ headers, target }, response) =>
      !!response.writeHead(422).end(`no such tenant: ${headers.authorization} ${decodeURIComponent(target)} ${target}`),
  });
  const refused = await failure(read(server, { auth: bearer(secret('a/secret+token')) }));
  expect(refused).toMatchObject({ code: 'REMOTE_REFUSED', message: expect.stringContaining('no such tenant: Bearer ***') });
  expect(refused.text).not.toContain('secret+token');
  const byKey = await failure(read(server, { auth: apiKey({ query: 'key' }, secret('a/secret+token')) }));
  expect(byKey.text).not.toMatch(/secret(\+|%2B)token/);
});

test('what an API says is one line, and nothing that a terminal would obey', async () => {
  const server = await start({
    answer: (_request, response) => !!response.writeHead(400).end(`no\r\n\u001b[2Jway\u202e\u0007 ${'!'.repeat(9_000)}`),
  });
  const { message } = await failure(read(server));
  expect(message).toContain('(400): no [2Jway !!!');
  expect(message.length).toBeLessThan(600);
});

test('what an API repeats of a long token is not told, though its answer is cut', async () => {
  const jwt = `eyJhbGciOiJIUzI1NiJ9.${'payload'.repeat(300)}`;
  const server = await start({
    answer: ({ headers }, response) => !!response.writeHead(401).end(`invalid token ${headers.authorization}`),
  });
  const refused = await failure(read(server, { auth: bearer(secret(jwt)) }));
  expect(refused.message).toContain('invalid token Bearer ***');
  expect(refused.text).not.toContain('payload');
});

test('a token that another reader has asked for is not told either', async () => {
  const good = { token: '', given: 0 };
  let isOut = false;
  const server = await oauth(good, {
    allows: ({ headers }) => !isOut && headers.authorization === `Bearer ${good.token}`,
  });
  const auth = client(server, { scope: 'shared-by-two' });
  await read(server, { auth });
  isOut = true;
  const repeating = await start({
    answer: ({ headers }, response) => !!response.writeHead(403).end(`not with ${headers.authorization}`),
  });
  const refused = await failure(read(repeating, { auth }));
  expect(refused.message).toContain('not with Bearer ***');
  expect(refused.text).not.toContain(good.token);
  expect(good.given).toBe(1);
});

test('what a signature was made with, and what came of it, is not told', async () => {
  const auth = custom(async (_, { secret: lookUp }) => ({ 'X-Signed': `made-of-${await lookUp(secret('SIGNING_KEY'))}-at-home` }));
  const server = await start({
    answer: ({ headers }, response) => !!response.writeHead(400).end(`SIGNING_KEY gives ${headers['x-signed']}`),
  });
  const refused = await failure(read(server, { auth }));
  expect(refused.message).toContain('*** gives ***');
  expect(refused.text).not.toContain('made-of');
});

test('a secret that no header can hold is named by its header', async () => {
  const server = await start();
  const refused = await failure(read(server, { auth: bearer(secret('token-of-a-file\n')) }));
  expect(refused).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('authorization') });
  expect(refused.text).not.toContain('token-of-a-file');
});

test('what a redirect goes on to say does not hold up what it leads to', async () => {
  const server = await start({
    answer({ target }, response) {
      if (!target.startsWith('/link?endless')) return false;
      response.writeHead(302, { location: '/link' });
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', more);
      more();
      return true;
    },
  });
  expect((await readAll(api(server).rows('link?endless', numbers, { pages: linkHeader() }), {}, testContext())).rows).toHaveLength(25);
});

test.each([
  [{ 'retry-after': '3600' }, 429],
  [{ 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }, 503],
])('a wait that is longer than an attempt may wait ends it at once: %j', async (headers, status) => {
  const server = await start();
  server.fail({ kind: 'status', status, headers }, { times: 10 });
  const refused = await failure(read(server));
  expect(refused.message).toMatch(/come back in 3\d{3} s/);
  expect(server.requests).toHaveLength(1);
});

test('no more requests begin within a time than the rate says', async () => {
  let now = 0;
  const slept: number[] = [];
  const pace = new Pace(2, 100, {
    now: () => now,
    async sleep(ms) {
      slept.push(ms);
      now += ms;
    },
  });
  const { signal } = new AbortController();
  const begun = await Promise.all(Array.from({ length: 5 }, () => pace.turn(signal).then(() => now)));
  expect(begun).toEqual([0, 0, 100, 100, 200]);
  now = 1_000;
  for (let more = 0; more < 2; more++) await pace.turn(signal);
  expect(slept).toEqual([100, 100]);
});

test('the rate holds for all requests of a connection', async () => {
  const server = await start();
  const paced = api(server, { rate: { requests: 1, per: '1h' } });
  const stop = new AbortController();
  const context = testContext({ signal: stop.signal });
  const reading = readAll(paced.rows('link', numbers, { pages: linkHeader() }), {}, context);
  await expect.poll(() => server.requests.length).toBe(1);
  const waiting = readAll(paced.rows('single', numbers), {}, context);
  stop.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  await expect(waiting).rejects.toThrow('enough');
  expect(server.requests).toHaveLength(1);
});

test('a read that is stopped stops where it waits', async () => {
  const server = await start();
  server.fail({ kind: 'status', status: 429, headers: { 'retry-after': '60' } }, { times: 10 });
  const stop = new AbortController();
  const reading = read(server, { retry: { longestWait: '5m' } }, testContext({ signal: stop.signal }));
  setTimeout(() => stop.abort(new Error('enough')), 50);
  await expect(reading).rejects.toThrow('enough');
});

test('an answer that is silent for too long is given up', async () => {
  const server = await start({ answer: (_request, response) => response.writeHead(200).write('[') });
  await expect(read(server, { timeout: '50ms', retry: { attempts: 2, delay: '1ms' } })).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
  });
  expect(server.requests).toHaveLength(2);
});

test.each([
  ['ftp://api.example.com/', /http or https/],
  ['https://anna:secret-word@api.example.com/', /user or a password/],
  ['https://api.example.com/?key=secret-word', /a query/],
])('%s is no place of an API', async (url, message) => {
  const refused = await failure(readAll(http({ url }).rows('x', numbers), {}, testContext()));
  expect(refused).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) });
  expect(refused.text).not.toContain('secret-word');
});

test('plans name secrets, and hold none', () => {
  const { description, connection } = http({
    url: 'https://anna:secret-word@api.example.com/?key=secret-word',
    auth: bearer('secret-word'),
    headers: { 'X-Tenant': 'secret-word' },
  }).rows('x', numbers, { headers: { 'X-More': 'secret-word' } });
  expect(JSON.stringify([description, connection])).not.toContain('secret-word');
});

test('doctor says whether the API answers and takes the credentials', async () => {
  const server = await start({ allows: (request) => token(request) === 'Bearer TOKEN' });
  const examined = async (auth: HttpAuth) =>
    (await api(server, { auth }).examine(testContext())).map(({ level, error }) => [level, error?.code]);
  expect(await examined(bearer('TOKEN'))).toEqual([['ok', undefined]]);
  expect(await examined(bearer('wrong'))).toEqual([['problem', 'AUTHENTICATION_FAILED']]);
});
