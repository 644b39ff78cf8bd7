import { setTimeout as sleep } from 'node:timers/promises';
import { compile, type Plan, type RunRecord } from '@millrace/core/runtime';
import { type FleetExecutor, fleetExecutor, loadPipeline } from '@millrace/worker';
import type { TestDatabase } from '../../database.ts';
import { type LogicalServer, logicalServer } from '../../logical-server.ts';
import { type RedisServer, redisServer } from '../../redis-server.ts';
import { type Random, random } from '../random.ts';
import { Fleet } from './fleet.ts';
import { effectsSql, type FleetDag, sequencesSql, sourceRows, tableOf } from './pipelines.ts';
import { serviceSql } from './service.ts';

export interface FleetChaosResult {
  readonly seed: number;
  readonly faults: Readonly<Partial<Record<FleetFault, number>>>;
  readonly runs: number;
  readonly stages: number;
  /** More than stages where attempts were lost, failed or given back. */
  readonly attempts: number;
  readonly seconds: number;
  /** Empty where all is well. */
  readonly wrong: readonly string[];
}

/** A fleet, its servers and its pipelines, kept over several seeds. */
export interface FleetWorld extends AsyncDisposable {
  readonly postgres: LogicalServer;
  readonly redis: RedisServer;
  readonly state: TestDatabase;
  readonly target: TestDatabase;
  readonly fleet: Fleet;
  readonly executor: FleetExecutor;
  readonly plans: ReadonlyMap<FleetDag, Plan>;
}

const workers = 3;
/** Seeds that hire one more leave no more of them to the next one. */
const mostWorkers = 5;

export async function fleetWorld({ pipelines, seed }: { readonly pipelines: number; readonly seed: number }): Promise<FleetWorld> {
  // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
  const postgres = await logicalServer({ settings: { synchronous_commit: 'on' } });
  const redis = await redisServer();
  const [state, target] = [await postgres.database(), await postgres.database()];
  const fleet = new Fleet({ STATE_URL: state.url, TARGET_URL: target.url, REDIS_URL: redis.url }, pipelines, random(seed));
  await target.sql([effectsSql, serviceSql, ...fleet.dags.map(sequencesSql)].join('\n'));
  const executor = await fleetExecutor({ state: state.url });
  const plans = new Map<FleetDag, Plan>();
  for (const dag of fleet.dags) plans.set(dag, compile((await loadPipeline(fleet.fileOf(dag))).pipeline));
  await Promise.all(Array.from({ length: workers }, () => fleet.hire()));
  return {
    postgres,
    redis,
    state,
    target,
    fleet,
    executor,
    plans,
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]();
      await executor[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
      await state[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      await postgres[Symbol.asyncDispose]();
    },
  };
}

interface Scene extends FleetWorld {
  readonly dice: Random;
}

/** Each comes back once it is over, so two of them never meet. */
const allFaults = {
  'worker killed': async ({ fleet }) => {
    fleet.kill();
    await fleet.hire();
  },
  'worker asleep beyond its lease': ({ fleet, dice }) => fleet.asleep(dice.between(2_200, 5_000)),
  'worker asleep for a moment': ({ fleet, dice }) => fleet.asleep(dice.between(100, 1_500)),
  'worker drained': async ({ fleet }) => {
    fleet.drain();
    await fleet.hire();
  },
  'one worker more': ({ fleet }) => fleet.hire(),
  'Redis flushed': ({ redis }) => redis.flush(),
  'Redis killed and started': async ({ redis, dice }) => {
    await redis.kill();
    await sleep(dice.between(0, 1_500));
    await redis.start();
  },
  'Postgres crashed': async ({ postgres, dice }) => {
    await postgres.stop('immediate');
    await sleep(dice.between(0, 500));
    await postgres.start();
  },
  'sessions of the state terminated': ({ state }) => terminate(state),
  'sessions of the target terminated': ({ target }) => terminate(target),
  'wake-ups doubled': async ({ state }) =>
    void (await state.sql(`insert into millrace.outbox (queue, run, stage)
      select r.queue, s.run, s.id from millrace.stage s join millrace.run r on r.id = s.run, generate_series(1, 3)
      where r.at in ('queued', 'running') order by random()`)),
  'wake-ups lost': async ({ state }) => void (await state.sql('delete from millrace.outbox')),
} satisfies Readonly<Record<string, (scene: Scene) => Promise<unknown>>>;

