import { changeSinkConformance, rowSinkConformance, type SinkRow, sinkTable } from '@millrace/core/testing';
import { afterAll, beforeAll, test } from 'vitest';
import { type RedisServer, redisServer } from '../../../../test/redis-server.ts';
import { testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { redis } from './index.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await redisServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const emptied = async () => {
  await server.flush();
  return { [Symbol.asyncDispose]: async () => {} };
};

for (const as of ['hash', 'json'] as const) {
  changeSinkConformance(
    (name, body) => test(`redis, ${as}: ${name}`, body),
    async () => ({ target: () => redis({ url: server.url }).apply({ prefix: 'shop:', as }), ...(await emptied()) }),
    // What keys that are there would get from a new column, or from a new name, only a copy brings.
    { keyless: false, columnChanges: ['drop', 'retype'], seeds: as === 'hash' ? 6 : 2 },
  );
}

changeSinkConformance(
  (name, body) => {
    if (/seed|breaks off|comes again|truncate|round in a circle/.test(name)) test(`redis, without memory: ${name}`, body);
  },
  async () => ({
    target: () => redis({ url: server.url }).apply({ prefix: 'shop:' }),
    // Whatever is pending is written down after each part.
    context: (more) => testContext(undefined, { ...more, memoryBudget: 1 }),
    ...(await emptied()),
  }),
  { keyless: false, columnChanges: ['drop', 'retype'], seeds: 4, firstSeed: 20 },
);

rowSinkConformance(
  (name, body) => test(`redis: ${name}`, body),
  async () => ({
    // Keys know no append: what comes takes the place of what is there.
    target: (mode) => redis({ url: server.url }).keys({ key: 'row:<id>', mode: mode === 'replace' ? 'replace' : 'merge' }),
    read: async () => {
      const stored = redis({ url: server.url }).keys({ key: 'row:<id>' }).stored?.(sinkTable);
      return stored ? ((await readAll(stored)).rows as unknown as SinkRow[]) : [];
    },
    ...(await emptied()),
  }),
  { modes: ['merge', 'replace'] },
);
