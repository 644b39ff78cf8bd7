import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../bundle.ts';
import { type ChaosServers, chaos, chaosServers } from './chaos.ts';

let program: Awaited<ReturnType<typeof bundled>>;
let servers: ChaosServers;
beforeAll(async () => {
  program = await bundled(new URL('./worker.ts', import.meta.url));
  servers = await chaosServers('mariadb');
});
afterAll(async () => {
  await servers?.[Symbol.asyncDispose]();
  await program?.[Symbol.asyncDispose]();
});

/** More of them: `npm run chaos -- mariadb --seeds 100`. */
test.for([1, 2, 3, 4])(
  'whatever happens to a bank in MariaDB, to its mirror and in between, they are equal at every moment: seed %i',
  { timeout: 300_000 },
  async (seed, { signal }) => {
    const result = await chaos({ seed, program: program.file, servers, duration: 2_000, signal });
    expect(result.wrong).toEqual([]);
    expect(result.bookings).toBeGreaterThan(0);
  },
);
