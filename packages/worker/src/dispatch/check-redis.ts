import { type ErrorCode, isMillraceError, MillraceError } from '@millrace/core/runtime';
import { loadIoredis } from './load-bullmq.ts';
import { connection, placeOf, redisUrl } from './redis-client.ts';
import { redisRefusal } from './redis-refusal.ts';
import { within } from './within.ts';

export interface RedisFacts {
  /** `redis`, `valkey`, … */
  readonly flavour: string;
  readonly version: string;
  /** Keys are spread over shards; the client has to follow. */
  readonly cluster: boolean;
}

const checkMs = 10_000;
/** BullMQ needs LPOS, SINTERCARD's contemporaries and `XTRIM … LIMIT`; older ones are out of support everywhere. */
const oldest = [6, 2] as const;

/**
 * Whether a queue can live there: it answers, lets this user in, writes, is new enough, never evicts a key, and in cluster mode the
 * keys of a queue stay together.
 * @throws CONNECTION_FAILED, CONNECTION_LIMIT, AUTHENTICATION_FAILED, ACCESS_DENIED, CONFIG_INVALID, REDIS_UNSUITABLE
 */
export async function checkRedis(url: string, { prefix }: { prefix?: string } = {}): Promise<RedisFacts> {
  const address = redisUrl(url);
  const place = placeOf(address);
  if (/\.serverless\.[\w-]+\.cache\.amazonaws\.com(\.cn)?$/.test(address.hostname)) {
    throw unsuitable(place, 'is a serverless cache of ElastiCache, which evicts keys when it is full and cannot be told not to', {
      remedy: 'Use a node-based ElastiCache with maxmemory-policy noeviction, MemoryDB, or the queue in Postgres.',
    });
  }
  const info = parsed(await answer(address));
  const version = info.get('redis_version') ?? '';
  const facts: RedisFacts = {
    flavour: info.get('server_name') ?? (info.has('valkey_version') ? 'valkey' : info.has('dragonfly_version') ? 'dragonfly' : 'redis'),
    version: info.get('valkey_version') ?? version,
    cluster: info.get('cluster_enabled') === '1' || info.get('redis_mode') === 'cluster',
  };
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    throw unsuitable(place, `is version ${version || 'unknown'}`, { remedy: 'Use Redis 6.2 or newer, or Valkey.', facts });
  }
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction') {
    throw unsuitable(place, `throws keys away when its memory is full: maxmemory-policy is "${policy}"`, {
      remedy: 'Set maxmemory-policy to noeviction (in ElastiCache in its parameter group), and give caches a Redis of their own.',
      facts: { ...facts, policy },
    });
  }
  if (!facts.cluster && /^(slave|replica)$/.test(info.get('role') ?? '')) {
    throw unsuitable(place, 'is a replica, which only reads', { remedy: 'Use the address of the primary (the primary endpoint).', facts });
  }
  if (facts.cluster && prefix !== undefined && !/\{[^}]+\}/.test(prefix)) {
    throw unsuitable(place, `is in cluster mode, where the keys of a queue must stay together, and the prefix "${prefix}" has no {tag}`, {
      remedy: `Write the prefix with braces: "{${prefix}}".`,
      facts,
    });
  }
  return facts;
}

/** What INFO says. */
async function answer(address: URL): Promise<string> {
  const { Redis } = await loadIoredis();
  let heard: Error | undefined;
  const client = new Redis({ ...connection(address), retryStrategy: () => null, lazyConnect: true, enableReadyCheck: false });
  client.on('error', (error) => {
    heard ??= error;
  });
  try {
    return await within(
      checkMs,
      'INFO',
      client.connect().then(() => client.info()),
    );
  } catch (error) {
    if (isMillraceError(error)) throw error;
    // What the socket said is better than "the connection is closed".
    throw await redisRefusal(heard && !(error instanceof Error && 'command' in error) ? heard : error, address);
  } finally {
    client.disconnect();
  }
}

function parsed(info: string): Map<string, string> {
  const lines = info.split(/\r?\n/).map((line) => /^(\w+):(.*)$/.exec(line));
  return new Map(lines.flatMap((line) => (line ? [[line[1] ?? '', line[2] ?? ''] as const] : [])));
}

function unsuitable(place: string, what: string, { remedy, facts = {} }: { remedy: string; facts?: object }): MillraceError {
  const code: ErrorCode = 'REDIS_UNSUITABLE';
  return new MillraceError(code, { message: `A queue cannot live in Redis at ${place}: it ${what}.`, remedy, facts: { place, ...facts } });
}
