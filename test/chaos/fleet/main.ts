import { type FleetChaosResult, fleetChaos, fleetWorld } from './fleet-chaos.ts';

/*
 * npm run chaos -- fleet --seeds 500 [--first 1] [--seconds 3] [--json]
 *
 * Each seed is a random schedule of faults over random DAGs on three workers; see fleet-chaos.ts. Ends with 1 at the first seed after which
 * something is wrong. The pipelines are made from the first seed.
 */
export async function main(words: string[]): Promise<void> {
  const flags = new Map<string, string>();
  for (let word = words.shift(); word !== undefined; word = words.shift())
    flags.set(word, word === '--json' ? 'true' : (words.shift() ?? ''));
  const seeds = Number(flags.get('--seeds') ?? 20);
  const first = Number(flags.get('--first') ?? 1);
  const duration = Number(flags.get('--seconds') ?? 3) * 1000;
  const totals: FleetChaosResult[] = [];
  await using world = await fleetWorld({ pipelines: 10, seed: first });
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await fleetChaos(world, seed, duration);
    totals.push(result);
    const { runs, stages, attempts, seconds, wrong } = result;
    if (flags.has('--json')) console.log(JSON.stringify(result));
    else
      console.log(
        `seed ${seed}: ${runs} runs, ${stages} stages, ${attempts} attempts, ${seconds} s: ${wrong.length === 0 ? 'well' : 'WRONG'}`,
      );
    if (wrong.length > 0) {
      for (const problem of wrong) console.error(`  ${problem}`);
      process.exitCode = 1;
      break;
    }
  }
  await world.fleet.dismiss();
  for (const problem of world.fleet.wrong) {
    console.error(`  ${problem}`);
    process.exitCode = 1;
  }
  const faults: Record<string, number> = {};
  for (const result of totals) for (const [fault, count] of Object.entries(result.faults)) faults[fault] = (faults[fault] ?? 0) + count;
  const sum = (of: 'runs' | 'stages' | 'attempts' | 'seconds'): number => totals.reduce((total, result) => total + result[of], 0);
  console.error(
    `${totals.length} seeds, ${sum('runs')} runs, ${sum('stages')} stages, ${sum('attempts')} attempts, ${sum('seconds').toFixed(0)} s`,
  );
  for (const [fault, count] of Object.entries(faults).sort(([a], [b]) => a.localeCompare(b)))
    console.error(`  ${String(count).padStart(5)}  ${fault}`);
}
