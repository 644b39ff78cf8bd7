import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundled } from '../bundle.ts';
import { type ChaosResult, type ChaosServers, chaos, chaosServers } from './chaos.ts';
import { faultsOf } from './faults.ts';

let program: Awaited<ReturnType<typeof bundled>>;
let servers: ChaosServers;
beforeAll(async () => {
  program = await bundled(new URL('./worker.ts', import.meta.url));
  servers = await chaosServers();
});
afterAll(async () => {
  await servers?.[Symbol.asyncDispose]();
  await program?.[Symbol.asyncDispose]();
});

/** More of them: `npm run chaos -- --seeds 200`. */
const seeds = Array.from({ length: 20 }, (_, seed) => seed + 1);
const results: ChaosResult[] = [];

test.for(seeds)(
  'whatever happens to either end and in between, the mirror equals the bank, at every moment: seed %i',
  { timeout: 300_000 },
  async (seed, { signal }) => {
    const result = await chaos({ seed, program: program.file, servers, duration: 2_000, signal });
    expect(result.wrong).toEqual([]);
    results.push(result);
  },
);

test('in these seeds every fault has happened, a full disk has ended attempts, and somebody has looked on', ({ skip }) => {
  skip(results.length < seeds.length, 'not every seed has passed');
  const { missing } = servers.disk;
  if (missing) console.error(`"spool disk full" is left out: ${missing}.`);
  const expected = faultsOf('postgres').filter((fault) => fault !== 'spool disk full' || !missing);
  const happened = new Set(results.flatMap(({ faults }) => Object.keys(faults)));
  expect(expected.filter((fault) => !happened.has(fault))).toEqual([]);
  const sum = (of: (result: ChaosResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  if (!missing) expect(sum(({ fullDisks }) => fullDisks)).toBeGreaterThan(0);
  expect(sum(({ looks }) => looks)).toBeGreaterThan(seeds.length);
});
