import { type Context, MillraceError, type Setting } from '@millrace/core/runtime';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { redisFailure } from './failure.ts';
import type { Script } from './script.ts';

export interface RedisSettings {
  readonly url: Setting;
  readonly cluster: boolean;
  /** How many replicas must have what was written before the source may forget it. */
  readonly replicas: number;
  readonly ca?: Setting;
}

type Word = string | Buffer;

/** One attempt's line to a Redis. It is not mended: what was written over a line that broke may be lost, and the next attempt looks. */
export interface RedisClient extends AsyncDisposable {
  /** Without a secret: `redis://cache:6379`. */
  readonly place: string;
  ask(name: string, ...words: Word[]): Promise<unknown>;
  /** The same, with texts in the answer as their bytes. */
  askBytes(name: string, ...words: Word[]): Promise<unknown>;
  run(script: Script, keys: readonly string[], words: readonly Word[]): Promise<unknown>;
  /** Keys that match a glob, in portions, on all shards. A key may come twice. */
  scan(glob: string): AsyncGenerator<string[]>;
  /** How many replicas have what was written here; the fewest of all shards. */
  replicated(replicas: number, ms: number): Promise<number>;
}

/** @throws CONFIG_INVALID, CONNECTION_FAILED, AUTHENTICATION_FAILED, CERTIFICATE_REFUSED */
export async function openRedis(
  { url: setting, cluster, ca }: RedisSettings,
  context: Pick<Context, 'secret' | 'signal'>,
): Promise<RedisClient> {
  const settingOf = async (of: Setting): Promise<string> => (typeof of === 'string' ? of : context.secret(of));
  const url = redisUrl(await settingOf(setting));
  const place = placeOf(url);
  const { Redis, Cluster } = await loadIoredis();
  const options = optionsOf(url, ca === undefined ? null : await settingOf(ca));
  context.signal.throwIfAborted();
  const { host, port, ...rest } = options;
  const password = 'password' in options ? (options.password ?? null) : null;
  const client = cluster
    ? new Cluster([{ host, port }], {
        redisOptions: rest,
        lazyConnect: true,
        enableOfflineQueue: false,
        slotsRefreshTimeout: 5_000,
        clusterRetryStrategy: () => null,
        // The certificate of ElastiCache is for the names, not for the addresses behind them.
        dnsLookup: (address, callback) => callback(null, address),
      })
    : new Redis({ ...options, lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null });
  const primaries = (): Redis[] => (client instanceof Cluster ? client.nodes('master') : [client]);
  let heard: Error | null = null;
  client.on('error', (error: Error) => {
    heard ??= error;
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    // What the socket said is better than "the connection is closed".
    throw redisFailure(heard ?? error, place, password);
  }
  // A shard that has failed over may have lost what it was told last.
  let broken: string | null = null;
  const shards = new Set<Redis>(primaries());
  client.on('-node', (node: Redis) => {
    if (shards.has(node)) broken = 'a shard of the cluster has gone';
  });

  async function told<Result>(work: () => Promise<Result>): Promise<Result> {
    context.signal.throwIfAborted();
    try {
      if (broken !== null) throw new Error(broken);
      return await work();
    } catch (error) {
      context.signal.throwIfAborted();
      throw redisFailure(error, place, password);
    }
  }

  async function* scanned(node: Redis, glob: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [next, keys] = await told(() => node.scan(cursor, 'MATCH', glob, 'COUNT', 1_000));
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== '0');
  }

  return {
    place,
    ask: (name, ...words) => told(() => client.call(name, ...words)),
    askBytes: (name, ...words) => told(() => client.callBuffer(name, ...words)),
    run: (script, keys, words) => told(() => running(client, script, keys, words)),
    async *scan(glob) {
      for (const node of primaries()) yield* scanned(node, glob);
    },
    async replicated(replicas, ms) {
      if (replicas === 0) return 0;
      const counts = await told(() => Promise.all(primaries().map((node) => node.wait(replicas, ms))));
      return Math.min(...counts);
    },
    async [Symbol.asyncDispose]() {
      client.disconnect();
    },
  };
}

async function running(client: Redis | Cluster, { lua, sha }: Script, keys: readonly string[], words: readonly Word[]): Promise<unknown> {
  try {
    return await client.evalsha(sha, keys.length, ...keys, ...words);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    return await client.eval(lua, keys.length, ...keys, ...words);
  }
}

/** @throws CONFIG_INVALID where it is no address of a Redis */
function redisUrl(url: string): URL {
  if (URL.canParse(url)) {
    const parsed = new URL(url);
    if (/^(redis|valkey)s?:$/.test(parsed.protocol) && parsed.hostname !== '' && /^(\/\d*)?$/.test(parsed.pathname)) return parsed;
  }
  throw notAnAddress();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notAnAddress();
  }
}

/** Without the address, which has a password in it. */
const notAnAddress = (): MillraceError =>
  new MillraceError('CONFIG_INVALID', {
    message: 'The address of the cache is no redis:// or rediss:// URL.',
    remedy:
      'Write redis://host:6379, or rediss://user:password@host:6379 where it speaks TLS, with special characters of the password percent-encoded.',
  });

const placeOf = ({ protocol, hostname, port }: URL): string => `${protocol}//${hostname}:${port || 6379}`;

function optionsOf(url: URL, ca: string | null) {
  const database = url.pathname.slice(1);
  const tls = url.protocol === 'rediss:' || url.protocol === 'valkeys:';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    ...(url.username && { username: decoded(url.username) }),
    ...(url.password && { password: decoded(url.password) }),
    ...(database && { db: Number(database) }),
    ...(tls && { tls: ca === null ? {} : { ca } }),
    // HELLO is what old servers and proxies stumble over.
    protocol: 2,
    connectionName: 'millrace',
    connectTimeout: 10_000,
    keepAlive: 10_000,
    // An act of ten thousand commands takes hundredths of a second; others' scripts may stand before it.
    socketTimeout: 60_000,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  } satisfies RedisOptions;
}

async function loadIoredis() {
  try {
    return await import('ioredis');
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'Redis needs the package ioredis, which is not installed.',
      remedy: 'Run "npm install ioredis".',
      cause,
    });
  }
}
