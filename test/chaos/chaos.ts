import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { bankScripts, bankSql, bankTables, contents, sumsSql } from './money.ts';
import { type Random, random } from './random.ts';
import type { ChaosErrand } from './worker.ts';

export interface ChaosResult {
  readonly seed: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Rows of the bank's history, each of which was a change of an account. */
  readonly bookings: number;
  readonly attempts: number;
  /** How often somebody has looked at the sums while all this went on. */
  readonly looks: number;
  /** Empty where all is well. */
  readonly wrong: readonly string[];
}

export interface ChaosOptions {
  readonly seed: number;
  /** The worker, bundled. */
  readonly program: string;
  readonly servers: ChaosServers;
  /** Milliseconds of load and faults. */
  readonly duration: number;
}

/** A source and a target that can crash alone, kept over several seeds. */
export interface ChaosServers extends AsyncDisposable {
  readonly source: LogicalServer;
  readonly target: LogicalServer;
}

export async function chaosServers(): Promise<ChaosServers> {
  // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
  const settings = { synchronous_commit: 'on', wal_sender_timeout: '5s', logical_decoding_work_mem: '64kB' };
  const source = await logicalServer({ settings });
  const target = await logicalServer({ settings: { synchronous_commit: 'on' } });
  return {
    source,
    target,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}

/**
 * A bank under load, followed by a mirror and a history, while a random schedule of faults goes on. Then the load ends, the follower catches
 * up undisturbed, and everything must be as if nothing had happened.
 */
export async function chaos({ seed, program, servers, duration }: ChaosOptions): Promise<ChaosResult> {
  const dice = random(seed);
  await using bank = await servers.source.database();
  await using mirror = await servers.target.database();
  await bank.sql(bankSql);
  await using sourceLine = await startTcpProxy(bank.url);
  await using targetLine = await startTcpProxy(mirror.url);
  const worker = new Workers(program, {
    source: sourceLine.through(bank.url),
    mirror: targetLine.through(mirror.url),
    history: targetLine.through(mirror.url),
  });
  const wrong: string[] = [];
  let bookings = 0;
  const faults: Record<string, number> = {};
  const load = new Load(bank.url, dice);
  const reader = new Reader(mirror.url, wrong);
  load.start();
  worker.start();
  reader.start();
  try {
    // Half of the seeds disturb the first copies, the others what comes after them.
    if (seed % 2 === 0) await worker.streams();
    const end = Date.now() + duration;
    while (Date.now() < end && wrong.length === 0) {
      await sleep(dice.between(100, 1200));
      const fault = dice.pick(Object.keys(allFaults) as (keyof typeof allFaults)[]);
      faults[fault] = (faults[fault] ?? 0) + 1;
      await allFaults[fault]({ dice, worker, sourceLine, targetLine, servers, bank: bank.url, mirror: mirror.url });
    }
    await load.stop();
    await reader.stop();
    await worker.stop();
    wrong.push(...worker.wrong);
    await worker.catchUp();
    bookings = await compare(bank.url, mirror.url, wrong);
  } catch (error) {
    wrong.push(`${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await load.stop();
    await reader.stop();
    await worker.kill();
  }
  if (wrong.length > 0) wrong.push(`What the worker said last: ${worker.said.slice(-3000)}`);
  return { seed, faults, bookings, attempts: worker.attempts, looks: reader.looks, wrong };
}

interface Scene {
  readonly dice: Random;
  readonly worker: Workers;
  readonly sourceLine: TcpProxy;
  readonly targetLine: TcpProxy;
  readonly servers: ChaosServers;
  readonly bank: string;
  readonly mirror: string;
}

const allFaults = {
  'worker killed': async ({ worker }) => worker.killOne(),
  'worker killed twice': async ({ worker, dice }) => {
    worker.killOne();
    await sleep(dice.between(100, 500));
    worker.killOne();
  },
  'worker asleep, another takes over, it wakes': async ({ worker, dice }) => worker.asleep(dice.between(200, 1500)),
  'a twin by mistake': async ({ worker }) => worker.twin(),
  'walsender terminated': ({ bank }) => terminate(bank, "backend_type = 'walsender'"),
  'source sessions terminated': ({ bank }) => terminate(bank, "application_name like 'millrace%'"),
  'target sessions terminated': ({ mirror }) => terminate(mirror, "application_name like 'millrace%'"),
  'source restarted': async ({ servers }) => restart(servers.source),
  'target restarted': async ({ servers }) => restart(servers.target),
  'source line cut': async ({ sourceLine }) => sourceLine.cut(),
  'target line cut': async ({ targetLine }) => targetLine.cut(),
  'source line cut in a message': async ({ sourceLine, dice }) => sourceLine.cutAfter(dice.between(10, 100_000)),
  'target line cut in a message': async ({ targetLine, dice }) => targetLine.cutAfter(dice.between(10, 5_000)),
  'source line half closed': async ({ sourceLine }) => sourceLine.halfClose(),
  'target line half closed': async ({ targetLine }) => targetLine.halfClose(),
  'source line stalled': async ({ sourceLine, dice }) => stalled(sourceLine, dice.between(50, 800)),
  'target line stalled': async ({ targetLine, dice }) => stalled(targetLine, dice.between(50, 800)),
} satisfies Readonly<Record<string, (scene: Scene) => Promise<void>>>;

async function stalled(line: TcpProxy, milliseconds: number): Promise<void> {
  line.stall();
  await sleep(milliseconds);
  line.resume();
}

async function restart(server: LogicalServer): Promise<void> {
  await server.stop('immediate');
  await server.start();
}

async function terminate(url: string, which: string): Promise<void> {
  const client = await connected(url);
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${which}`,
  );
  await client.end();
}

/** As soon as the server takes connections again. */
async function connected(url: string): Promise<pg.Client> {
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: url, application_name: 'chaos' });
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (tries > 100) throw error;
      await sleep(100);
    }
  }
}

