import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { bundle } from './bundle.ts';
import { placeFor } from './place-for.ts';

/** A file of the user's project with all that it imports by path, as they were at one moment: it loads when those have changed. */
export interface Snapshot {
  /** The same for the same code. It goes with this process. */
  readonly file: string;
  /** What it was made of, absolute. */
  readonly inputs: readonly string[];
}

const prefix = `snapshot-${hostname()}-`;
const made = new Set<string>();
const swept = new Set<string>();

/**
 * `beside` stands for what the code reads when it is loaded: with another one it is another snapshot, and is loaded again.
 *
 * @throws an Error that says where the files do not parse or are not there
 */
export async function snapshotOf(file: string, beside = ''): Promise<Snapshot> {
  const place = await placeFor(file);
  await sweep(place);
  const { code, map, inputs } = await bundle(file, join(place, 'snapshot.mjs'));
  const hash = createHash('sha256').update(file).update(code).update(beside).digest('hex').slice(0, 16);
  const snapshot = join(place, `${prefix}${process.pid}-${hash}.mjs`);
  if (!made.has(snapshot)) {
    if (made.size === 0) process.once('exit', removeAll);
    made.add(snapshot);
    await writeFile(mapOf(snapshot), map);
    await writeFile(snapshot, code);
  }
  return { file: snapshot, inputs: inputs.map((input) => resolve(input)) };
}

const mapOf = (snapshot: string): string => `${snapshot}.map`;

/** The way back from a snapshot to the lines that people wrote; null for any other file. */
export async function mapOfSnapshot(file: string): Promise<string | null> {
  return basename(file).startsWith('snapshot-') ? readFile(mapOf(file), 'utf8').catch(() => null) : null;
}

function removeAll(): void {
  for (const file of made) for (const one of [file, mapOf(file)]) rmSync(one, { force: true });
}

/** Those of processes of this machine that were killed. */
async function sweep(place: string): Promise<void> {
  if (swept.has(place)) return;
  swept.add(place);
  for (const name of await readdir(place)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (!isAlive(pid)) await rm(join(place, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // somebody else's
  }
}
