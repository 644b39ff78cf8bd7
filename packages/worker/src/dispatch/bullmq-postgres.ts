import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError, withoutPassword } from '@millrace/core/runtime';
import type { PgPool } from 'bullmq';
import pg from 'pg';
import { clientOf, type StateAddress, urlOf } from '../store/address.ts';
import { refusal } from '../store/refusal.ts';
import { type BullmqQueue, Carrier } from './carrier.ts';
import type { Dispatch, DispatchHealth } from './dispatch.ts';
import { Health } from './health.ts';
import { type BullmqJob, type BullmqWorker, intake, reading } from './intake.ts';
import { loadBullmq } from './load-bullmq.ts';
import { migrateQueue, queueSchema } from './queue-schema.ts';
import { atMost } from './within.ts';

export interface BullmqPostgresDispatchOptions {
  /** `postgres://user:password@host:5432/database`, straight to the server: a pooler between cannot carry LISTEN. */
  readonly url: StateAddress;
  /** Whose wake-ups: workers of one queue get them. */
  readonly queue: string;
  /** Keeps fleets in one database apart. `default` when left out. */
  readonly fleet?: string;
  /** Is told when wake-ups do not travel any more, and when they do again; at most once in 30 s. */
  readonly watch?: (health: DispatchHealth) => void;
}

const events = { maxLen: 100 };
const poolEndMs = 2_000;

/**
 * Wake-ups over BullMQ in Postgres, in the schema `bullmq`, for fleets without Redis: two to four times slower, and nothing more to run.
 * @throws STATE_UNAVAILABLE, AUTHENTICATION_FAILED, ACCESS_DENIED, STATE_VERSION, UNSUPPORTED; CONFIG_INVALID where bullmq is not installed
 */
export async function bullmqPostgresDispatch(options: BullmqPostgresDispatchOptions): Promise<Dispatch> {
  const { url: address, queue: name, fleet = 'default', watch } = options;
  const url = urlOf(address);
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol)) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'The address of the queue is no postgres:// URL.',
      remedy: 'Write postgres://host:5432/database.',
    });
  }
  const { Job, createPostgresBackend, withBackend } = await loadBullmq();
  const { Queue, Worker } = withBackend(createPostgresBackend);
  await migrateQueue(address);
  const health = new Health(watch ?? (() => {}));
  const { pool, release } = queuePool(address, health);
  const connection = pool as unknown as PgPool; // it is one; the declarations of the two differ in optional properties
  const queueName = encodeURIComponent(fleet === 'default' ? name : `${fleet}/${name}`);
  const queue = new Queue(queueName, { connection, streams: { events } });
  queue.on('error', () => {}); // whoever asked is told

  const open = async () => {
    const worker = new Worker(queueName, null, { connection, ...reading }) as unknown as BullmqWorker;
    worker.on('error', (error) => health.bad(error));
    const letGo = () => atMost(1_000, worker.close(true));
    try {
      await worker.waitUntilReady();
    } catch (error) {
      await letGo();
      throw error;
    }
    return intake(worker, (json, id) => Job.fromJSON(worker, json as never, id) as BullmqJob, letGo);
  };

  try {
    await queue.waitUntilReady();
  } catch (error) {
    await atMost(1_000, queue.close());
    await release();
    throw refusal(error, url) ?? error;
  }
  return new Carrier({ queue: untangled(queue), place: withoutPassword(url), open, release, health });
}

/**
 * Those who send the same wake-ups in different orders wait for each other in the unique index. Postgres then breaks off one of them, which
 * has sent nothing, and may do so again after the next wait.
 */
function untangled(queue: BullmqQueue): BullmqQueue {
  return {
    async addBulk(jobs) {
      for (let pause = 5; ; pause *= 2) {
        try {
          return await queue.addBulk(jobs);
        } catch (error) {
          if ((error as { code?: unknown }).code !== deadlock || pause > longestPauseMs) throw error;
        }
        await sleep(pause * (0.5 + Math.random()));
      }
    },
    getJobCounts: (...states) => queue.getJobCounts(...states),
    close: () => queue.close(),
  };
}

/** SQLSTATE */
const deadlock = '40P01';
const longestPauseMs = 100;

/** One pool for sending and reading; its LISTEN takes one of its connections for good. */
function queuePool(address: StateAddress, health: Health): { pool: pg.Pool; release: () => Promise<void> } {
  const pool = new pg.Pool({
    ...clientOf(address),
    max: 4,
    idleTimeoutMillis: 10_000,
    connectionTimeoutMillis: 4_000,
    // A line on which nothing answers is given up.
    query_timeout: 4_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: 'millrace queue',
    options: `-c search_path=${queueSchema}`,
  });
  const open = new Set<pg.PoolClient>();
  pool.on('error', (error) => health.bad(error));
  pool.on('connect', (client) => {
    open.add(client);
    client.on('error', () => {});
  });
  pool.on('remove', (client) => void open.delete(client));
  return {
    pool,
    async release() {
      await atMost(poolEndMs, pool.end());
      // Whatever waits for an answer that does not come.
      for (const client of open) (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    },
  };
}
