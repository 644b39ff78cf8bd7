import { type ChangeTarget, type Connection, describeSetting, isMillraceError, type Setting, type Target } from '@millrace/core/runtime';
import { type ApplyOptions, applyTarget } from './apply-target.ts';
import { type MemcachedSettings, openCache } from './client.ts';
import { type KeysOptions, keysTarget } from './load-target.ts';

export interface MemcachedOptions {
  /** `memcached://host:11211`, with more nodes after commas; `memcacheds://` over TLS; `user:password@` before the first where they ask for it. */
  readonly url: Setting;
  /** True where the URL is the configuration endpoint of an ElastiCache cluster, which names its nodes. */
  readonly discover?: boolean;
  /** The certificate authority of the nodes, in PEM, where the machine does not know it. */
  readonly ca?: Setting;
}

/** Memcached, as ElastiCache has it too. */
export interface MemcachedConnection extends Connection {
  /** Loads rows as keys of a single node: `load(orders, cache.keys({ key: 'order:<id>', ttl: '1h' }))`. */
  keys(options: KeysOptions): Target<unknown, 'rows', 'table'>;
  /** Follows a capture: `load(changes, cache.apply({ tables: { orders: { key: 'order:<id>' } } }))`. */
  apply(options?: ApplyOptions): ChangeTarget<unknown>;
}

/** A cache whose keys go when their rows change: `memcached({ url: secret('CACHE_URL') })`. */
export function memcached({ url, discover = false, ca }: MemcachedOptions): MemcachedConnection {
  const settings: MemcachedSettings = { url, discover, ...(ca !== undefined && { ca }) };
  const label = describeSetting(url);
  const connection: Connection = {
    kind: 'connection',
    connector: 'memcached',
    label,
    async examine(context) {
      try {
        await using cache = await openCache(settings, context);
        const versions = await Promise.all(cache.nodes.map((node) => node.version()));
        return [{ subject: label, level: 'ok', message: `${cache.nodes.length} nodes, version ${[...new Set(versions)].join(', ')}` }];
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy, error }];
      }
    },
  };
  return Object.freeze({
    ...connection,
    keys: (options: KeysOptions) => keysTarget(connection, settings, options),
    apply: (options: ApplyOptions = {}) => applyTarget(connection, settings, options),
  });
}
