import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../../../test/bundle.ts';
import type { Errand } from '../../../test/crash/attempt.ts';
import { passes } from '../../../test/crash/processes.ts';
import { type RedisServer, redisCluster, redisServer } from '../../../test/redis-server.ts';
import { redis, redisFailpoints } from '../src/redis/index.ts';
import { disturbedAt } from './disturbed.ts';
import { outcomeOfHistory as expected, type FollowErrand, tables } from './follow-once.ts';
import { readAll } from './read.ts';

let [server, cluster]: RedisServer[] = [];
let program: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  [server, cluster] = await Promise.all([redisServer(), redisCluster()]);
  program = await bundled(new URL('./follow-once.ts', import.meta.url));
});
afterAll(async () => {
  await program?.[Symbol.asyncDispose]();
  await Promise.all([server, cluster].map((one) => one?.[Symbol.asyncDispose]()));
});

let made = 0;
const sceneOf = (sink: 'cache' | 'cluster') => {
  const schema = `${sink}-${++made}`;
  const { url } = (sink === 'cache' ? server : cluster) as RedisServer;
  return (epoch: number): FollowErrand => ({ sink, lake: '', database: url, schema, epoch });
};

async function outcome({ sink, database, schema }: FollowErrand): Promise<unknown> {
  const target = redis({ url: database, cluster: sink === 'cluster' }).apply({ prefix: `${schema}:` });
  const rows = await Promise.all(
    Object.entries(tables).map(async ([name, table]) => {
      const read = await readAll(target.stored!(name, table));
      return [name, read.rows.map((row) => ({ ...row, id: Number(row['id']) })).sort((a, b) => a.id - b.id)] as const;
    }),
  );
  return Object.fromEntries(rows);
}

const ofLog = ['redis.promise.before', 'redis.promise.after', 'redis.log.worked'];
/** Each of its attempts takes sixteen thousand slots over, which takes a second. */
const ofCluster = ['redis.promise.after', 'redis.log.worked'];
test.for([
  ['cache', redisFailpoints.filter((point) => !ofLog.includes(point))],
  ['cluster', ofCluster],
] as const)(
  'a %s whose keeper is killed twice at any instant, and woken after its successors, is as the source was',
  { timeout: 300_000 },
  async ([sink, points]) => {
    const calm = sceneOf(sink);
    const passed = await passes(program.file, calm(1) as unknown as Errand);
    expect([...passed.keys()]).toEqual(expect.arrayContaining([...points]));
    const right = await outcome(calm(1));
    expect(right).toEqual(expected);
    const differences = await disturbedAt(points, { program: program.file, passed, scene: () => sceneOf(sink), outcome, right });
    expect(differences).toEqual({});
  },
);
