import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, vi } from 'vitest';
import { freePort } from '../../../../test/free-port.ts';
import { type RedisServerOptions, redisServer } from '../../../../test/redis-server.ts';
import { startTcpProxy } from '../../../../test/tcp-proxy.ts';
import { bullmqDispatch } from './bullmq.ts';
import { checkRedis } from './check-redis.ts';

const secret = 'p%40ss/w0rd'.replace('/', '%2F');

/** The refusal, which must have a remedy and no secret in anything that a log could show. */
async function refusal(check: Promise<unknown>): Promise<{ code: string; text: string }> {
  const error = await check.then(
    () => expect.fail('it was not refused'),
    (refused) => refused,
  );
  expect(error.remedy).toMatch(/\w{3}.*\.$/s);
  const text = `${error.message} ${error.remedy}`;
  for (const shown of [text, JSON.stringify(error), JSON.stringify(error.facts), error.stack, inspected(error)]) {
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(decodeURIComponent(secret));
  }
  return { code: error.code, text };
}

const inspected = (error: Error & { cause?: object }): string =>
  JSON.stringify([...Object.entries(error), ...Object.entries(error.cause ?? {})]) + String(error.cause);

const refused = async (options: RedisServerOptions, more: { prefix?: string } = {}) => {
  await using redis = await redisServer(options);
  return await refusal(checkRedis(redis.url, more));
};

/** What a process says that sends to itself. It ends by itself as soon as it has closed its dispatch. */
async function deliveredByProcess(url: string, environment: Record<string, string>): Promise<string> {
  const script = `
    const { bullmqDispatch } = await import(${JSON.stringify(new URL('./bullmq.ts', import.meta.url).href)});
    const dispatch = await bullmqDispatch({ url: ${JSON.stringify(url)}, queue: 'q' });
    const seen = new Promise((resolve) => dispatch.receive(1, async ({ stage }) => resolve(stage)));
    await dispatch.send([{ run: 'r', stage: 'a' }]);
    console.log(await seen, 'delivered');
    await dispatch[Symbol.asyncDispose]();`;
  const args = ['--conditions=millrace-source', '--import', 'tsx', '--input-type=module', '-e', script];
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 60_000, env: { ...process.env, ...environment } });
  return stdout;
}

