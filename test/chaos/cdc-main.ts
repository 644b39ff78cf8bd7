import { bundled } from '../bundle.ts';
import { type ChaosResult, chaos, chaosServers } from './chaos.ts';

/*
 * npm run chaos -- [cdc] [mariadb] --seeds 200 [--first 1] [--seconds 6] [--json]
 *
 * Each seed is a random schedule of faults over a bank under load; see chaos.ts. Ends with 1 at the first seed after which something is wrong.
 */

export async function main(words: string[]): Promise<void> {
  const engine = words[0] === 'mariadb' ? 'mariadb' : 'postgres';
  if (engine === 'mariadb') words.shift();
  const flags = new Map<string, string>();
  for (let word = words.shift(); word !== undefined; word = words.shift())
    flags.set(word, word === '--json' ? 'true' : (words.shift() ?? ''));
  const seeds = Number(flags.get('--seeds') ?? 20);
  const first = Number(flags.get('--first') ?? 1);
  const duration = Number(flags.get('--seconds') ?? 6) * 1000;

  await using program = await bundled(new URL('./worker.ts', import.meta.url));
  await using servers = await chaosServers(engine);
  if (servers.disk.missing) console.error(`"spool disk full" is left out: ${servers.disk.missing}.`);
  const totals: ChaosResult[] = [];
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await chaos({ seed, program: program.file, servers, duration });
    totals.push(result);
    if (flags.has('--json')) console.log(JSON.stringify(result));
    else {
      const faults = Object.values(result.faults).reduce((sum, count) => sum + count, 0);
      const { bookings, attempts, looks } = result;
      console.log(
        `seed ${seed}: ${bookings} bookings, ${faults} faults, ${attempts} attempts, ${looks} looks, ${result.seconds} s: ${result.wrong.length === 0 ? 'equal' : 'WRONG'}`,
      );
    }
    if (result.wrong.length > 0) {
      for (const problem of result.wrong) console.error(`  ${problem}`);
      process.exitCode = 1;
      break;
    }
  }
  const sum = (of: (result: ChaosResult) => number): number => totals.reduce((total, result) => total + of(result), 0);
  const faults: Record<string, number> = {};
  for (const result of totals) for (const [fault, count] of Object.entries(result.faults)) faults[fault] = (faults[fault] ?? 0) + count;
  console.error(
    `${totals.length} seeds, ${sum(({ bookings }) => bookings)} bookings, ${sum(({ attempts }) => attempts)} attempts, ${sum(({ looks }) => looks)} looks of a reader, ${sum(({ seconds }) => seconds).toFixed(0)} s`,
  );
  console.error(`  ${String(sum(({ fullDisks }) => fullDisks)).padStart(5)}  attempts ended for want of room`);
  for (const [fault, count] of Object.entries(faults).sort(([a], [b]) => a.localeCompare(b)))
    console.error(`  ${String(count).padStart(5)}  ${fault}`);
}
