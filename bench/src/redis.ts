import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { MillraceError } from '@millrace/core';
import { Redis } from 'ioredis';

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly client: Redis;
}

/** A Redis that writes nothing to disk, as a cache in a cloud does by default. It ends with this process. */
export async function redisServer(): Promise<RedisServer> {
  const root = path.resolve(import.meta.dirname, '../..');
  const { provideRedis } = (await import(pathToFileURL(path.join(root, 'scripts/redis.mjs')).href)) as { provideRedis: () => Found };
  const found = provideRedis();
  if ('missing' in found) throw new MillraceError('CONFIG_INVALID', { message: found.missing, remedy: 'Put redis-server on PATH.' });
  const port = await freePort();
  const settings = ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'];
  const server = spawn(
    'sh',
    // Its own standard input ends with this process, however that ends.
    ['-c', '"$@" </dev/null >/dev/null & server=$!; cat >/dev/null; kill -9 $server', 'sh', found.command, ...settings],
    { stdio: ['pipe', 'ignore', 'inherit'], env: { ...process.env, LD_LIBRARY_PATH: found.libraries } },
  );
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on('error', () => {});
  await Promise.race([client.ping(), sleep(30_000).then(() => Promise.reject(new Error('Redis did not answer within 30 s')))]);
  return {
    url,
    client,
    async [Symbol.asyncDispose]() {
      client.disconnect();
      server.stdin.end();
      await ended;
    },
  };
}

type Found = { readonly command: string; readonly libraries: string } | { readonly missing: string };

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
