import { afterAll, beforeAll } from 'vitest';
import { type RedisServer, redisServer } from '../../../../test/redis-server.ts';
import { dispatchConformance } from '../../test/dispatch-conformance.ts';
import { bullmqDispatch } from './bullmq.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await redisServer();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

dispatchConformance('BullMQ on Redis', { open: (queue) => bullmqDispatch({ url: redis.url, queue }), shared: true });
