import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { MillraceError } from '@millrace/core/runtime';

/**
 * A driver: the path of its jar (from the current directory where it is relative), or the coordinates under which a Maven repository has
 * it, `com.h2database:h2:2.3.232`. `#sha256=…` behind either pins its content. What a driver needs beside its own jar is named too.
 */
export type DriverName = string;

export interface DriverPlaces {
  /** Where what was fetched is kept. */
  readonly cache: string;
  /** A local Maven repository, which is looked into first. */
  readonly local: string;
  readonly repository: string;
}

const central = 'https://repo1.maven.org/maven2';

export function driverPlaces(env: NodeJS.ProcessEnv = process.env): DriverPlaces {
  return {
    cache: env['MILLRACE_DRIVERS'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'millrace', 'drivers'),
    local: join(homedir(), '.m2', 'repository'),
    repository: (env['MILLRACE_MAVEN_URL'] || central).replace(/\/+$/, ''),
  };
}

/** Paths of jars that are there and are what they should be. @throws CONFIG_INVALID, FILE_CORRUPT, CONNECTION_FAILED */
export async function jarsOf(names: readonly DriverName[], places: DriverPlaces = driverPlaces()): Promise<string[]> {
  return Promise.all(names.map((name) => jarOf(parse(name), places)));
}

interface Coordinates {
  readonly group: string;
  readonly artifact: string;
  readonly version: string;
  readonly classifier: string | null;
}

interface Parsed {
  readonly name: string;
  readonly at: { readonly path: string } | { readonly coordinates: Coordinates };
  readonly sha256: string | null;
}

const word = '[A-Za-z0-9_][A-Za-z0-9_.+-]*';
const coordinatesPattern = new RegExp(`^(${word}):(${word}):(${word})(?::(${word}))?$`);

function parse(name: string): Parsed {
  const [, plain = name, sha256 = null] = /^(.*?)(?:#sha256=([0-9a-f]{64}))?$/i.exec(name) ?? [];
  if (plain.endsWith('.jar')) return { name: plain, at: { path: isAbsolute(plain) ? plain : resolve(plain) }, sha256 };
  const [, group, artifact, version, classifier = null] = coordinatesPattern.exec(plain) ?? [];
  if (!group || !artifact || !version || [group, artifact, version].some((part) => part.includes('..'))) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The driver "${name}" is neither the path of a jar nor the coordinates of one.`,
      remedy:
        "Write './drivers/ojdbc11.jar' or 'com.oracle.database.jdbc:ojdbc11:23.6.0.24.10', with #sha256=… behind it to pin its content.",
    });
  }
  return { name: plain, at: { coordinates: { group, artifact, version, classifier } }, sha256 };
}

async function jarOf(driver: Parsed, places: DriverPlaces): Promise<string> {
  if ('coordinates' in driver.at) return coordinatesJar(driver, driver.at.coordinates, places);
  const { path } = driver.at;
  if (!existsSync(path)) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `There is no driver at ${path}.`,
      remedy: 'Correct drivers of the connection: paths are from the directory in which Millrace was started.',
      facts: { path },
    });
  }
  if (driver.sha256) pinned(driver, await readFile(path));
  return path;
}

async function coordinatesJar(
  driver: Parsed,
  { group, artifact, version, classifier }: Coordinates,
  places: DriverPlaces,
): Promise<string> {
  const folder = `${group.replaceAll('.', '/')}/${artifact}/${version}`;
  const file = `${artifact}-${version}${classifier ? `-${classifier}` : ''}.jar`;
  const kept = join(places.cache, folder, file);
  const known = await whole(kept);
  if (known) {
    pinned(driver, known);
    return kept;
  }
  const local = join(places.local, folder, file);
  const bytes = existsSync(local) ? await readFile(local) : await download(driver, `${places.repository}/${folder}/${file}`);
  pinned(driver, bytes);
  await keep(kept, bytes);
  return kept;
}

/** A jar of the cache, if its content is still what was fetched. */
async function whole(path: string): Promise<Buffer | null> {
  try {
    const [bytes, noted] = await Promise.all([readFile(path), readFile(`${path}.sha256`, 'utf8')]);
    return digest('sha256', bytes) === noted.trim() ? bytes : null;
  } catch {
    return null;
  }
}

/** Whole or not at all: other processes look for it meanwhile. */
async function keep(path: string, bytes: Buffer): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const place = async (to: string, content: Buffer | string): Promise<void> => {
    const fresh = `${to}.${process.pid}.${Math.random().toString(36).slice(2)}`;
    try {
      await writeFile(fresh, content);
      await rename(fresh, to);
    } finally {
      await rm(fresh, { force: true });
    }
  };
  await place(path, bytes);
  await place(`${path}.sha256`, `${digest('sha256', bytes)}\n`);
}

/** Compared with the checksum that the repository has beside it. */
async function download(driver: Parsed, at: string): Promise<Buffer> {
  const { url, headers } = withoutLogin(driver, at);
  const bytes = await fetched(driver, url, headers);
  if (bytes === null) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `There is no driver "${driver.name}" at ${url}.`,
      remedy: 'Correct group, artifact and version, or name the path of a jar. MILLRACE_MAVEN_URL names another repository.',
      facts: { url },
    });
  }
  for (const algorithm of ['sha512', 'sha256', 'sha1'] as const) {
    const said = (await fetched(driver, `${url}.${algorithm}`, headers))?.toString('latin1').trim().split(/\s/, 1)[0]?.toLowerCase();
    if (said === undefined) continue;
    if (said === digest(algorithm, bytes)) return bytes;
    throw corrupt(driver, `its ${algorithm} is not the one that the repository says`);
  }
  throw corrupt(driver, 'the repository has no checksum for it');
}

/** A log-in of the repository's URL goes into a header, and into no message. @throws CONFIG_INVALID */
function withoutLogin({ name }: Parsed, at: string): { readonly url: string; readonly headers: Record<string, string> } {
  if (!URL.canParse(at) || !/^https?:/i.test(at)) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The driver "${name}" is to be fetched from a repository whose URL is none.`,
      remedy: 'Correct MILLRACE_MAVEN_URL: https://maven.example.com/releases.',
    });
  }
  const url = new URL(at);
  const login = [url.username, url.password].map(decodeURIComponent).join(':');
  url.username = url.password = '';
  return { url: url.href, headers: login === ':' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` } };
}

async function fetched(driver: Parsed, url: string, headers: Record<string, string>): Promise<Buffer | null> {
  try {
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(120_000) });
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`the repository answered with ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  } catch (cause) {
    const why = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
    throw new MillraceError('CONNECTION_FAILED', {
      message: `The driver "${driver.name}" could not be fetched from ${url}: ${why}.`,
      remedy: 'Allow this machine to reach the repository, name another one with MILLRACE_MAVEN_URL, or name the path of a jar.',
      facts: { url },
    });
  }
}

function pinned(driver: Parsed, bytes: Buffer): void {
  if (driver.sha256 && driver.sha256.toLowerCase() !== digest('sha256', bytes))
    throw corrupt(driver, `its sha256 is ${digest('sha256', bytes)}, and another one is pinned`);
}

const digest = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest('hex');

const corrupt = (driver: Parsed, why: string): MillraceError =>
  new MillraceError('FILE_CORRUPT', {
    message: `The driver "${driver.name}" is not what it should be: ${why}.`,
    remedy: 'Nobody loads it. Look at where it comes from; a pin is the sha256 of the jar that you have looked at.',
  });
