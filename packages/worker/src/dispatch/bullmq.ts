import { MillraceError } from '@millrace/core/runtime';
import { Carrier } from './carrier.ts';
import { checkRedis } from './check-redis.ts';
import type { Dispatch, DispatchHealth } from './dispatch.ts';
import { Health } from './health.ts';
import { type BullmqJob, type BullmqWorker, intake, reading } from './intake.ts';
import { loadBullmq } from './load-bullmq.ts';
import { openRedis, placeOf, type RedisClient, redisUrl } from './redis-client.ts';
import { atMost, within } from './within.ts';

export interface BullmqDispatchOptions {
  /** `redis://host:6379`, or `rediss://user:password@host:6379` with TLS. Redis 6.2 or newer, or Valkey; cluster mode is found out. */
  readonly url: string;
  /** Whose wake-ups: workers of one queue get them. */
  readonly queue: string;
  /** Keeps fleets in one Redis apart. `default` when left out. */
  readonly fleet?: string;
  /** Of all keys; `{millrace:<fleet>}` when left out. Keep the braces: in cluster mode they keep the keys of a queue together. */
  readonly prefix?: string;
  /** Is told when wake-ups do not travel any more, and when they do again; at most once in 30 s. */
  readonly watch?: (health: DispatchHealth) => void;
}

/** Events of BullMQ that are kept: for somebody who looks at a dashboard; nothing of ours reads them. */
const events = { maxLen: 100 };
const readyMs = 10_000;

/**
 * Wake-ups over BullMQ on Redis or Valkey. Redis may be flushed, restarted or gone at any time: what it held are hints.
 * @throws what `checkRedis` throws; CONFIG_INVALID where bullmq or ioredis are not installed
 */
export async function bullmqDispatch({ url, queue: name, fleet = 'default', prefix, watch }: BullmqDispatchOptions): Promise<Dispatch> {
  const address = redisUrl(url);
  if (!/^[\w.-]+$/.test(fleet)) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The name of the fleet is "${fleet}".`,
      remedy: 'Use letters, digits, ".", "_" and "-" only.',
    });
  }
  const { Queue, Worker, Job } = await loadBullmq();
  const keys = prefix ?? `{millrace:${fleet}}`;
  const { cluster } = await checkRedis(url, { prefix: keys });
  const client = await openRedis(address, cluster);
  const health = new Health(watch ?? (() => {}));
  let released = false;
  client.on('close', () => released || health.bad(new Error('the connection was closed')));
  client.on('error', (error) => health.bad(error));
  const own = { connection: client, prefix: keys };
  const queueName = encodeURIComponent(name);
  const queue = new Queue(queueName, { ...own, streams: { events } });
  queue.on('error', () => {}); // whoever asked is told
  const release = async () => {
    released = true;
    client.disconnect();
  };

  const open = async () => {
    // Else BullMQ waits for it, with a worker of its own each time.
    if (!/^(ready|connect)$/.test(client.status)) throw new Error(health.now.at === 'away' ? health.now.why : 'not connected');
    const worker: BullmqWorker = new Worker(queueName, null, { ...own, ...reading });
    worker.on('error', (error) => health.bad(error));
    try {
      await worker.waitUntilReady();
    } catch (error) {
      await letGo(worker);
      throw error;
    }
    return intake(
      worker,
      (json, id) => Job.fromJSON(worker, json as never, id) as BullmqJob,
      () => letGo(worker),
    );
  };

  try {
    await within(readyMs, 'connecting', queue.waitUntilReady());
  } catch (error) {
    await atMost(1_000, queue.close());
    await release();
    throw new MillraceError('CONNECTION_FAILED', {
      message: `Redis at ${placeOf(address)} answered, and then it did not: ${error instanceof Error ? error.message : String(error)}.`,
      remedy: 'Try again; look whether it restarts.',
      cause: error,
    });
  }
  return new Carrier({ queue, place: placeOf(address), open, release, health });
}

/** Its blocking connection, which BullMQ may not reach any more where it waits for something itself. */
async function letGo(worker: BullmqWorker): Promise<void> {
  await atMost(1_000, worker.close(true));
  await atMost(
    100,
    Promise.resolve(worker.getBackend().blockingClient).then((client) => (client as unknown as RedisClient)?.disconnect()),
  );
}