/** Something that says it is a Redis. */
async function saying(info: string) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const command of data.toString().match(/\b(hello|client|info|select)\b/gi) ?? []) {
        if (/info/i.test(command)) socket.write(`$${Buffer.byteLength(info)}\r\n${info}\r\n`);
        else if (/hello/i.test(command)) socket.write('-ERR unknown command\r\n');
        else socket.write('+OK\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

it('knows a Redis that fits', async () => {
  await using redis = await redisServer({ settings: { requirepass: 'p@ss/w0rd' } });
  const facts = await checkRedis(redis.url.replace('//', `//:${secret}@`), { prefix: 'no-tag' });
  expect(facts).toMatchObject({ flavour: 'redis', version: expect.stringMatching(/^\d+\.\d+/), cluster: false });
});

it('says what is wrong where it is no address, or nobody is there', async () => {
  for (const url of ['http://localhost', 'localhost:6379', '', `redis:/${secret}`]) {
    expect(await refusal(checkRedis(url))).toMatchObject({ code: 'CONFIG_INVALID' });
  }
  const away = await refusal(checkRedis(`redis://user:${secret}@127.0.0.1:${await freePort()}`));
  expect(away).toMatchObject({ code: 'CONNECTION_FAILED', text: expect.stringContaining('ECONNREFUSED') });
  const unknown = await refusal(checkRedis(`redis://:${secret}@no-such-host.invalid:6379`));
  expect(unknown).toMatchObject({ code: 'CONNECTION_FAILED', text: expect.stringContaining('no-such-host.invalid:6379') });
});

it('gives up where somebody accepts and says nothing', async () => {
  await using redis = await redisServer();
  await using proxy = await startTcpProxy({ host: '127.0.0.1', port: redis.port });
  proxy.stall();
  const begun = performance.now();
  expect(await refusal(checkRedis(proxy.through(redis.url)))).toMatchObject({ code: 'CONNECTION_FAILED' });
  expect(performance.now() - begun).toBeLessThan(20_000);
});

it('says so where a password is missing or wrong, or a user may not enough', async () => {
  await using redis = await redisServer({ settings: { requirepass: 'other', user: 'clerk on >p@ss/w0rd ~* -@all +ping +hello +auth' } });
  const login = (user: string) => refusal(checkRedis(redis.url.replace('//', `//${user}`)));
  expect(await login('')).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  expect(await login(`:${secret}@`)).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  expect(await login(`nobody:${secret}@`)).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
  expect(await login(`clerk:${secret}@`)).toMatchObject({ code: 'ACCESS_DENIED' });
});

it('refuses one that evicts keys', async () => {
  const { code, text } = await refused({ settings: { 'maxmemory-policy': 'allkeys-lru' } });
  expect(code).toBe('REDIS_UNSUITABLE');
  expect(text).toMatch(/allkeys-lru.*noeviction/);
});

it('refuses one that is too old, and takes its twin Valkey for what it is', async () => {
  await using old = await saying('redis_version:6.0.16\r\nmaxmemory_policy:noeviction\r\nrole:master\r\n');
  expect(await refusal(checkRedis(old.url))).toMatchObject({ code: 'REDIS_UNSUITABLE', text: expect.stringMatching(/6\.0\.16.*6\.2/) });
  await using valkey = await saying('redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\nmaxmemory_policy:noeviction\r\n');
  expect(await checkRedis(valkey.url)).toEqual({ flavour: 'valkey', version: '8.1.0', cluster: false });
});

it('refuses a replica, which only reads', async () => {
  await using primary = await redisServer();
  await using replica = await redisServer({ settings: { replicaof: `127.0.0.1 ${primary.port}` } });
  await vi.waitFor(async () => expect(await replica.command('INFO', 'replication')).toContain('master_link_status:up'), {
    timeout: 30_000,
  });
  const { code, text } = await refusal(checkRedis(replica.url));
  expect(code).toBe('REDIS_UNSUITABLE');
  expect(text).toMatch(/replica.*primary/);
});

it('refuses a serverless cache without asking it', async () => {
  const url = `rediss://:${secret}@etl-abc123.serverless.eu-central-1.cache.amazonaws.com:6379`;
  expect(await refusal(checkRedis(url))).toMatchObject({ code: 'REDIS_UNSUITABLE', text: expect.stringContaining('node-based') });
});

it('works in cluster mode, where the prefix must have a tag', async () => {
  const settings = { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' };
  expect(await refused({ settings }, { prefix: 'etl' })).toMatchObject({
    code: 'REDIS_UNSUITABLE',
    text: expect.stringContaining('"{etl}"'),
  });
  await using redis = await redisServer({ settings });
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await vi.waitFor(async () => expect(await redis.command('CLUSTER', 'INFO')).toContain('cluster_state:ok'), { timeout: 30_000 });
  expect(await checkRedis(redis.url, { prefix: '{etl}' })).toMatchObject({ cluster: true });
  await expect(bullmqDispatch({ url: redis.url, queue: 'q', prefix: 'etl' })).rejects.toMatchObject({ code: 'REDIS_UNSUITABLE' });
  await using dispatch = await bullmqDispatch({ url: redis.url, queue: 'q' });
  const seen: (string | null)[] = [];
  dispatch.receive(2, async ({ stage }) => void seen.push(stage));
  const send = async (stage: string) =>
    vi.waitFor(
      async () => {
        if (!seen.includes(stage))
          await dispatch.send([{ run: 'r', stage }]).catch(({ code }) => expect(code).toBe('DISPATCH_UNAVAILABLE'));
        expect(seen).toContain(stage);
      },
      { timeout: 60_000, interval: 100 },
    );
  await send('a');
  await redis.flush();
  await send('b');
  await redis.restart();
  await send('c');
});

it('tells TLS from no TLS, and a certificate that nobody trusts', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  try {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=127.0.0.1',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      key,
      '-out',
      certificate,
    ];
    if (spawnSync('openssl', request, { stdio: 'ignore' }).status !== 0) context.skip('openssl is not installed here');
    await using redis = await redisServer({ tls: { key, certificate } });
    expect(await refusal(checkRedis(redis.url.replace('//', `//:${secret}@`)))).toMatchObject({
      code: 'CONFIG_INVALID',
      text: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
    });
    expect(await refusal(checkRedis(redis.url.replace('rediss://', `redis://:${secret}@`)))).toMatchObject({
      code: 'CONFIG_INVALID',
      text: expect.stringContaining('Write rediss://'),
    });
    expect(await deliveredByProcess(redis.url, { NODE_EXTRA_CA_CERTS: certificate })).toBe('a delivered\n');
    await using plain = await redisServer();
    expect(await deliveredByProcess(plain.url, {})).toBe('a delivered\n');
    expect(await refusal(checkRedis(plain.url.replace('redis://', `rediss://:${secret}@`)))).toMatchObject({
      code: 'CONFIG_INVALID',
      text: expect.stringContaining('Write redis://'),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
