import { type FleetChaosResult, fleetChaos, fleetWorld } from './fleet-chaos.ts';

/*
 * npm run chaos -- fleet --seeds 500 [--first 1] [--seconds 3] [--json]
 *
 * Each seed is a random schedule of faults over random DAGs on three workers; see fleet-chaos.ts. Ends with 1 at the first seed after which
 * something is wrong. A world of three pipelines, made from its first seed, serves twenty seeds: few enough that workers keep their processes.
 */
const [seedsEach, pipelines] = [20, 3];

export async function main(words: string[]): Promise<void> {
  const flags = new Map<string, string>();
  for (let word = words.shift(); word !== undefined; word = words.shift())
    flags.set(word, word === '--json' ? 'true' : (words.shift() ?? ''));
  const seeds = Number(flags.get('--seeds') ?? 20);
  const first = Number(flags.get('--first') ?? 1);
  const duration = Number(flags.get('--seconds') ?? 3) * 1000;
  const totals: FleetChaosResult[] = [];
  const last = first + seeds - 1;
  for (let from = first; from <= last && process.exitCode === undefined; ) {
    const birth = from - ((from - 1) % seedsEach);
    const to = Math.min(last, birth + seedsEach - 1);
    await using world = await fleetWorld({ pipelines, seed: birth });
    for (let seed = from; seed <= to; seed++) {
      const result = await fleetChaos(world, seed, duration);
      totals.push(result);
      tell(result, flags.has('--json'));
      if (result.wrong.length > 0) break;
    }
    await world.fleet.dismiss();
    complain(world.fleet.wrong);
    from = to + 1;
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

function tell(result: FleetChaosResult, json: boolean): void {
  const { seed, runs, stages, attempts, seconds, wrong } = result;
  if (json) console.log(JSON.stringify(result));
  else
    console.log(
      `seed ${seed}: ${runs} runs, ${stages} stages, ${attempts} attempts, ${seconds} s: ${wrong.length === 0 ? 'well' : 'WRONG'}`,
    );
  complain(wrong);
}

function complain(problems: readonly string[]): void {
  for (const problem of problems) console.error(`  ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}
