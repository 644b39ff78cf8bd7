import { setTimeout as sleep } from 'node:timers/promises';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import type { Bank, BankServer } from './bank.ts';
import { connected } from './connected.ts';
import { allFaults, type Fault, faultsOf } from './faults.ts';
import { mariaBanks } from './maria-bank.ts';
import { compare } from './money.ts';
import { postgresBanks, whatGoesOn } from './postgres-bank.ts';
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
  readonly source: BankServer;
  readonly target: LogicalServer;
  readonly disk: SmallDisk;
}

export async function chaosServers(engine: BankServer['engine'] = 'postgres'): Promise<ChaosServers> {
  const source = await (engine === 'postgres' ? postgresBanks() : mariaBanks());
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
  await using bank = await source.bank();
  await using mirror = await target.database();
  await using sourceLine = await startTcpProxy(bank.url);
  await using targetLine = await startTcpProxy(mirror.url);
  const ends = {
    source: sourceLine.through(bank.url),
    mirror: targetLine.through(mirror.url),
    history: targetLine.through(mirror.url),
  };
  const worker = new Workers(program, disk.folder, ends, async () => `${await bank.whatGoesOn()}\n${await whatGoesOn(mirror.url)}`);
  const wrong: string[] = [];
  let bookings = 0;
  const faults: Partial<Record<Fault, number>> = {};
  const possible = faultsOf(source.engine);
  const scene = { dice, worker, sourceLine, targetLine, source, target, disk, bank, mirror: mirror.url };
  const load = bank.load(dice);
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
    for (let fault = possible[seed % possible.length] as Fault; ; fault = dice.pick(possible)) {
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
    bookings = await compared(bank, mirror.url, wrong);
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

async function compared(bank: Bank, mirror: string, wrong: string[]): Promise<number> {
  const target = await connected(mirror);
  try {
    const { bookings, differences } = await compare(bank, target);
    wrong.push(...differences);
    return bookings;
  } finally {
    await target.end();
  }
}
