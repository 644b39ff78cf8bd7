import { changeSinkConformance } from '@millrace/core/testing';
import { test } from 'vitest';
import { testDatabase } from '../../../../../test/postgres.ts';
import { postgres } from '../connection.ts';

changeSinkConformance(
  (name, body) => test(`postgres: ${name}`, { timeout: 60_000 }, body),
  async () => {
    const db = await testDatabase();
    return {
      target: () => postgres({ url: db.url, maxConnections: 2 }).apply({ schema: 'mirror' }),
      [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
    };
  },
  { seeds: 4 },
);