/** Attempts one after the other, as long as nobody says stop; sometimes two at once. */
class Workers {
  readonly wrong: string[] = [];
  said = '';
  attempts = 0;
  readonly #program: string;
  readonly #ends: Pick<ChaosErrand, 'source' | 'mirror' | 'history'>;
  readonly #runAt = new Date().toISOString();
  readonly #living = new Set<ChildProcess>();
  #going = false;

  constructor(program: string, ends: Pick<ChaosErrand, 'source' | 'mirror' | 'history'>) {
    this.#program = program;
    this.#ends = ends;
  }

  start(): void {
    this.#going = true;
    void this.#again();
  }

  async #again(): Promise<void> {
    while (this.#going) {
      const { code, signal } = await this.#attempt(null);
      if (code === 4 || code === 1) this.wrong.push(`An attempt gave up: ${this.said.slice(-1500)}`);
      if (code === 4 || code === 1) return;
      // Like a supervisor: at once after a kill, a little later after an error.
      if (signal === null) await sleep(100);
    }
  }

  async #attempt(until: ChaosErrand['until']): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const errand: ChaosErrand = { ...this.#ends, epoch: ++this.attempts, runAt: this.#runAt, until };
    const child = spawn(process.execPath, ['--no-warnings', this.#program, JSON.stringify(errand)], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#living.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said = `${this.said}[${errand.epoch}] ${text}`.slice(-20_000);
      });
    }
    const ended = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
      child.once('close', (code, signal) => resolve({ code, signal })),
    );
    this.#living.delete(child);
    return ended;
  }

  /** Waits until somebody has come so far. */
  async streams(): Promise<void> {
    for (let waited = 0; !this.said.includes('streaming') && waited < 20_000; waited += 20) await sleep(20);
  }

  killOne(): void {
    const [first] = this.#living;
    first?.kill('SIGKILL');
  }

  async asleep(milliseconds: number): Promise<void> {
    const [first] = this.#living;
    first?.kill('SIGSTOP');
    void this.#attempt(null);
    await sleep(milliseconds);
    first?.kill('SIGCONT');
  }

  async twin(): Promise<void> {
    void this.#attempt(null);
  }

  async stop(): Promise<void> {
    this.#going = false;
    for (const child of this.#living) child.kill('SIGTERM');
    for (let waited = 0; this.#living.size > 0 && waited < 15_000; waited += 50) await sleep(50);
    for (const child of this.#living) child.kill('SIGKILL');
  }

  /** Undisturbed, to the end. Somebody else may still hold the slot for a moment. */
  async catchUp(): Promise<void> {
    for (let tries = 0; tries < 5; tries++) {
      const { code } = await this.#attempt('caught-up');
      if (code === 0) return;
      if (code !== 3) break;
      await sleep(500);
    }
    throw new Error(`The last attempt did not catch up: ${this.said.slice(-1500)}`);
  }

  async kill(): Promise<void> {
    this.#going = false;
    for (const child of this.#living) child.kill('SIGKILL');
    while (this.#living.size > 0) await sleep(20);
  }
}

/** pgbench, started again whenever the source has gone away under it. */
class Load {
  readonly #url: string;
  readonly #dice: Random;
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-bank-'));
  #going = false;
  #child: ChildProcess | undefined;

  constructor(url: string, dice: Random) {
    this.#url = url;
    this.#dice = dice;
  }

  start(): void {
    this.#going = true;
    const scripts = Object.entries(bankScripts).flatMap(([name, text]) => {
      const [file = '', weight = '1'] = name.split('@');
      writeFileSync(join(this.#folder, file), text);
      return ['-f', `${join(this.#folder, file)}@${weight}`];
    });
    const again = async (): Promise<void> => {
      while (this.#going) {
        const seed = String(this.#dice.between(1, 1_000_000));
        const args = ['-n', '-c', '3', '-T', '60', '--random-seed', seed, '--rate', '200', ...scripts, this.#url];
        const child = spawn('pgbench', args, { stdio: 'ignore' });
        this.#child = child;
        await new Promise((resolve) => child.once('close', resolve).once('error', resolve));
        await sleep(50);
      }
    };
    void again();
  }

  async stop(): Promise<void> {
    this.#going = false;
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Looks at the mirror all the time: from the moment that all tables are there at one position, the sums must agree in every look. */
class Reader {
  looks = 0;
  readonly #url: string;
  readonly #wrong: string[];
  #going = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(url: string, wrong: string[]) {
    this.#url = url;
    this.#wrong = wrong;
  }

  start(): void {
    this.#going = true;
    this.#ended = this.#look();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#ended;
  }

  async #look(): Promise<void> {
    let client: pg.Client | undefined;
    while (this.#going) {
      try {
        client ??= await connected(this.#url);
        const { rows } = await client.query<Record<string, string>>(
          `${sumsSql('bank')} from _millrace.stream s
           where s.pipeline = 'chaos' and s.step = 'mirrored' and s.position is not null
             and (select count(*) from _millrace.stream_table t where t.pipeline = s.pipeline and t.step = s.step and t.copied <= s.position) = ${bankTables.length}`,
        );
        const [sums] = rows;
        if (sums) {
          this.looks++;
          if (new Set(Object.values(sums)).size !== 1)
            this.#wrong.push(`A reader of the mirror saw half a transaction: ${JSON.stringify(sums)}`);
        }
      } catch (error) {
        const { code = '', message } = error as { code?: string; message: string };
        // The tables are not there yet; or the target is being restarted.
        if (code === '42P01' || code === '3F000') await sleep(50);
        else if (/^(08|57|ECONN|EPIPE)/.test(code) || /terminated|closed|ended|not queryable/.test(message)) {
          client?.end().catch(() => {});
          client = undefined;
        } else this.#wrong.push(`The reader could not look: ${message}`);
      }
      await sleep(10);
    }
    await client?.end().catch(() => {});
  }
}

async function compare(bank: string, mirror: string, wrong: string[]): Promise<number> {
  const source = await connected(bank);
  const target = await connected(mirror);
  const expected = await contents(source, 'public');
  const found = await contents(target, 'bank');
  for (const table of bankTables) {
    if (expected[table] !== found[table]) wrong.push(`${table} has ${found[table]} at the mirror and ${expected[table]} at the source.`);
  }
  // Each booking was one change of an account, and each change is one version, no more.
  const { rows: versions } = await target.query<{ table: string; key: string; versions: string }>(
    `select 'accounts' as table, aid::text as key, count(*)::text as versions from log.accounts where valid_to is null group by aid having count(*) > 1 limit 3`,
  );
  for (const { table, key, versions: count } of versions) wrong.push(`${table} ${key} has ${count} current versions in the history.`);
  await source.end();
  await target.end();
  return Number(expected['history']?.split('/')[0]);
}
