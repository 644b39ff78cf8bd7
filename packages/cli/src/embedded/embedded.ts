import { spawn } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path, { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MillraceError } from '@millrace/core';
import { serverAccount } from './account.ts';
import { postgresBinaries } from './binaries.ts';
import { type ClusterSpec, superuser } from './cluster.ts';
import { asRefusal, dial, heldByAnother, type Line, type Refusal, type Status } from './control.ts';
import { currentLock, type Holder, isHeld } from './lock.ts';
import { place, plainEnvironment } from './process.ts';

export interface EmbeddedOptions {
  /** Relative to the working directory. Every process that names it shares one server. Default `.millrace/postgres`. */
  readonly directory?: string;
  /** Postgres settings beside or instead of our own. They count for whoever starts the server, not for those who join it. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Ends the waiting for the start. A server that others use stays. */
  readonly signal?: AbortSignal;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** Of the database `postgres`, with the password in it. The user is a superuser. */
  readonly url: string;
  /** Aborted, with an EMBEDDED_POSTGRES_LOST error as its reason, if the server ends while this process uses it. */
  readonly lost: AbortSignal;
}

/** Recovery after a crash replays up to 1 GB of WAL, and a server that is just stopping is waited for. */
const patienceMs = 60_000;

/** Starts the Postgres of the directory, or joins the one that runs. It stops two seconds after the last process has left or died. */
export async function embeddedPostgres(options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const { settings = {}, signal } = options;
  const directory = prepareDirectory(resolve(options.directory ?? '.millrace/postgres'));
  const since = Date.now();
  const deadline = since + patienceMs;
  let supervisor: Starting | undefined;
  while (Date.now() < deadline) {
    signal?.throwIfAborted();
    const lock = await readable(directory, () => currentLock(directory));
    const joined = lock?.holder?.place === place() ? await join(directory, lock.holder, since, signal) : undefined;
    if (joined) return joined;
    if (supervisor?.failed) throw supervisorFailed(directory, supervisor.failed);
    if ((supervisor === undefined || supervisor.over) && !(lock && (await isHeld(lock)))) supervisor = startSupervisor(directory, settings);
    await sleep(20);
  }
  throw refused({
    message: `The embedded Postgres of ${directory} was not ready within ${patienceMs / 1000} s.`,
    remedy: `Look at ${path.join(directory, 'log')}, end the process that holds it, or set MILLRACE_STATE_URL to a Postgres database.`,
    facts: { directory },
  });
}

/** The directory with its real path: two names of one directory are one server. */
function prepareDirectory(wanted: string): string {
  return readable(wanted, () => {
    mkdirSync(path.dirname(wanted), { recursive: true });
    if (!existsSync(wanted)) mkdirSync(wanted, { recursive: true, mode: 0o700 });
    // The account of a server that root starts walks through here where it cannot be let in through /proc.
    if (process.getuid?.() === 0 && process.platform !== 'linux') chmodSync(wanted, 0o711);
    mkdirSync(path.join(wanted, 'log'), { recursive: true, mode: 0o700 });
    accessSync(wanted, constants.R_OK | constants.W_OK | constants.X_OK);
    writeFileSync(path.join(wanted, '.gitignore'), '*\n');
    return realpathSync(wanted);
  });
}

/** Waits for the supervisor's word. Undefined when it is gone or going: look at the lock again. */
async function join(
  directory: string,
  holder: Holder,
  since: number,
  signal: AbortSignal | undefined,
): Promise<EmbeddedPostgres | undefined> {
  const line = await dial(holder, 'client', since).catch(() => undefined);
  if (line === undefined) return undefined;
  const hangUp = () => void line.socket.destroy();
  if (signal?.aborted) hangUp();
  signal?.addEventListener('abort', hangUp, { once: true });
  let timer = setTimeout(hangUp, 3_000); // for a first word: another program may have the port by now
  let status: Status | undefined;
  try {
    do {
      const next = await line.statuses.next();
      status = next.done ? undefined : next.value;
      clearTimeout(timer);
      timer = setTimeout(hangUp, since + patienceMs - Date.now());
    } while (status?.at === 'starting');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', hangUp);
  }
  if (status?.at === 'ready' && !signal?.aborted) return attach(directory, line, status.port);
  hangUp();
  signal?.throwIfAborted();
  if (status?.at === 'failed') throw refused(status.why);
  return undefined;
}

