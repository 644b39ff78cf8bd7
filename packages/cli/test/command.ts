import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packages = fileURLToPath(new URL('../../', import.meta.url));

/** The built command where nothing has changed since it was built, which starts in half the time; else the sources. */
const command = isBuilt()
  ? [join(packages, 'cli/bin/millrace.js')]
  : [
      '--conditions=millrace-source',
      '--import',
      pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href,
      join(packages, 'cli/src/main.ts'),
    ];

function isBuilt(): boolean {
  return ['core', 'connectors', 'transforms', 'worker', 'cli'].every((name) => {
    const source = join(packages, name, 'src');
    return readdirSync(source, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !/\.test(-d)?\.ts$/.test(file))
      .every((file) => {
        const built = join(packages, name, 'dist', file.replace(/ts$/, 'js'));
        return existsSync(built) && statSync(built).mtimeMs >= statSync(join(source, file)).mtimeMs;
      });
  });
}

export interface CommandOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
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
export function startMillrace(args: readonly string[], { cwd, env = {} }: CommandOptions): RunningCommand {
  const child = spawn(process.execPath, ['--no-warnings', ...command, ...args], {
    cwd,
    detached: true,
    env: cleanEnvironment(env),
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
