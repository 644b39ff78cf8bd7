import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../bundle.ts';
import { type ChaosServers, chaos, chaosServers } from './chaos.ts';

let program: Awaited<ReturnType<typeof bundled>>;
let servers: ChaosServers;
beforeAll(async () => {
  program = await bundled(new URL('./worker.ts', import.meta.url));
  servers = await chaosServers();
});
afterAll(async () => {
  await servers[Symbol.asyncDispose]();
  await program[Symbol.asyncDispose]();
});

/** More of them: `npm run chaos -- --seeds 200`. */
const seeds = Array.from({ length: 20 }, (_, seed) => seed + 1);

test.for(seeds)(
  'whatever happens to either end and in between, the mirror equals the bank, at every moment: seed %i',
  { timeout: 300_000 },
  async (seed) => {
    const { wrong } = await chaos({ seed, program: program.file, servers, duration: 2_500 });
    expect(wrong).toEqual([]);
  },
);
