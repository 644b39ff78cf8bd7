import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from '@millrace/core/runtime';
import { type FleetExecutor, fleetExecutor, loadPipeline } from '@millrace/worker';
import pg from 'pg';
import { vi } from 'vitest';
import type { TestDatabase } from '../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../test/logical-server.ts';
import { type RedisServer, redisServer } from '../../../test/redis-server.ts';
import { type CommandResult, type RunningCommand, startMillrace } from './command.ts';
import { faultsProject, gateKey, shopSql, warehouseSql } from './fleet-faults-project.ts';
import type { TestProject } from './project.ts';

export const patient = { timeout: 60_000, interval: 100 };

/** Holds up what passes through `gate()` in a database until it is opened. */
export interface Gate extends AsyncDisposable {
  /** So many sessions are held up; with a name, those of that name. */
  reached(count: number, application?: string): Promise<void>;
  open(): Promise<void>;
}

/** What a run has left at its target; each of its effects is to be there once. */
export interface Effects {
  readonly rows: number;
  readonly ids: number;
  readonly loads: number;
  readonly notes: Readonly<Record<string, number>>;
}

type Server = 'state' | 'source' | 'target';

/** A fleet of real processes, each of whose servers may be taken from it. */
export class FaultsWorld implements AsyncDisposable {
  readonly servers: Readonly<Record<Server, LogicalServer>>;
  readonly redis: RedisServer;
  readonly state: TestDatabase;
  readonly shop: TestDatabase;
  readonly warehouse: TestDatabase;
  readonly executor: FleetExecutor;
  readonly #project: TestProject;
  readonly #workers = new Set<RunningCommand>();
  readonly #schedulers = new Set<RunningCommand>();
  /** Processes that have ended without having been asked to. */
  readonly #broken: string[] = [];
  readonly #asked = new Set<RunningCommand>();

  static async open(): Promise<FaultsWorld> {
    // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
    const settings = { synchronous_commit: 'on' };
    const [state, source, target, redis] = await Promise.all([
      logicalServer({ settings }),
      logicalServer({ settings }),
      logicalServer({ settings }),
      redisServer(),
    ]);
    const databases = await Promise.all([state.database(), source.database(), target.database()]);
    const executor = await fleetExecutor({ state: databases[0].url });
    await databases[1].sql(shopSql);
    await databases[2].sql(warehouseSql);
    return new FaultsWorld({ state, source, target }, redis, databases, executor);
  }

  private constructor(
    servers: FaultsWorld['servers'],
    redis: RedisServer,
    [state, shop, warehouse]: readonly [TestDatabase, TestDatabase, TestDatabase],
    executor: FleetExecutor,
  ) {
    this.servers = servers;
    this.redis = redis;
    this.state = state;
    this.shop = shop;
    this.warehouse = warehouse;
    this.executor = executor;
    this.#project = faultsProject();
  }

