import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** False for a zombie too: in a container whose first process does not reap, the dead keep their pid. */
export function lives(pid: number): boolean {
  return isTaken(pid) && statFields(pid)?.[0] !== 'Z';
}

export function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** The moment a process started, as its kernel writes it; empty where that is not to be had (outside Linux). */
export function identity(pid: number): string {
  const started = statFields(pid)?.[19];
  return started === undefined ? '' : `${read('/proc/sys/kernel/random/boot_id')}/${started}`;
}

/** Where the pids and the loopback ports that this process sees mean something. */
export function place(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')} ${readlinkSync('/proc/self/ns/net')}`;
  } catch {
    return hostname();
  }
}

/** Whether this pid is a postmaster of that data directory, and not some later process with the same number. */
export function isPostmasterOf(pid: number, data: string): boolean {
  if (!lives(pid)) return false;
  if (process.platform === 'linux') {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === data;
    } catch {
      return false;
    }
  }
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).includes(data);
  } catch {
    return false;
  }
}

/** What a child needs of our environment. Credentials, loaders and debuggers stay here. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'LD_LIBRARY_PATH', 'NIX_LD', 'NIX_LD_LIBRARY_PATH'];
  const environment: NodeJS.ProcessEnv = { LC_ALL: 'C' };
  for (const name of kept) if (process.env[name] !== undefined) environment[name] = process.env[name];
  return environment;
}

/** The fields of /proc/<pid>/stat from the state on: the name before it may hold spaces and parentheses. */
function statFields(pid: number): string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text === undefined ? undefined : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
