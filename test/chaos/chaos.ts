import { setTimeout as sleep } from 'node:timers/promises';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { BankLoad } from './bank-load.ts';
import { connected } from './connected.ts';
import { allFaults, type Fault, faultNames } from './faults.ts';
import { bankSql, compare } from './money.ts';
import { random } from './random.ts';
import { type SmallDisk, smallDisk } from './small-disk.ts';
import { SumsReader } from './sums-reader.ts';
import { Workers } from './workers.ts';

export interface ChaosResult {
  readonly seed: number;
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  /** Rows of the bank's history, each of which was a change of an account. */
  readonly bookings: number;
  readonly attempts: number;
  /** Attempts that ended because there was no room for open transactions. */
  readonly fullDisks: number;
  /** How often somebody has looked at the sums while all this went on. */
  readonly looks: number;
  readonly seconds: number;
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
  /** Ends it early: somebody has stopped waiting. */
  readonly signal?: AbortSignal;
}

/** A source and a target that can crash alone, and a disk that can be filled, kept over several seeds. */
export interface ChaosServers extends AsyncDisposable {
  readonly source: LogicalServer;
  readonly target: LogicalServer;
  readonly disk: SmallDisk;
}

export async function chaosServers(): Promise<ChaosServers> {
  // What a crash must not take back has to be on the disk: here a crash is one of processes, not of the machine.
  const settings = { synchronous_commit: 'on', wal_sender_timeout: '5s', logical_decoding_work_mem: '64kB' };
  const source = await logicalServer({ settings });
  const target = await logicalServer({ settings: { synchronous_commit: 'on' } });
  const disk = await smallDisk();
  return {
    source,
    target,
    disk,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose]();
    },
  };
}

/**
 * A bank under load, followed by a mirror and a history, while a random schedule of faults goes on. Then the load ends, the follower catches
 * up undisturbed, and everything must be as if nothing had happened. The first fault goes through all of them as the seeds do.
 */
export async function chaos({ seed, program, servers, duration, signal }: ChaosOptions): Promise<ChaosResult> {
  const { source, target, disk } = servers;
  const started = performance.now();
  const dice = random(seed);
  await using bank = await source.database();
  await using mirror = await target.database();
  await bank.sql(bankSql);
  await using sourceLine = await startTcpProxy(bank.url);
  await using targetLine = await startTcpProxy(mirror.url);
  const ends = {
    source: sourceLine.through(bank.url),
    mirror: targetLine.through(mirror.url),
    history: targetLine.through(mirror.url),
  };
  const worker = new Workers(program, disk.folder, ends, () => whatGoesOn(bank.url, mirror.url));
  const wrong: string[] = [];
  let bookings = 0;
  const faults: Partial<Record<Fault, number>> = {};
  const scene = { dice, worker, sourceLine, targetLine, source, target, disk, bank: bank.url, mirror: mirror.url };
  const load = new BankLoad(bank.url, dice);
  const reader = new SumsReader(mirror.url, wrong);
  worker.start();
  reader.start();
  try {
    // Before that nobody follows the bank, and all that happens there is rows to be copied.
    await worker.says('planning');
    load.start();
    // Half of the seeds disturb the first copies, the others what comes after them.
    if (seed % 2 === 0) await worker.says('streaming');
    const end = Date.now() + duration;
    for (let fault = faultNames[seed % faultNames.length] as Fault; ; fault = dice.pick(faultNames)) {
      await sleep(dice.between(100, 1000));
      signal?.throwIfAborted();
      if (fault !== 'spool disk full' || !disk.missing) faults[fault] = (faults[fault] ?? 0) + 1;
      await allFaults[fault](scene);
      if (Date.now() >= end || wrong.length > 0) break;
    }
    await load.stop();
    await worker.stop();
    sourceLine.cutAfter(Number.POSITIVE_INFINITY);
    targetLine.cutAfter(Number.POSITIVE_INFINITY);
    await worker.catchUp();
    await reader.stop();
    bookings = await compared(bank.url, mirror.url, wrong);
  } catch (error) {
    wrong.push(`${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await load.stop();
    await reader.stop();
    await worker.kill();
  }
  wrong.push(...worker.wrong);
  if (wrong.length > 0) wrong.push(`What the worker said last: ${worker.said.slice(-3000)}`);
  const { attempts, fullDisks } = worker;
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  return { seed, faults, bookings, attempts, fullDisks, looks: reader.looks, seconds, wrong };
}

/** Sessions and slots of both servers, a line each. */
async function whatGoesOn(...urls: string[]): Promise<string> {
  const lines: string[] = [];
  for (const url of urls) {
    const client = await connected(url);
    try {
      const { rows } = await client.query(
        `select 'session ' || row_to_json(a) as line from (
           select pid, pg_blocking_pids(pid) as blocked_by, backend_type, application_name, state, wait_event, now() - state_change as since, left(query, 200) as query
             from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) a
         union all select 'slot ' || row_to_json(s) from pg_replication_slots s where database = current_database()
         union all select 'walsender ' || row_to_json(r) from pg_stat_replication r
         union all select 'log ' || pg_current_wal_lsn()`,
      );
      lines.push(url, ...rows.map(({ line }) => line as string));
    } finally {
      await client.end();
    }
  }
  return lines.join('\n');
}

async function compared(bank: string, mirror: string, wrong: string[]): Promise<number> {
  const source = await connected(bank);
  const target = await connected(mirror);
  try {
    const { bookings, differences } = await compare(source, target);
    wrong.push(...differences);
    return bookings;
  } finally {
    await source.end();
    await target.end();
  }
}
