import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FleetChaosResult, type FleetWorld, fleetChaos, fleetWorld } from './fleet-chaos.ts';

/** More of them: `npm run chaos -- fleet --seeds 500`. */
const seeds = Array.from({ length: 20 }, (_, seed) => seed + 1);
const results: FleetChaosResult[] = [];

let world: FleetWorld;
beforeAll(async () => {
  world = await fleetWorld({ pipelines: 3, seed: 1 });
});
afterAll(() => world?.[Symbol.asyncDispose]());

test.for(seeds)(
  'whatever happens to workers and servers, every stage has its effect once, in its order: seed %i',
  async (seed, { signal }) => {
    const result = await fleetChaos(world, seed, 700, signal);
    results.push(result);
    expect(result.wrong).toEqual([]);
  },
);

test('attempts were lost on the way, services did work and interrupted some, and a fleet that is dismissed goes in an orderly way', async ({
  skip,
}) => {
  skip(results.length < seeds.length, 'not every seed has passed');
  const sum = (of: 'stages' | 'attempts') => results.reduce((total, result) => total + result[of], 0);
  expect(sum('attempts')).toBeGreaterThan(sum('stages'));
  const [elsewhere] = await world.target.sql<{ done: number; interrupted: number }>(
    'select (count(*) filter (where not again))::int as done, (count(*) filter (where again))::int as interrupted from work',
  );
  expect(elsewhere?.done).toBeGreaterThan(20);
  expect(elsewhere?.interrupted).toBeGreaterThan(5);
  await world.fleet.dismiss();
  expect(world.fleet.wrong).toEqual([]);
  const alive = 'select 1 from pg_locks l join millrace.worker w on l.objid = w.lock_key where l.locktype = $1 and l.granted';
  expect(await world.state.sql(alive, ['advisory'])).toEqual([]);
});
