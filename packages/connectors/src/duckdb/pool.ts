import { type ConversionContext, spoolName } from './conversion.ts';
import { DuckDb } from './process.ts';
import { wideRowBytes } from './row-width.ts';

/** What one conversion may use. Measured: 16 columns of lineitem stay at 310 MB of RSS, rows of 5 MB at 450 MB. */
const memoryMb = 448;
/** Who lets rows be longer lets the conversion use more: the reader keeps up to eight rows of this length, the writer some. */
const memoryLimit = (rowBytes: number): string => `${memoryMb + 12 * Math.max(0, Math.ceil((rowBytes - wideRowBytes) / 2 ** 20))}MB`;
const bytesForEach = 256 * 1024 * 1024;
const keptIdleMs = 3_000;

/**
 * Conversions that write and conversions that read have places of their own: a stage from files to files needs one of each,
 * and with common places all of them could be taken by readers that wait for a writer.
 */
export type Role = 'reader' | 'writer';

const busy: Record<Role, number> = { reader: 0, writer: 0 };
const queues: Record<Role, (() => void)[]> = { reader: [], writer: [] };
const idle: { duckdb: DuckDb; timer: NodeJS.Timeout }[] = [];

/** A DuckDB for one conversion of rows of up to `rowBytes`. Disposing gives the process back; it must be killed before where a statement has not ended. */
export interface Lease extends AsyncDisposable {
  readonly duckdb: DuckDb;
}

export async function lease(role: Role, context: ConversionContext, rowBytes: number): Promise<Lease> {
  await place(role, Math.max(1, Math.floor(context.memoryBudget / bytesForEach)), context.signal);
  const duckdb = takeIdle() ?? new DuckDb();
  const abort = () => void duckdb.kill(context.signal.reason);
  const giveBack = async () => {
    context.signal.removeEventListener('abort', abort);
    try {
      if (duckdb.alive) {
        await duckdb.close();
        keepIdle(duckdb);
      }
    } catch {
      await duckdb.kill();
    } finally {
      busy[role]--;
      queues[role].shift()?.();
    }
  };
  context.signal.addEventListener('abort', abort, { once: true });
  try {
    context.signal.throwIfAborted();
    await duckdb.open(context.spool, {
      threads: '2',
      memory_limit: memoryLimit(rowBytes),
      temp_directory: spoolName('spill'),
      preserve_insertion_order: 'false',
    });
    return { duckdb, [Symbol.asyncDispose]: giveBack };
  } catch (error) {
    await giveBack();
    throw error;
  }
}

async function place(role: Role, places: number, signal: AbortSignal): Promise<void> {
  while (busy[role] >= places) {
    await new Promise<void>((resolve, reject) => {
      const wake = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        queues[role] = queues[role].filter((one) => one !== wake);
        reject(signal.reason);
      };
      queues[role].push(wake);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
  signal.throwIfAborted();
  busy[role]++;
}

function takeIdle(): DuckDb | null {
  for (let entry = idle.pop(); entry; entry = idle.pop()) {
    clearTimeout(entry.timer);
    if (!entry.duckdb.alive) continue;
    entry.duckdb.hold(true);
    return entry.duckdb;
  }
  return null;
}

/** The next split finds the process ready; a process that has nothing more to convert is not kept from ending. */
function keepIdle(duckdb: DuckDb): void {
  duckdb.hold(false);
  const entry = {
    duckdb,
    timer: setTimeout(() => {
      idle.splice(idle.indexOf(entry), 1);
      void duckdb.kill();
    }, keptIdleMs).unref(),
  };
  idle.push(entry);
}