export type FleetFault = keyof typeof allFaults;
export const fleetFaults = Object.keys(allFaults) as FleetFault[];

const terminate = async (database: TestDatabase): Promise<void> =>
  void (await database
    .sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like 'millrace%'", [database.name])
    .catch(() => {}));

/**
 * Random DAGs on a fleet while a random schedule of faults goes on. Then every stage must have had its effect once, after those it waits
 * for; every run must have ended; a service must have been asked for no work beside work of the same stage that went on; and nothing may be
 * held any more, nor go on elsewhere. The first fault goes through all of them as the seeds do.
 */
export async function fleetChaos(world: FleetWorld, seed: number, duration: number, signal?: AbortSignal): Promise<FleetChaosResult> {
  const { fleet, executor, plans } = world;
  const started = performance.now();
  const dice = random(seed);
  const scene: Scene = { ...world, dice };
  const faults: Partial<Record<FleetFault, number>> = {};
  const wrong: string[] = [];
  let runs: RunRecord[] = [];
  try {
    const chosen = Array.from({ length: dice.between(1, 3) }, () => dice.pick(fleet.dags));
    for (const dag of chosen)
      for (let wanted = dice.between(1, 2); wanted > 0; wanted--)
        runs.push((await executor.start({ file: fleet.fileOf(dag), plan: plans.get(dag) as Plan, unfinished: 'queue' })).run);
    const end = Date.now() + duration;
    for (let fault = fleetFaults[seed % fleetFaults.length] as FleetFault; ; fault = dice.pick(fleetFaults)) {
      await sleep(dice.between(50, 600));
      signal?.throwIfAborted();
      faults[fault] = (faults[fault] ?? 0) + 1;
      await allFaults[fault](scene);
      if (Date.now() >= end) break;
    }
    while (fleet.size < 2) await fleet.hire();
    const patience = AbortSignal.any([AbortSignal.timeout(180_000), ...(signal ? [signal] : [])]);
    runs = await Promise.all(runs.map(({ id }) => executor.finished(id, { signal: patience })));
    wrong.push(...(await whatIsWrong(world, runs)));
  } catch (error) {
    wrong.push(`${error instanceof Error ? error.message : String(error)}`);
    for (const { id } of runs) wrong.push(await told(world, id));
  }
  await fleet.dismiss(mostWorkers);
  wrong.push(...fleet.wrong.splice(0));
  const stages = runs.reduce((sum, run) => sum + run.plan.stages.length, 0);
  const attempts = await attemptsOf(world, runs).catch(() => 0);
  return { seed, faults, runs: runs.length, stages, attempts, seconds: Math.round((performance.now() - started) / 100) / 10, wrong };
}

