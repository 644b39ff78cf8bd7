import { setTimeout as sleep } from 'node:timers/promises';
import type { LogicalServer } from '../logical-server.ts';
import type { TcpProxy } from '../tcp-proxy.ts';
import type { Bank, BankServer } from './bank.ts';
import { terminate } from './postgres-bank.ts';
import type { Random } from './random.ts';
import type { SmallDisk } from './small-disk.ts';
import { until } from './until.ts';
import type { Workers } from './workers.ts';

/** What a fault can get at. */
export interface Scene {
  readonly dice: Random;
  readonly worker: Workers;
  readonly sourceLine: TcpProxy;
  readonly targetLine: TcpProxy;
  readonly source: BankServer;
  readonly target: LogicalServer;
  /** Where attempts keep open transactions. */
  readonly disk: SmallDisk;
  readonly bank: Bank;
  readonly mirror: string;
}

/** Each comes back once it is over, so two of them never meet. */
export const allFaults = {
  'spool disk full': fullDisk,
  'worker killed': async ({ worker }) => worker.killOne(),
  'worker killed twice': async ({ worker, dice }) => {
    worker.killOne();
    await sleep(dice.between(100, 500));
    worker.killOne();
  },
  'worker asleep, another takes over, it wakes': async ({ worker, dice }) => worker.asleep(dice.between(200, 1500)),
  'a twin by mistake': async ({ worker }) => worker.twin(),
  'log sender terminated': ({ bank }) => bank.end('log'),
  'source sessions terminated': ({ bank }) => bank.end('followers'),
  'log rotated and purged': async ({ bank }) => bank.rotate?.(),
  'target sessions terminated': ({ mirror }) => terminate(mirror, "application_name like 'millrace%'"),
  'source restarted': ({ source }) => source.crash(),
  'target restarted': ({ target }) => restart(target),
  'source line cut': async ({ sourceLine }) => sourceLine.cut(),
  'target line cut': async ({ targetLine }) => targetLine.cut(),
  'source line cut in a message': async ({ sourceLine, dice }) => sourceLine.cutAfter(dice.between(10, 100_000)),
  'target line cut in a message': async ({ targetLine, dice }) => targetLine.cutAfter(dice.between(10, 5_000)),
  'source line half closed': async ({ sourceLine }) => sourceLine.halfClose(),
  'target line half closed': async ({ targetLine }) => targetLine.halfClose(),
  'source line stalled': async ({ sourceLine, dice }) => stalled(sourceLine, dice.between(50, 800)),
  'target line stalled': async ({ targetLine, dice }) => stalled(targetLine, dice.between(50, 800)),
} satisfies Readonly<Record<string, (scene: Scene) => Promise<void>>>;

export type Fault = keyof typeof allFaults;

export const faultNames = Object.keys(allFaults) as Fault[];

/**
 * Those that can happen to a bank of an engine: only Postgres sends transactions that are open, so only its followers keep files; and its slots
 * keep of the log what they need.
 */
export const faultsOf = (engine: BankServer['engine']): Fault[] =>
  faultNames.filter((fault) => fault !== (engine === 'postgres' ? 'log rotated and purged' : 'spool disk full'));

/** A transaction that has to be kept in a file comes while no byte can be written, until one or two attempts have failed of it or nobody wants it. */
async function fullDisk({ disk, worker, bank, dice }: Scene): Promise<void> {
  if (disk.missing) return;
  const wanted = worker.fullDisks + dice.between(1, 2);
  disk.fill();
  try {
    await bank.large();
    await until(() => worker.fullDisks >= wanted, 10_000);
  } finally {
    disk.free();
  }
}

async function stalled(line: TcpProxy, milliseconds: number): Promise<void> {
  line.stall();
  await sleep(milliseconds);
  line.resume();
}

async function restart(server: LogicalServer): Promise<void> {
  await server.stop('immediate');
  await server.start();
}
