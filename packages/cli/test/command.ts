import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command as few files, from the sources as they are: it starts in half the time. See test/bundled-packages.ts. */
const bundled = fileURLToPath(new URL('../dist/bundled/main.js', import.meta.url));

/** As it was built last, and as it is installed. */
const installed = fileURLToPath(new URL('../bin/millrace.js', import.meta.url));

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Starts what users install. */
  readonly asInstalled?: true;
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON, one object a line. */
  json<T = Record<string, unknown>>(): T[];
}

export interface RunningCommand {
  readonly process: ChildProcess;
  readonly ended: Promise<CommandResult>;
  /** Resolves when a line of standard output (or error) holds the text. */
  said(text: string): Promise<void>;
}

/** Starts `millrace <args>` as a real process, in a process group of its own. */
export function startMillrace(args: readonly string[], { cwd, env = {}, asInstalled }: CommandOptions): RunningCommand {
  const child = spawn(process.execPath, ['--no-warnings', asInstalled ? installed : bundled, ...args], {
    cwd,
    detached: true,
    env: cleanEnvironment({ ...(!asInstalled && { NODE_OPTIONS: '--conditions=millrace-bundled' }), ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  const heard = () => {
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    heard();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    heard();
  });
  const ended = new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        code,
        signal,
        stdout,
        stderr,
        json: <T>() =>
          stdout
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as T),
      }),
    );
  });
  return {
    process: child,
    ended,
    said: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!`${stdout}${stderr}`.includes(text)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        ended.then(() => reject(new Error(`The command ended without saying "${text}":\n${stdout}\n${stderr}`)), reject);
        look();
      }),
  };
}

export function millrace(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return startMillrace(args, options).ended;
}

/** What the test runner and CI have set must not change what a command prints. */
function cleanEnvironment(env: CommandOptions['env']): NodeJS.ProcessEnv {
  const { VITEST: _, VITEST_POOL_ID: __, VITEST_WORKER_ID: ___, NODE_OPTIONS: ____, NODE_ENV: _____, ...rest } = process.env;
  const left = Object.entries({ ...rest, CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, MILLRACE_ENV: undefined, ...env });
  return Object.fromEntries(left.filter(([, value]) => value !== undefined));
}