async function whatIsWrong({ state, target }: FleetWorld, runs: readonly RunRecord[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const run of runs) {
    if (run.state.at !== 'succeeded') wrong.push(`Run ${run.id} of ${run.request.pipeline} ended ${JSON.stringify(run.state)}.`);
    // Work of a service begins before its effect is there.
    const effects = await target.sql<{ step: string; begun: string; at: string }>(
      `select step, at::text as begun, at::text as at from effect where run = $1
       union all select step, applied_at::text, applied_at::text from _millrace.applied where run = $1 and step = any ($2)
       union all select step, started_at::text, ends_at::text from work where run = $1 and not again and stopped_at is null`,
      [run.id, loadsOf(run)],
    );
    for (const { id, needs } of run.plan.stages) {
      const own = effects.filter(({ step }) => step === id);
      if (own.length !== 1) wrong.push(`Stage ${id} of run ${run.id} had its effect ${own.length} times.`);
      for (const need of needs) {
        const before = effects.find(({ step }) => step === need);
        if (before && own[0] && before.at > own[0].begun) wrong.push(`Stage ${id} of run ${run.id} came before ${need}.`);
      }
    }
    const events = await state.sql<{ stage: string }>(
      "select body ->> 'stage' as stage from millrace.run_event where run = $1 and type = 'stage.succeeded'",
      [run.id],
    );
    if (new Set(events.map(({ stage }) => stage)).size !== events.length) wrong.push(`A stage of run ${run.id} has succeeded twice.`);
  }
  for (const { name, pipeline, step } of loadTables(runs)) {
    const [row] = await target.sql<{ rows: number; ids: number; loads: number }>(
      `select count(*)::int as rows, count(distinct id)::int as ids, (select count(*)::int from _millrace.applied where pipeline = $1 and step = $2) as loads from ${name}`,
      [pipeline, step],
    );
    if (row?.ids !== sourceRows || row.rows !== sourceRows * row.loads) wrong.push(`${name} holds ${JSON.stringify(row)}.`);
  }
  const [beside] = await target.sql<{
    count: number;
  }>(`select count(*)::int as count from work a join work b on a.run = b.run and a.step = b.step
    and a.id < b.id where b.started_at < least(a.ends_at, a.stopped_at)`);
  if (beside?.count !== 0) wrong.push(`A service was asked ${beside?.count} times for work while work of the same stage went on.`);
  const [goesOn] = await target.sql<{ count: number }>(
    'select count(*)::int as count from work where ends_at > clock_timestamp() and stopped_at is null',
  );
  if (goesOn?.count !== 0) wrong.push(`At a service ${goesOn?.count} works go on.`);
  const [held] = await state.sql<{ leases: number; attempts: number; open: number }>(`select
    (select count(*)::int from millrace.stage where at = 'running') as leases,
    (select count(*)::int from millrace.stage where at = 'elsewhere') as elsewhere,
    (select count(*)::int from millrace.attempt where ended_at is null) as attempts,
    (select count(*)::int from millrace.share h join millrace.stage s on s.run = h.run and s.id = h.stage and s.epoch = h.epoch and s.at = 'running') as shares,
    (select count(*)::int from millrace.run where at in ('queued', 'running')) as open`);
  if (held && Object.values(held).some((count) => count > 0)) wrong.push(`Something is held still: ${JSON.stringify(held)}.`);
  return wrong;
}

const loadsOf = ({ plan }: RunRecord): string[] => plan.stages.flatMap(({ id, kind }) => (kind === 'rows' ? [id] : []));

function loadTables(runs: readonly RunRecord[]): { readonly name: string; readonly pipeline: string; readonly step: string }[] {
  const tables = runs.flatMap((run) => {
    const { pipeline } = run.request;
    return loadsOf(run).map((step) => ({ name: tableOf(pipeline, step), pipeline, step }));
  });
  return [...new Map(tables.map((one) => [one.name, one])).values()];
}

async function attemptsOf({ state }: FleetWorld, runs: readonly RunRecord[]): Promise<number> {
  const [row] = await state.sql<{ count: number }>('select count(*)::int as count from millrace.attempt where run = any ($1)', [
    runs.map(({ id }) => id),
  ]);
  return row?.count ?? 0;
}

/** Where a run has come to, for whoever looks why. */
async function told({ executor }: FleetWorld, id: string): Promise<string> {
  try {
    const { run, stages } = await executor.show(id);
    const open = stages
      .filter(({ state }) => state.at !== 'succeeded')
      .map(({ id: stage, state, waits }) => `${stage} ${state.at} (${waits})`);
    return `Run ${id} of ${run.request.pipeline} is ${run.state.at}: ${open.join(', ')}`;
  } catch (error) {
    return `Run ${id}: ${error}`;
  }
}
