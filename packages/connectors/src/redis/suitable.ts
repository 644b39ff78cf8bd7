import { type Finding, isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { RedisClient, RedisSettings } from './client.ts';

export interface RedisFacts {
  readonly version: string;
  readonly cluster: boolean;
  readonly policy: string;
  readonly isReplica: boolean;
  readonly replicas: number;
}

/** What INFO says. */
export async function factsOf(client: RedisClient): Promise<RedisFacts> {
  const lines = String(await client.ask('INFO')).split(/\r?\n/);
  const info = new Map(
    lines.flatMap((line) => {
      const found = /^(\w+):(.*)$/.exec(line);
      return found ? [[found[1] ?? '', found[2] ?? ''] as const] : [];
    }),
  );
  return {
    version: info.get('valkey_version') ?? info.get('redis_version') ?? 'unknown',
    cluster: info.get('cluster_enabled') === '1' || info.get('redis_mode') === 'cluster',
    policy: info.get('maxmemory_policy') ?? 'noeviction',
    isReplica: /^(slave|replica)$/.test(info.get('role') ?? ''),
    replicas: Number(info.get('connected_slaves') ?? 0),
  };
}

/** @throws REDIS_UNSUITABLE, CONFIG_INVALID */
export async function assertSuitable(client: RedisClient, settings: RedisSettings): Promise<RedisFacts> {
  const facts = await factsOf(client);
  const { place } = client;
  if (facts.policy.startsWith('allkeys'))
    throw new MillraceError('REDIS_UNSUITABLE', {
      message: `Redis at ${place} throws any key away when its memory is full (maxmemory-policy is "${facts.policy}"), also what says how far the pipeline has come.`,
      remedy: 'Set maxmemory-policy to volatile-lru (in ElastiCache in its parameter group) and give rows a ttl, or to noeviction.',
      facts: { place, ...facts },
    });
  if (facts.isReplica && !facts.cluster)
    throw new MillraceError('REDIS_UNSUITABLE', {
      message: `Redis at ${place} is a replica, which only reads.`,
      remedy: 'Use the address of the primary (the primary endpoint).',
      facts: { place },
    });
  if (facts.cluster !== settings.cluster)
    throw new MillraceError('CONFIG_INVALID', {
      message: `Redis at ${place} is ${facts.cluster ? '' : 'not '}in cluster mode.`,
      remedy: `Write redis({ url, cluster: ${facts.cluster} }).`,
      facts: { place },
    });
  return facts;
}

/** For `doctor`. */
export async function examineRedis(open: () => Promise<RedisClient>, settings: RedisSettings, label: string): Promise<Finding[]> {
  try {
    await using client = await open();
    const { version, policy, replicas } = await assertSuitable(client, settings);
    await client.ask('EVAL', 'return 1', '0');
    const findings: Finding[] = [
      { subject: label, level: 'ok', message: `version ${version}, maxmemory-policy ${policy}, scripts may run` },
    ];
    if (replicas < settings.replicas)
      findings.push({
        subject: label,
        level: 'problem',
        message: `it has ${replicas} replicas, and ${settings.replicas} must have what was written.`,
        remedy: 'Add replicas, or lower `replicas`.',
      });
    return findings;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}
