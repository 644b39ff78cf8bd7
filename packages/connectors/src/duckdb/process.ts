import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MillraceError } from '@millrace/core/runtime';
import type { Answer, Order } from './child.ts';
import { statementFailure } from './failure.ts';

export type Row = readonly unknown[];

/**
 * One converter process. `run` is called for one statement at a time. After `kill` every call rejects; killing is the only way
 * to stop a statement, and whatever it has written must then be thrown away.
 */
export class DuckDb {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #waiting: { resolve(rows: readonly Row[]): void; reject(error: unknown): void } | null = null;
  #ended: Error | null = null;
  #errors = '';
  #cpuMs = 0;
  /** When the child was last seen to use the CPU, by the monotonic clock. */
  #busyAt = performance.now();

  constructor() {
    const { script, flags } = program();
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), [], {
      execArgv: flags,
      env: environment(),
      cwd: tmpdir(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    child.on('message', (answer: Answer) => this.#hear(answer));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-2_000);
    });
    child.on('error', (error) => this.#end(error));
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#end(died(signal ? `was ended by ${signal}` : `ended with exit code ${code}`, this.#errors));
        resolve();
      });
      child.once('error', () => resolve());
    });
  }

  /** Starts a DuckDB in the process, with `directory` as its current directory. */
  async open(directory: string, settings: Readonly<Record<string, string>>): Promise<void> {
    await this.#send({ order: 'open', directory, settings });
  }

  /** @throws what `failure.ts` makes of DuckDB's message */
  run(sql: string, values: readonly (string | null)[] = []): Promise<readonly Row[]> {
    return this.#send({ order: 'run', sql, values });
  }

  /** Frees all that the DuckDB held; the process can be opened again. */
  async close(): Promise<void> {
    await this.#send({ order: 'close' });
  }

  /** How long the process has not used the CPU, in milliseconds. */
  idleMs(): number {
    return performance.now() - this.#busyAt;
  }

  /** True while a statement runs. */
  get busy(): boolean {
    return this.#waiting !== null;
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  /** Lets this process end although the child runs, or not. */
  hold(held: boolean): void {
    if (held) {
      this.#child.ref();
      this.#child.channel?.ref();
    } else {
      this.#child.unref();
      this.#child.channel?.unref();
    }
    const errors = this.#child.stderr as (NodeJS.ReadableStream & { ref?(): void; unref?(): void }) | null;
    if (held) errors?.ref?.();
    else errors?.unref?.();
  }

  /** Ends the process. When this call returns no statement can go on; when the promise settles the process is gone. */
  kill(reason?: Error): Promise<void> {
    if (reason) this.#end(reason);
    this.#child.kill('SIGKILL');
    return this.#exited;
  }

  #send(order: Order): Promise<readonly Row[]> {
    if (this.#ended) return Promise.reject(this.#ended);
    this.#busyAt = performance.now();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#child.send(order, (error) => {
        if (error) this.#end(died('cannot be reached', error.message));
      });
    });
  }

  #hear(answer: Answer): void {
    if (answer.answer === 'alive') {
      // Half a tick of the system clock over two seconds is the heartbeat itself, not work.
      if (answer.cpuMs - this.#cpuMs > 20) this.#busyAt = performance.now();
      this.#cpuMs = answer.cpuMs;
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    if (answer.answer === 'done') waiting?.resolve(answer.rows);
    else waiting?.reject(statementFailure(answer.message));
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(this.#ended);
  }
}

function died(how: string, output: string): MillraceError {
  const missing = /Cannot find (?:package|module) '([^']*)'/.exec(output)?.[1];
  if (missing) {
    return new MillraceError('CONFIG_INVALID', {
      message: `Files are converted by DuckDB, and "${missing}" is not installed.`,
      remedy: 'Run "npm install @duckdb/node-api".',
    });
  }
  return new MillraceError('WIRE_CORRUPT', {
    message: `The converter process ${how}.`,
    remedy: 'The part was thrown away and is made again. If this repeats, look for the system running out of memory.',
    facts: output === '' ? {} : { output },
  });
}

/** From its sources the program is TypeScript, which Node 20 cannot read by itself: that takes a second, so tests have it bundled. */
function program(): { readonly script: string; readonly flags: string[] } {
  if (!import.meta.url.endsWith('.ts')) return { script: './child.js', flags: [] };
  if (process.env['MILLRACE_BUNDLED']) return { script: '../../dist/bundled/child.js', flags: ['--conditions=millrace-bundled'] };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return { script: './child.ts', flags: ['--conditions=millrace-source', `--import=${tsx}`] };
}

/**
 * glibc gives large blocks back to the system at once when it is told to, and then a conversion stays below 320 MB instead of
 * growing with every gigabyte that passes. Failpoints are for the process that the test named.
 */
function environment(): NodeJS.ProcessEnv {
  const { MILLRACE_FAILPOINT: _failpoint, NODE_OPTIONS: _options, ...rest } = process.env;
  return { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '131072', ...rest };
}
