import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { int4, table, text } from '@millrace/core';
import { rowSinkConformance, type SinkRow } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MemcachedServer, memcachedServer } from '../../../../test/memcached-server.ts';
import { codeOf } from '../../test/cached-orders.ts';
import { loadRows, testContext } from '../../test/load.ts';
import { memcached } from './index.ts';

let server: MemcachedServer;
beforeAll(async () => {
  server = await memcachedServer();
});
afterAll(() => server[Symbol.asyncDispose]());

rowSinkConformance(
  (name, body) => test(`memcached: ${name}`, body),
  async () => {
    await server.say('flush_all');
    return {
      target: () => memcached({ url: server.url }).keys({ key: 'row:<id>' }),
      read: async () => {
        const texts = await Promise.all(Array.from({ length: 20 }, (_, id) => server.get(`row:${id}`)));
        return texts.flatMap((text): SinkRow[] => (text === null ? [] : [JSON.parse(text) as SinkRow]));
      },
      [Symbol.asyncDispose]: async () => {},
    };
  },
  { modes: ['merge'], showsStaged: true },
);

const schema = table('users', { id: int4(), name: text().orNull() }, { key: ['id'] });
const keys = (url = server.url) => memcached({ url }).keys({ key: 'user:<name>' });
const window = (low: string | null, high: string) => ({ column: 'id', low, high });

test('a row without a key is set aside, or stops the load', async () => {
  const rows = [
    { id: 1, name: 'ann' },
    { id: 2, name: null },
    { id: 3, name: 'x'.repeat(300) },
    { id: 4, name: 'dan' },
  ];
  expect(await codeOf(loadRows(keys(), { schema, splits: [rows] }))).toBe('TYPE_MISMATCH');
  const rejected: unknown[] = [];
  const receipt = await loadRows(keys(), { schema, epoch: 2, splits: [rows], reject: ({ ordinal }) => rejected.push(ordinal) });
  expect([receipt.rows, rejected, await server.get('user:dan')]).toEqual([2, [1, 2], '{"id":4,"name":"dan"}']);
});

test('a cache that has forgotten where it was says so', async () => {
  await loadRows(keys(), { schema, step: 'w', splits: [], window: window(null, '5') });
  await server.say('flush_all');
  expect(await codeOf(loadRows(keys(), { schema, step: 'w', id: 'l2', splits: [], window: window('5', '9') }))).toBe('CACHE_LOST');
});

test('a line that is encrypted, and one that asks for a password', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  try {
    const [key, certificate, users] = [join(folder, 'key.pem'), join(folder, 'cert.pem'), join(folder, 'users')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate];
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject], { stdio: 'ignore' });
    if (made.status !== 0) context.skip('openssl is not installed here');
    await using secure = await memcachedServer({ settings: ['-Z', '-o', `ssl_chain_cert=${certificate},ssl_key=${key}`] });
    const place = secure.url.replace('memcached:', 'memcacheds:');
    const examined = async (options: Parameters<typeof memcached>[0]) => (await memcached(options).examine(testContext()))[0];
    expect((await examined({ url: place }))?.error).toMatchObject({ code: 'CERTIFICATE_REFUSED' });
    expect(await examined({ url: place, ca: readFileSync(certificate, 'utf8') })).toMatchObject({
      level: 'ok',
      message: expect.stringContaining('1 nodes'),
    });

    writeFileSync(users, 'ann:p4ss@w%rd\n');
    await using locked = await memcachedServer({ settings: ['-Y', users] });
    const login = (word: string) => ({ url: locked.url.replace('//', `//ann:${encodeURIComponent(word)}@`) });
    expect(await examined(login('p4ss@w%rd'))).toMatchObject({ level: 'ok' });
    const refused = await examined(login('wr0ng'));
    expect(refused?.error).toMatchObject({ code: 'AUTHENTICATION_FAILED' });
    expect(JSON.stringify([refused?.message, refused?.subject])).not.toContain('wr0ng');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a configuration endpoint names the nodes; what answers otherwise is none', async () => {
  const nodes = `12\n|127.0.0.1|${server.port} localhost|127.0.0.1|${server.port}\n`;
  const endpoint = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(`CONFIG cluster 0 ${nodes.length}\r\n${nodes}\r\nEND\r\n`));
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  try {
    const url = `memcached://127.0.0.1:${(endpoint.address() as { port: number }).port}`;
    expect(await memcached({ url, discover: true }).examine(testContext())).toEqual([
      expect.objectContaining({ level: 'ok', message: expect.stringContaining('2 nodes') }),
    ]);
  } finally {
    endpoint.close();
  }
  const [finding] = await memcached({ url: server.url, discover: true }).examine(testContext());
  expect(finding?.error?.code).toMatch(/CONFIG_INVALID|REMOTE_REFUSED/);
});
