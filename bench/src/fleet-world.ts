import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, embeddedPostgres } from '@millrace/cli/embedded';
import { MillraceError } from '@millrace/core';
import { compile, type Plan } from '@millrace/core/runtime';
import { fleetExecutor, loadPipeline } from '@millrace/worker';
import pg from 'pg';
import { type FleetProject, fleetProject } from './fleet-project.ts';
import { familyCpuMs, ownCpuMs, parentOf } from './memory.ts';
import { type RedisServer, redisServer } from './redis.ts';

/** What a stage of a run has gone through, by the state database's clock, in milliseconds. */
export interface StageTimes {
  readonly stage: string;
  readonly ready: number;
  /** Of each attempt. */
  readonly started: readonly number[];
  readonly succeeded: number;
}

const command = path.resolve(import.meta.dirname, '../../packages/cli/bin/millrace.js');

/** A state database that waits for its disk as people's do, a Redis, and workers: real `millrace worker` processes. */
export class FleetWorld implements AsyncDisposable {
  readonly database: pg.Client;
  readonly redis: RedisServer;
  readonly #state: string;
  readonly #project: FleetProject;
  readonly #server: AsyncDisposable;
  readonly #workers = new Set<ChildProcess>();
  readonly #plans = new Map<string, Plan>();
  #hired = 0;

  static async open(): Promise<FleetWorld> {
    const server = await embeddedPostgres({ directory: '.millrace/bench-fleet' });
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query('drop database if exists bench_fleet with (force)');
    await admin.end();
    const state = await createDatabase(server.url, 'bench_fleet');
    const database = new pg.Client({ connectionString: state });
    await database.connect();
    return new FleetWorld(server, state, database, await redisServer());
  }

  private constructor(server: AsyncDisposable, state: string, database: pg.Client, redis: RedisServer) {
    this.#server = server;
    this.#state = state;
    this.database = database;
    this.redis = redis;
    this.#project = fleetProject();
  }

  /** Starts a worker of so many places, and waits until it works. */
  async hire(places: number): Promise<ChildProcess> {
    const logs = path.join(this.#project.root, 'logs');
    mkdirSync(logs, { recursive: true });
    const log = path.join(logs, `${++this.#hired}`);
    const out = openSync(log, 'w');
    const worker = spawn(process.execPath, ['--no-warnings', command, 'worker', '--json', '--concurrency', `${places}`], {
      cwd: this.#project.root,
      detached: true,
      env: { ...process.env, STATE_URL: this.#state, REDIS_URL: this.redis.url },
      stdio: ['ignore', out, out],
    });
    this.#workers.add(worker);
    worker.once('exit', () => this.#workers.delete(worker));
    while (!readFileSync(log, 'utf8').includes('"type":"working"')) {
      if (worker.exitCode !== null) throw wrong(`A worker ended with ${worker.exitCode}: ${readFileSync(log, 'utf8')}`);
      await sleep(50);
    }
    return worker;
  }

  /** All at once, as the end of their machines does. */
  async dismiss(): Promise<void> {
    const gone = [...this.#workers].map((worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve())));
    for (const worker of this.#workers) signal(worker.pid as number, 'SIGKILL');
    await Promise.all(gone);
  }

  /** Hands runs to the fleet. Answers their ids. */
  async start(pipeline: string, count = 1): Promise<string[]> {
    await using executor = await fleetExecutor({ state: this.#state });
    const file = this.#project.fileOf(pipeline);
    const plan = this.#plans.get(pipeline) ?? compile((await loadPipeline(file)).pipeline);
    this.#plans.set(pipeline, plan);
    const started = await Promise.all(Array.from({ length: count }, () => executor.start({ file, plan })));
    return started.map(({ run }) => run.id);
  }

  /** Waits until they have succeeded. Looks seldom: what is measured is in the events. */
  async ended(runs: readonly string[], patienceMs = 300_000): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const { rows } = await this.database.query<{ at: string; count: string }>(
        'select at, count(*) from millrace.run where id = any ($1) group by at',
        [runs],
      );
      const states = new Map(rows.map(({ at, count }) => [at, Number(count)]));
      if (states.get('succeeded') === runs.length) return;
      if (!rows.every(({ at }) => ['queued', 'running', 'succeeded'].includes(at))) throw wrong('A run of this bench failed.');
      if (performance.now() > deadline) throw wrong(`Runs of this bench did not end within ${patienceMs / 1000} s.`);
      await sleep(50);
    }
  }

  /** Runs to their ends. */
  async run(pipeline: string, count = 1): Promise<StageTimes[][]> {
    const runs = await this.start(pipeline, count);
    await this.ended(runs);
    const all: StageTimes[][] = [];
    for (const run of runs) all.push(await this.times(run));
    return all;
  }

  /** Of stages that have succeeded, in the order in which they did. */
  async times(run: string): Promise<StageTimes[]> {
    const { rows } = await this.database.query<{ stage: string; type: string; at: number }>(
      `select body ->> 'stage' as stage, type, (extract(epoch from at) * 1000)::float8 as at from millrace.run_event
       where run = $1 and body ->> 'stage' is not null order by seq`,
      [run],
    );
    const stages = new Map<string, { ready: number; started: number[] }>();
    const done: StageTimes[] = [];
    for (const { stage, type, at } of rows) {
      const known = stages.get(stage) ?? { ready: at, started: [] };
      stages.set(stage, known);
      if (type === 'stage.started') known.started.push(at);
      if (type === 'stage.succeeded') done.push({ stage, ...known, succeeded: at });
    }
    return done;
  }

  /** Milliseconds of processor time so far: workers themselves, what they have started, the state database. */
  async cpuMs(): Promise<{ readonly workers: number; readonly processes: number; readonly database: number }> {
    const { rows } = await this.database.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pids = [...this.#workers].map(({ pid }) => pid as number);
    const all = pids.map((pid) => familyCpuMs(pid)).reduce((sum, one) => sum + one, 0);
    const workers = pids.map((pid) => ownCpuMs(pid)).reduce((sum, one) => sum + one, 0);
    return { workers, processes: all - workers, database: familyCpuMs(parentOf(rows[0]?.pid as number)) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dismiss();
    await this.database.end();
    await this.redis[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    this.#project[Symbol.dispose]();
  }
}

/** A worker and all that it has started. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export const wrong = (message: string): MillraceError => new MillraceError('INTERNAL', { message, remedy: 'Please report it.' });
