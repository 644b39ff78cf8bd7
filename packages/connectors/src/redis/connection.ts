import { type ChangeTarget, type Connection, describeSetting, MillraceError, type Setting, type Target } from '@millrace/core/runtime';
import { type ApplyOptions, applyTarget } from './apply-target.ts';
import { openRedis, type RedisSettings } from './client.ts';
import { type KeysOptions, keysTarget } from './load-target.ts';
import { examineRedis } from './suitable.ts';

export interface RedisOptions {
  /** `redis://host:6379`, or `rediss://user:password@host:6379` where it speaks TLS. `/2` at the end is a database by number. */
  readonly url: Setting;
  /** True where it is in cluster mode: the URL names one of its nodes, or the configuration endpoint of ElastiCache. */
  readonly cluster?: boolean;
  /**
   * How many replicas must have what was written before the source may forget it. 0 by default: a primary that is lost takes the last
   * moments with it, and the place in the stream that goes with them.
   */
  readonly replicas?: number;
  /** The certificate authority of the server, in PEM, where the machine does not know it. */
  readonly ca?: Setting;
}

/** Redis, Valkey, ElastiCache or MemoryDB, as a place where keys follow rows. */
export interface RedisConnection extends Connection {
  /** Loads rows as keys: `load(orders, cache.keys({ key: 'order:<id>', as: 'json', ttl: '1h' }))`. */
  keys(options: KeysOptions): Target<unknown, 'rows', 'table'>;
  /** Follows a capture: `load(changes, cache.apply({ tables: { orders: { key: 'order:<id>' } } }))`. */
  apply(options?: ApplyOptions): ChangeTarget<unknown>;
}

/** A cache that follows its database: `redis({ url: secret('CACHE_URL') })`. */
export function redis({ url, cluster = false, replicas = 0, ca }: RedisOptions): RedisConnection {
  if (!Number.isInteger(replicas) || replicas < 0)
    throw new MillraceError('PIPELINE_INVALID', {
      message: `redis({ replicas: ${replicas} }) is no number of replicas.`,
      remedy: 'Give 0, 1 or 2.',
    });
  const settings: RedisSettings = { url, cluster, replicas, ...(ca !== undefined && { ca }) };
  const label = describeSetting(url);
  const connection: Connection = {
    kind: 'connection',
    connector: 'redis',
    label,
    examine: (context) => examineRedis(() => openRedis(settings, context), settings, label),
  };
  return Object.freeze({
    ...connection,
    keys: (options: KeysOptions) => keysTarget(connection, settings, options),
    apply: (options: ApplyOptions = {}) => applyTarget(connection, settings, options),
  });
}