function attach(directory: string, line: Line, port: number): EmbeddedPostgres {
  const lost = new AbortController();
  const password = readable(directory, () => readFileSync(path.join(directory, 'password'), 'utf8').trim());
  let left = false;
  line.socket.unref(); // a process that forgets to leave may still end, which is leaving too
  void (async () => {
    for (;;) {
      const next = await line.statuses.next();
      if (left) return;
      if (!next.done && next.value.at === 'ready') continue;
      const why = !next.done && next.value.at === 'lost' ? next.value.why : undefined;
      lost.abort(lostError(directory, why));
      return void line.socket.destroy();
    }
  })();
  return {
    url: `postgres://${superuser}:${password}@127.0.0.1:${port}/postgres`,
    lost: lost.signal,
    async [Symbol.asyncDispose]() {
      left = true;
      line.socket.destroy();
    },
  };
}

interface Starting {
  over: boolean;
  failed?: string;
}

function startSupervisor(directory: string, settings: Readonly<Record<string, string>>): Starting {
  const account = readable(directory, () => serverAccount(directory));
  const spec: ClusterSpec = { directory, binaries: postgresBinaries(account), settings, ...(account ? { account } : {}) };
  const { script, flags } = program();
  const log = openSync(supervisorLog(directory), 'a', 0o600);
  const child = spawn(
    process.execPath,
    ['--no-warnings', ...flags, fileURLToPath(new URL(script, import.meta.url)), JSON.stringify(spec)],
    {
      detached: true,
      cwd: '/',
      env: plainEnvironment(),
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  child.unref();
  const starting: Starting = { over: false };
  child.once('error', (error) => Object.assign(starting, { over: true, failed: error.message }));
  child.once('exit', (code, by) => {
    const wellDone = code === 0 || code === heldByAnother;
    // Killed: by a person or for memory. Whoever waits starts another.
    Object.assign(starting, { over: true }, wellDone || by !== null ? {} : { failed: `exit code ${code}` });
  });
  return starting;
}

/** From the sources Node 20 needs a loader of TypeScript, which takes a second; tests have the program bundled. */
function program(): { readonly script: string; readonly flags: readonly string[] } {
  if (!import.meta.url.endsWith('.ts')) return { script: './supervisor.js', flags: [] };
  if (process.env['MILLRACE_BUNDLED']) return { script: '../../dist/bundled/supervisor.js', flags: ['--conditions=millrace-bundled'] };
  return { script: './supervisor.ts', flags: ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] };
}

function supervisorFailed(directory: string, how: string): MillraceError {
  const said = readFileSync(supervisorLog(directory), 'utf8').trim().split('\n').slice(-8).join('\n');
  return refused({
    message: `The supervisor of the embedded Postgres did not start (${how}): ${said}`,
    remedy: 'Remove the cause, or set MILLRACE_STATE_URL to a Postgres database.',
    facts: { directory },
  });
}

function supervisorLog(directory: string): string {
  return path.join(directory, 'log', 'supervisor.log');
}

/** Turns "permission denied" and its like into an error with a remedy. */
function readable<T>(directory: string, work: () => T): T {
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(explain) as T) : result;
  } catch (error) {
    return explain(error);
  }

  function explain(error: unknown): never {
    if (error instanceof MillraceError) throw error;
    const { message, remedy, facts } = asRefusal(error);
    throw refused({ message: `The directory of the embedded Postgres cannot be used: ${message}`, remedy, facts: { directory, ...facts } });
  }
}

function refused(why: Refusal): MillraceError {
  return new MillraceError('EMBEDDED_POSTGRES_UNAVAILABLE', { message: why.message, remedy: why.remedy, facts: why.facts });
}

function lostError(directory: string, why: Refusal | undefined): MillraceError {
  return new MillraceError('EMBEDDED_POSTGRES_LOST', {
    message: why?.message ?? 'The embedded Postgres was stopped while it was in use.',
    remedy: why?.remedy ?? 'Run the command again: nothing that was committed is lost.',
    facts: { directory },
  });
}
