import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changeSinkConformance } from '@millrace/core/testing';
import { afterAll, expect, test } from 'vitest';
import { type RedisServer, redisCluster, redisServer } from '../../../../test/redis-server.ts';
import { codeOf, following, group, insert, order } from '../../test/cached-orders.ts';
import { positionAt } from '../../test/hand-made.ts';
import { redis } from './index.ts';

test('a line that is encrypted, and an authority that the machine does not know', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  try {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate];
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject], { stdio: 'ignore' });
    if (made.status !== 0) context.skip('openssl is not installed here');
    await using secure = await redisServer({ tls: { key, certificate } });
    expect(await codeOf(following({ url: secure.url }))).toBe('CERTIFICATE_REFUSED');
    await using sink = await following({ url: secure.url, ca: readFileSync(certificate, 'utf8') });
    expect(await sink.flush()).toBe(positionAt(16));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

let nodes: RedisServer | undefined;
afterAll(() => nodes?.[Symbol.asyncDispose]());

changeSinkConformance(
  (name, body) => {
    // All the rest is the same code whatever the keys are spread over.
    if (/seed|followed by another/.test(name)) test(`redis, keys over a cluster: ${name}`, body);
  },
  async () => {
    nodes ??= await redisCluster();
    await nodes.flush();
    const { url } = nodes;
    return { target: () => redis({ url, cluster: true }).apply(), [Symbol.asyncDispose]: async () => {} };
  },
  { keyless: false, columnChanges: [], seeds: 1 },
);

test('a shard that has lost what it was told has lost its keys, and everything is copied again', async () => {
  nodes ??= await redisCluster();
  await nodes.flush();
  const { url } = nodes;
  const stream = { url, cluster: true, rows: [order(1), order(2)] };
  await using sink = await following({ ...stream, apply: { prefix: 'shop:' } });
  const fences = (await nodes.command('KEYS', 'millrace:*:fence:*')).split('\r\n').filter((line) => line.startsWith('millrace:'));
  expect(fences.length).toBe(16_384);
  await nodes.command('DEL', 'shop:orders:1', fences[700] as string);
  await sink[Symbol.asyncDispose]();
  await using next = await following({ ...stream, epoch: 2, apply: { prefix: 'shop:' } });
  expect(await next.flush()).toBe(positionAt(16));
  expect(await nodes.command('EXISTS', 'shop:orders:1')).toBe(':1\r\n');
});

test('in a cluster, keys of one hash tag change in one act, and others are said to be less', async () => {
  nodes ??= await redisCluster();
  await nodes.flush();
  const { url } = nodes;
  const cache = redis({ url, cluster: true });
  expect(cache.apply().description.guarantee).toBe('at-least-once');
  expect(cache.apply({ prefix: '{shop}:' }).description.guarantee).toBe('exactly-once');
  await using sink = await following({ url, cluster: true, apply: { prefix: '{shop}:' }, rows: [order(1)] });
  await sink.apply(group(20, insert(order(2))));
  const keys = await nodes.command('KEYS', '*');
  expect(keys).toContain('{shop}:orders:2');
  expect(keys).toContain('millrace:{shop}:shop/cached');
  expect(keys).not.toContain('fence');
});
