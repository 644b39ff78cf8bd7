import { changeSinkConformance } from '@millrace/core/testing';
import { afterAll, beforeAll, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { mysql } from '../connection.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

changeSinkConformance(
  (name, body) => test(`mysql: ${name}`, { timeout: 60_000 }, body),
  async () => {
    const { url } = await server.database();
    return { target: () => mysql({ url, maxConnections: 2 }).apply(), [Symbol.asyncDispose]: async () => {} };
  },
  { seeds: 3, keyless: false },
);
