import { MillraceError } from '@millrace/core/runtime';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { loadIoredis } from './load-bullmq.ts';

export type RedisClient = Redis | Cluster;

/** @throws CONFIG_INVALID where it is no address of a Redis */
export function redisUrl(url: string): URL {
  if (URL.canParse(url)) {
    const parsed = new URL(url);
    if (/^(redis|valkey)s?:$/.test(parsed.protocol) && parsed.hostname !== '') return parsed;
  }
  throw new MillraceError('CONFIG_INVALID', {
    message: 'The address of the queue is no redis:// or rediss:// URL.',
    remedy: 'Write redis://host:6379, or rediss://user:password@host:6379 where it speaks TLS.',
  });
}

/** Where it is, without a secret. */
export const placeOf = ({ protocol, hostname, port }: URL): string => `${protocol}//${hostname}:${port || 6379}`;

/**
 * A client that fails fast: what it is asked while the line is down is refused at once and kept nowhere, and a line on which nothing
 * answers is given up. It connects again for ever, and says nothing: whoever asks is told.
 */
export async function openRedis(url: URL, cluster: boolean): Promise<RedisClient> {
  const { Redis, Cluster } = await loadIoredis();
  const options = connection(url);
  const { host, port, retryStrategy: _, enableOfflineQueue, ...rest } = options;
  const client = cluster
    ? new Cluster([{ host, port }], {
        redisOptions: rest,
        enableOfflineQueue: false,
        clusterRetryStrategy: again,
        slotsRefreshTimeout: 5_000,
        // The certificate of ElastiCache is for the names, not for the addresses behind them.
        dnsLookup: (address, callback) => callback(null, address),
      })
    : new Redis(options);
  client.on('error', () => {});
  return client;
}

export function connection(url: URL) {
  const database = url.pathname.slice(1);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
    ...(database && { db: Number(database) }),
    ...(speaksTls(url) && { tls: {} }),
    // What BullMQ was made for; HELLO is what old servers and proxies stumble over.
    protocol: 2,
    connectionName: 'millrace',
    connectTimeout: 5_000,
    keepAlive: 10_000,
    // Blocking reads take 10 s at most.
    socketTimeout: 15_000,
    enableOfflineQueue: false,
    // Also what makes blocking reads fail, instead of waiting for a line that has gone.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: again,
    // After a failover the name leads to the new primary, but this line still to the old one.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  } satisfies RedisOptions;
}

export const speaksTls = (url: URL): boolean => url.protocol === 'rediss:' || url.protocol === 'valkeys:';

const again = (times: number): number => Math.min(50 * 2 ** Math.min(times, 8), 5_000) * (0.5 + Math.random() / 2);