  /** A worker more. */
  async hire(skewMs = 0): Promise<RunningCommand> {
    const worker = this.#start('worker', skewMs);
    this.#workers.add(worker);
    void worker.ended.then(() => this.#workers.delete(worker));
    await worker.said('"type":"working"');
    return worker;
  }

  /** There are so many workers. */
  async staffed(count: number): Promise<void> {
    await Promise.all(Array.from({ length: Math.max(0, count - this.#workers.size) }, () => this.hire()));
  }

  async schedule(skewMs = 0): Promise<RunningCommand> {
    const scheduler = this.#start('scheduler', skewMs);
    this.#schedulers.add(scheduler);
    void scheduler.ended.then(() => this.#schedulers.delete(scheduler));
    await scheduler.said('"scheduling"');
    return scheduler;
  }

  /** Its main process, or with all that it has started. */
  signal(process: RunningCommand, name: NodeJS.Signals, what: 'alone' | 'all' = 'all'): void {
    if (name !== 'SIGSTOP' && name !== 'SIGCONT') this.#asked.add(process);
    const pid = process.process.pid as number;
    globalThis.process.kill(what === 'all' && name !== 'SIGTERM' ? -pid : pid, name);
  }

  /** All workers, as a deployment does. */
  async dismiss(): Promise<CommandResult[]> {
    const all = [...this.#workers];
    for (const worker of all) this.signal(worker, 'SIGTERM');
    return Promise.all(all.map(({ ended }) => ended));
  }

  /** Hands a run over. */
  async begin(pipeline: string): Promise<string> {
    const file = join(this.#project.root, 'pipelines', `${pipeline}.ts`);
    const plan = compile((await loadPipeline(file)).pipeline);
    return (await this.executor.start({ file, plan })).run.id;
  }

  /** What a test that has failed has left, so that the next one begins with nothing: no runs, and nobody who is asleep or broken. */
  async giveUp(): Promise<void> {
    const all = [...this.#workers, ...this.#schedulers];
    for (const one of all) this.signal(one, 'SIGKILL');
    await Promise.all(all.map(({ ended }) => ended));
    this.#broken.length = 0;
    await this.staffed(2);
    for (const { id } of await this.executor.list({ states: ['queued', 'running'] })) await this.executor.cancel(id);
  }

  /** How the run has ended. */
  async end(run: string): Promise<string> {
    return (await this.executor.finished(run, { signal: AbortSignal.timeout(120_000) })).state.at;
  }

  /** The worker that makes the attempt of this epoch at a stage, once there is one. */
  async workerOf(run: string, stage: string, epoch = 1): Promise<RunningCommand> {
    return vi.waitFor(async () => {
      const [attempt] = await this.state.sql<{ worker: string }>(
        'select worker from millrace.attempt where run = $1 and stage = $2 and epoch = $3',
        [run, stage, epoch],
      );
      const pid = Number(/-(\d+)-[0-9a-f]+$/.exec(attempt?.worker ?? '')?.[1]);
      const found = [...this.#workers].find(({ process }) => process.pid === pid);
      if (!found) throw new Error(`Nobody of ours makes attempt ${epoch} at ${stage}.`);
      return found;
    }, patient);
  }

  /** What has become of the attempts at a stage. */
  async attempts(run: string, stage: string): Promise<string[]> {
    const rows = await this.state.sql<{ attempt: number; result: string }>(
      'select attempt, result from millrace.attempt where run = $1 and stage = $2 order by epoch',
      [run, stage],
    );
    return rows.map(({ attempt, result }) => `${attempt} ${result}`);
  }

  async effects(run: string): Promise<Effects> {
    const [effects] = await this.warehouse.sql<Effects & Record<string, unknown>>(
      `select (select count(*)::int from public.orders) as rows, (select count(distinct id)::int from public.orders) as ids,
        (select count(*)::int from _millrace.applied where run = $1) as loads,
        (select coalesce(json_object_agg(step, times), '{}') from (select step, count(*)::int as times from note where run = $1 group by step) n) as notes`,
      [run],
    );
    return effects as Effects;
  }

  /** Stages of a run that have ended with success, in the order of the log. */
  async succeeded(run: string): Promise<string[]> {
    const rows = await this.state.sql<{ stage: string }>(
      "select body ->> 'stage' as stage from millrace.run_event where run = $1 and type = 'stage.succeeded' order by seq",
      [run],
    );
    return rows.map(({ stage }) => stage);
  }

  async gate(of: 'source' | 'target'): Promise<Gate> {
    const { url, name } = of === 'source' ? this.shop : this.warehouse;
    const holder = new pg.Client({ connectionString: url });
    holder.on('error', () => {}); // a server that goes opens its gates
    await holder.connect();
    await holder.query('select pg_advisory_lock($1)', [gateKey]);
    const database = of === 'source' ? this.shop : this.warehouse;
    return {
      reached: (count, application = '') =>
        vi.waitFor(async () => {
          const waiting = await database.sql(
            `select from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.objid = $1 and not l.granted
              and a.datname = $2 and a.application_name like '%' || $3`,
            [gateKey, name, application],
          );
          if (waiting.length !== count) throw new Error(`${waiting.length} wait at the gate of the ${of}, not ${count}.`);
        }, patient),
      open: () => holder.end(),
      [Symbol.asyncDispose]: () => holder.end(),
    };
  }

  /** A crash of a Postgres, which comes back when the work is done. */
  async without(server: Server, work: () => Promise<void> = async () => {}): Promise<void> {
    await this.servers[server].stop('immediate');
    try {
      await work();
    } finally {
      await this.servers[server].start();
    }
  }

  /** Wake-ups that lie in Redis. */
  async wakeUps(): Promise<number> {
    return Number((await this.redis.command('ZCARD', '{millrace:default}:stages:prioritized')).slice(1));
  }

  /** The programs whose clock was put wrong, and by how much. */
  skewed(): string {
    const file = join(this.#project.root, 'skewed');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** As if no scheduler had looked for so long; an SQL interval. */
  async rewind(pipeline: string, interval: string): Promise<void> {
    await this.state.sql(
      `update millrace.schedule set evaluated_at = clock_timestamp() - $2::interval, next_at = clock_timestamp() - interval '1 ms' where pipeline = $1`,
      [pipeline, interval],
    );
  }

  /** What a fleet that has nothing to do may not hold: everything is to be nought. */
  async held(): Promise<Record<string, number>> {
    const [state] = await this.state.sql(`select
      (select count(*)::int from millrace.run where at in ('queued', 'running')) as runs,
      (select count(*)::int from millrace.stage where at in ('ready', 'running', 'retrying') or worker is not null or lease_until is not null) as stages,
      (select count(*)::int from millrace.attempt where ended_at is null) as attempts,
      (select count(*)::int from millrace.share) as shares,
      (select count(*)::int from millrace.outbox) as outbox,
      (select count(*)::int from millrace.tick where state in ('waiting', 'launching')) as ticks`);
    const [source] = await this.shop.sql(`select (select count(*)::int from pg_replication_slots where active) as slots,
      (select count(*)::int from pg_stat_activity where datname = current_database() and application_name like 'millrace%' and xact_start is not null) as reading`);
    const [target] = await this.warehouse.sql(`select (select count(*)::int from _millrace.staged) as staged,
      (select count(*)::int from pg_stat_activity where datname = current_database() and application_name like 'millrace load%') as writing,
      (select count(*)::int from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database() where l.locktype = 'advisory') as locks`);
    return { ...state, ...source, ...target, wakeUps: await this.wakeUps() } as Record<string, number>;
  }

  /** Processes that have ended without having been asked to, or badly. */
  get broken(): readonly string[] {
    return this.#broken;
  }

  #start(role: 'worker' | 'scheduler', skewMs: number): RunningCommand {
    const skewed = {
      CLOCK_SKEW: String(skewMs),
      NODE_OPTIONS: `--conditions=millrace-bundled --import=${new URL('clock.mjs', `file://${this.#project.root}/`).href}`,
    };
    const env = { STATE_URL: this.state.url, SHOP_URL: this.shop.url, WAREHOUSE_URL: this.warehouse.url, REDIS_URL: this.redis.url };
    const started = startMillrace([role, '--json'], { cwd: this.#project.root, env: { ...env, ...(skewMs !== 0 && skewed) } });
    void started.ended.then(({ code, signal, stderr }) => {
      if (!this.#asked.has(started) || (signal === null && code !== 143))
        this.#broken.push(`A ${role} has ended with ${signal ?? code}: ${stderr.slice(-2000)}`);
    });
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#workers, ...this.#schedulers];
    for (const one of all) this.signal(one, 'SIGKILL');
    await Promise.all(all.map(({ ended }) => ended));
    this.#project[Symbol.dispose]();
    await this.executor[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
    for (const database of [this.state, this.shop, this.warehouse]) await database[Symbol.asyncDispose]();
    for (const server of Object.values(this.servers)) await server[Symbol.asyncDispose]();
  }
}
