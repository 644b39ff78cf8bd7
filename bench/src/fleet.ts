import { setTimeout as sleep } from 'node:timers/promises';
import { bareChain, bareThroughput } from './fleet-peer.ts';
import { burst, chainLength, fanIn, leaseMs, parallel } from './fleet-project.ts';
import { FleetWorld, type StageTimes, signal, wrong } from './fleet-world.ts';
import type { Options } from './main.ts';
import { family, residentMb } from './memory.ts';
import { type Figure, median, percentile, rounded } from './report.ts';

/** Milliseconds. */
const targets = { chainP50: 15, throughput: 800, killed: leaseMs + 5_000, flushed: 10_000 } as const;

type Case = (world: FleetWorld, rounds: number) => AsyncIterable<Figure>;

/** How little a fleet adds to what its stages do, and how soon it goes on when a part of it has died. */
export async function* fleet({ rounds, only }: Options): AsyncIterable<Figure> {
  await using world = await FleetWorld.open();
  for (const [name, measure] of Object.entries(cases)) {
    if (only.length > 0 && !only.includes(name)) continue;
    yield* measure(world, rounds);
    await world.dismiss();
  }
}

const cases: Readonly<Record<string, Case>> = {
  idle,
  chain,
  throughput,
  'fan-in': wide,
  /** SIGKILL of a worker and all that it has started, as the end of its machine: from then until another begins its stage. */
  killed: (world, rounds) => lost(world, rounds, 'SIGKILL', 'fleet-recovery-killed'),
  /** A worker that is cut off: its session with the database stays open, and nothing but its lease tells. */
  stopped: (world, rounds) => lost(world, Math.min(rounds, 3), 'SIGSTOP', 'fleet-recovery-stopped'),
  flushed,
};

/** Two workers of two places each; a step goes to whichever of them hears of it first. */
async function* chain(world: FleetWorld, rounds: number): AsyncIterable<Figure> {
  const bare = await bareChain(world.redis.url, chainLength, rounds);
  await Promise.all([world.hire(2), world.hire(2)]);
  for (let warming = 0; warming < 3; warming++) await world.run('chain');
  const steps: StageTimes[] = [];
  // The first step waits for nothing but the start of its run.
  for (let round = 0; round < rounds; round++) steps.push(...((await world.run('chain'))[0] ?? []).slice(1));
  const whole = steps.map(({ ready, succeeded }) => succeeded - ready);
  const claimed = steps.map(({ ready, started }) => (started[0] as number) - ready);
  const worked = steps.map(({ started, succeeded }) => succeeded - (started[0] as number));
  for (const [name, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const value = percentile(whole, share);
    yield {
      case: `fleet-chain-${name}`,
      value: rounded(value),
      unit: 'ms',
      ...(name === 'p50' && { target: targets.chainP50 }),
      peer: rounded(bare[name]),
      ratio: rounded(bare[name] / value, 3),
      rounds,
      parts: { readyToStarted: rounded(percentile(claimed, share)), startedToSucceeded: rounded(percentile(worked, share)) },
    };
  }
}

/** As many chains side by side as there are places in the fleet. */
async function* throughput(world: FleetWorld, rounds: number): AsyncIterable<Figure> {
  const stages = parallel * chainLength;
  await Promise.all([world.hire(parallel / 2), world.hire(parallel / 2)]);
  for (let warming = 0; warming < 3; warming++) await world.run('chain', parallel);
  const rates: number[] = [];
  const peers: number[] = [];
  const cpu = { workers: 0, processes: 0, database: 0 };
  for (let round = 0; round < rounds; round++) {
    peers.push(await bareThroughput(world.redis.url, stages, parallel));
    const before = await world.cpuMs();
    rates.push(stages / secondsOf((await world.run('chain', parallel)).flat()));
    const after = await world.cpuMs();
    for (const who of ['workers', 'processes', 'database'] as const) cpu[who] += (after[who] - before[who]) / (stages * rounds);
  }
  yield {
    case: 'fleet-throughput',
    value: Math.round(median(rates)),
    unit: 'stages/s',
    target: targets.throughput,
    peer: Math.round(median(peers)),
    ratio: rounded(median(rates.map((rate, round) => rate / (peers[round] as number))), 3),
    rounds,
    parts: {
      best: Math.round(Math.max(...rates)),
      worst: Math.round(Math.min(...rates)),
      workersCpuMs: rounded(cpu.workers),
      processesCpuMs: rounded(cpu.processes),
      databaseCpuMs: rounded(cpu.database),
    },
  };
}

/** A thousand stages that wait for nothing, and one that waits for all of them. */
async function* wide(world: FleetWorld, rounds: number): AsyncIterable<Figure> {
  await Promise.all([world.hire(parallel / 2), world.hire(parallel / 2)]);
  await world.run('wide');
  const seconds: number[] = [];
  const joins: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const stages = (await world.run('wide'))[0] ?? [];
    const joined = stages.at(-1);
    if (joined?.stage !== 'joined' || stages.length !== fanIn + 1) throw wrong('The stage that waits for all others was not the last.');
    seconds.push(secondsOf(stages));
    joins.push((joined.started[0] as number) - (stages.at(-2) as StageTimes).succeeded);
  }
  yield {
    case: 'fleet-fan-in',
    value: rounded(median(seconds)),
    unit: 's',
    rounds,
    parts: { stagesPerSecond: Math.round((fanIn + 1) / median(seconds)), lastInputToJoinMs: rounded(median(joins)) },
  };
}

