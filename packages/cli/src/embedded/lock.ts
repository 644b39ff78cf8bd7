import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dial } from './control.ts';
import { identity, lives, place } from './process.ts';

/*
 * One supervisor for each directory. Node has no flock, so the lock is a numbered file, `supervisor.<n>.json`, that names its holder;
 * the highest number counts. Who finds its holder dead creates number n+1 (O_EXCL: one winner) and only then removes the lower ones.
 * The highest file is never removed, so the highest number never falls, and a contender that was asleep since it looked at an old
 * number finds, when it looks again after its own creation, that it is not the highest.
 */

export interface Holder {
  readonly pid: number;
  /** Tells this process from a later one with the same pid. */
  readonly identity: string;
  /** Host and pid namespace: pids and ports of another place mean nothing here. */
  readonly place: string;
  readonly port: number;
  readonly token: string;
}

export interface Lock {
  readonly path: string;
  readonly number: number;
  /** Null once released, and for a moment while it is being written. */
  readonly holder: Holder | null;
}

/** How often a holder touches its lock, and how old it must be before another place may take it. */
const beatMs = 5_000;
const foreignMs = 20_000;

export async function currentLock(directory: string): Promise<Lock | undefined> {
  const numbers = await lockNumbers(directory);
  const number = Math.max(0, ...numbers);
  if (number === 0) return undefined;
  const path = pathOf(directory, number);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''; // a successor removed it since: it is asked about as a dead one, and its number is taken
    throw error;
  });
  return { path, number, holder: parseHolder(text) };
}

/** The lock, or undefined when somebody else holds it. Call it when `holder.port` listens already: that is what others test. */
export async function claimLock(directory: string, holder: Holder): Promise<Lock | undefined> {
  for (;;) {
    const held = await currentLock(directory);
    if (held && (await isHeld(held))) return undefined;
    const number = (held?.number ?? 0) + 1;
    const path = pathOf(directory, number);
    try {
      await writeFile(path, JSON.stringify(holder), { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    const numbers = await lockNumbers(directory);
    if (Math.max(...numbers) === number) {
      for (const lower of numbers) if (lower < number) await rm(pathOf(directory, lower), { force: true });
      return { path, number, holder };
    }
    await rm(path, { force: true });
  }
}

/** Shows other places that the holder lives. */
export function keepLock(lock: Lock): NodeJS.Timeout {
  return setInterval(() => void utimes(lock.path, new Date(), new Date()).catch(() => {}), beatMs).unref();
}

/** The file stays, so that its number is never given twice. */
export async function releaseLock(lock: Lock): Promise<void> {
  const released = `${lock.path}.released`;
  await writeFile(released, '{}', { mode: 0o600 });
  await rename(released, lock.path);
}

export async function isHeld(lock: Lock): Promise<boolean> {
  const { holder } = lock;
  if (holder === null) return (await ageMs(lock.path)) < 1_000 && !(await isReleased(lock.path));
  if (holder.place !== place()) return (await ageMs(lock.path)) < foreignMs;
  const line = await dial(holder, 'probe').catch(() => undefined);
  if (line === undefined) return false;
  const answer = await Promise.race([line.statuses.next(), new Promise<undefined>((resolve) => setTimeout(resolve, 2_000, undefined))]);
  line.socket.destroy();
  // Another program may have got the port of a dead supervisor; a stopped or swamped supervisor lives.
  return answer !== undefined && !answer.done ? true : lives(holder.pid) && identity(holder.pid) === holder.identity;
}

function pathOf(directory: string, number: number): string {
  return join(directory, `supervisor.${number}.json`);
}

async function lockNumbers(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  return names.flatMap((name) => /^supervisor\.(\d+)\.json$/.exec(name)?.[1] ?? []).map(Number);
}

function parseHolder(text: string): Holder | null {
  try {
    const value = JSON.parse(text) as Partial<Holder>;
    return typeof value.port === 'number' && typeof value.token === 'string' ? (value as Holder) : null;
  } catch {
    return null;
  }
}

async function isReleased(path: string): Promise<boolean> {
  return (await readFile(path, 'utf8').catch(() => '{}')) === '{}';
}

async function ageMs(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found ? Date.now() - found.mtimeMs : Number.POSITIVE_INFINITY;
}