async function* lost(world: FleetWorld, rounds: number, how: 'SIGKILL' | 'SIGSTOP', name: string): AsyncIterable<Figure> {
  await Promise.all([world.hire(2), world.hire(2)]);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [run] = (await world.start('slow')) as [string];
    const pid = await holder(world, run);
    await sleep(1_000 + Math.random() * 4_000); // anywhere between two looks of the others
    const since = Date.now();
    signal(pid, how);
    await world.ended([run]);
    if (how === 'SIGSTOP') signal(pid, 'SIGKILL');
    times.push(((await world.times(run))[0]?.started[1] as number) - since);
    await world.hire(2);
  }
  yield {
    case: name,
    value: Math.round(Math.max(...times)),
    unit: 'ms',
    target: targets.killed,
    rounds,
    parts: { median: Math.round(median(times)), lease: leaseMs },
  };
}

/** The process of the worker that runs the only stage of a run. */
async function holder(world: FleetWorld, run: string): Promise<number> {
  for (let tries = 0; tries < 600; tries++) {
    const { rows } = await world.database.query<{ label: string }>(
      `select w.label from millrace.stage s join millrace.worker w on w.id = s.worker where s.run = $1 and s.at = 'running'`,
      [run],
    );
    const pid = /^process (\d+) /.exec(rows[0]?.label ?? '')?.[1];
    if (pid) return Number(pid);
    await sleep(50);
  }
  throw wrong('No worker took up the stage within 30 s.');
}

/** FLUSHALL in the middle of a burst: the longest time afterwards without a stage being begun, until all have been. */
async function* flushed(world: FleetWorld, rounds: number): AsyncIterable<Figure> {
  await Promise.all([world.hire(2), world.hire(2)]);
  await world.run('burst');
  const gaps: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [run] = (await world.start('burst')) as [string];
    while ((await world.times(run)).length < burst / 4) await sleep(20);
    const since = Date.now();
    await world.redis.client.flushall();
    await world.ended([run]);
    const begun = (await world.times(run)).flatMap(({ started }) => started).filter((at) => at > since);
    const moments = [since, ...begun.sort((a, b) => a - b)];
    gaps.push(Math.max(...moments.slice(1).map((at, index) => at - (moments[index] as number))));
  }
  yield {
    case: 'fleet-recovery-flushed',
    value: Math.round(Math.max(...gaps)),
    unit: 'ms',
    target: targets.flushed,
    rounds,
    parts: { median: Math.round(median(gaps)) },
  };
}

/** One worker of two places: as it has started, and after it has worked, when it keeps the processes of its stages (and each the compiler of their TypeScript). */
async function* idle(world: FleetWorld): AsyncIterable<Figure> {
  const others = await connections(world);
  const { pid } = (await world.hire(2)) as { pid: number };
  await sleep(15_000); // connections that nobody uses are closed after ten
  const fresh = residentMb(pid);
  const own = await connections(world);
  await world.run('chain');
  await sleep(15_000);
  const [main = 0, ...processes] = family(pid).map(residentMb);
  yield {
    case: 'fleet-idle-memory',
    value: Math.round(fresh),
    unit: 'MB',
    rounds: 1,
    parts: {
      afterWork: Math.round(main),
      processes: processes.length,
      ofProcesses: Math.round(processes.reduce((sum, one) => sum + one, 0)),
    },
  };
  yield {
    case: 'fleet-idle-connections',
    value: own.database - others.database,
    unit: 'connections',
    rounds: 1,
    parts: { redis: own.redis - others.redis },
  };
}

async function connections({ database, redis }: FleetWorld): Promise<{ database: number; redis: number }> {
  const { rows } = await database.query<{ count: number }>(
    "select count(*)::int from pg_stat_activity where datname = current_database() and backend_type = 'client backend'",
  );
  const clients = (await redis.client.client('LIST')) as string;
  return { database: rows[0]?.count ?? 0, redis: clients.trim().split('\n').length };
}

/** From when the first could be begun until the last was done. */
const secondsOf = (stages: readonly StageTimes[]): number =>
  (Math.max(...stages.map(({ succeeded }) => succeeded)) - Math.min(...stages.map(({ ready }) => ready))) / 1000;
