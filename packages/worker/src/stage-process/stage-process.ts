import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  type Looked,
  MillraceError,
  type Plan,
  type RemoteHandle,
  restoreError,
  type StageOutput,
  type StoredError,
  storeError,
} from '@millrace/core/runtime';
import { lines } from './capture-output.ts';
import type { FromProcess, StoreRequest, ToProcess } from './message.ts';
import { killedWithParent, parentArgument } from './orphan.ts';

/** Which code a process has loaded. */
export interface ProcessSpec {
  readonly file: string;
  readonly directory: string;
  readonly sources: Extract<ToProcess, { type: 'load' }>['sources'];
}

/** A stage, (`help`) splits of an attempt at it that another worker makes, or a `look` at its work elsewhere. `spool` is a directory of its own. */
export type StageWork = Omit<Extract<ToProcess, { type: 'run' }>, 'type'>;

export interface StageListener {
  progress(message: Extract<FromProcess, { type: 'progress' }>): void;
  log(line: Extract<FromProcess, { type: 'log' }>['line']): void;
  secret(value: string): void;
  store(request: StoreRequest): Promise<unknown>;
  redact(text: string): string;
}

type Answer = Outcome | { readonly type: 'plan'; readonly plan: Plan };

export type Outcome =
  | { readonly type: 'succeeded'; readonly output: StageOutput }
  /** Its work goes on at a service. */
  | { readonly type: 'elsewhere'; readonly handle: RemoteHandle }
  /** With so many splits of an attempt that another worker makes. */
  | { readonly type: 'helped'; readonly splits: number }
  | { readonly type: 'looked'; readonly looked: Looked }
  | { readonly type: 'failed'; readonly error: StoredError };

/** Characters of what a process has written past us that a crash shows. */
const lastWords = 4_000;

/** The worker's end of a process that runs stages. */
export class StageProcess {
  readonly born = performance.now();
  /** Resident bytes, as it said last. */
  memory = 0;
  readonly #child: ChildProcess;
  readonly #exit: Promise<string>;
  #listener: StageListener | undefined;
  #finish: ((answer: Answer) => void) | undefined;
  #errors = '';
  #stopping: { readonly reason: StoredError; readonly timer: NodeJS.Timeout } | undefined;
  #killed = false;
  #alive = true;

  constructor(spec: ProcessSpec) {
    this.#child = spawnChild(spec.directory);
    this.#exit = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(`could not be started (${error.message})`));
      this.#child.once('exit', (code, signal) => resolve(signal ? `was ended by ${signal}` : `ended with exit code ${code}`));
    });
    void this.#exit.then((how) => this.#ended(how));
    this.#child.on('message', (message: FromProcess) => this.#heard(message));
    const raw = (level: 'stdout' | 'stderr') =>
      lines((text) => this.#listener?.log({ at: new Date().toISOString(), level, message: this.#listener.redact(text), facts: {} }));
    const out = raw('stdout');
    const err = raw('stderr');
    this.#child.stdout?.setEncoding('utf8').on('data', out);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-lastWords);
      err(text);
    });
    this.#send({ type: 'load', ...spec });
  }

  /** It has not ended, and may run another stage. */
  get alive(): boolean {
    return this.#alive;
  }

  /** An idle process does not keep this one from ending. */
  rest(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    for (const pipe of [this.#child.stdout, this.#child.stderr]) (pipe as { unref?(): void } | null)?.unref?.();
  }

  /** What its file compiles to. @throws what loading or compiling throws */
  async plan(): Promise<Plan> {
    const answer = await this.#ask({ type: 'plan' });
    if (answer.type === 'plan') return answer.plan;
    throw answer.type === 'failed' ? restoreError(answer.error) : new TypeError(`asked for a plan, and got "${answer.type}"`);
  }

  /** Runs one stage to its outcome; the death of the process is one. */
  async run(work: StageWork, listener: StageListener): Promise<Outcome> {
    this.#listener = listener;
    const answer = await this.#ask({ type: 'run', ...work });
    if (answer.type === 'plan') throw new TypeError('asked for a stage, and got a plan');
    return answer;
  }

  #ask(message: ToProcess): Promise<Answer> {
    this.#child.ref();
    this.#child.channel?.ref();
    return new Promise((resolve) => {
      this.#finish = (answer) => {
        this.#finish = undefined;
        clearTimeout(this.#stopping?.timer);
        this.#stopping = undefined;
        resolve(answer);
      };
      if (!this.#alive) void this.#exit.then((how) => this.#ended(how));
      else this.#send(message);
    });
  }

  /** Asks the stage to end; kills it if it has not after `graceMs`. */
  stop(reason: StoredError, graceMs: number): void {
    if (!this.#finish || (this.#stopping && graceMs > 0)) return;
    clearTimeout(this.#stopping?.timer);
    this.#stopping = { reason, timer: setTimeout(() => this.kill(), graceMs) };
    this.#send({ type: 'stop', reason, graceMs });
  }

  kill(): void {
    this.#killed = true;
    this.#child.kill('SIGKILL');
  }

  /** After `kill`: it is gone. */
  async gone(): Promise<void> {
    await this.#exit;
  }

  #send(message: ToProcess): void {
    // The channel may have closed a moment ago: the exit is on its way.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #heard(message: FromProcess): void {
    switch (message.type) {
      case 'progress':
        this.memory = message.memory;
        return this.#listener?.progress(message);
      case 'log':
        return this.#listener?.log(message.line);
      case 'secret':
        return this.#listener?.secret(message.value);
      case 'store':
        return void this.#store(message.id, message.what);
      case 'plan':
      case 'succeeded':
      case 'elsewhere':
      case 'helped':
      case 'looked':
      case 'failed':
        return this.#finish?.(message);
      default:
        message satisfies never;
    }
  }

  async #store(id: number, what: StoreRequest): Promise<void> {
    try {
      this.#send({ type: 'stored', id, error: null, value: await this.#listener?.store(what) });
    } catch (error) {
      this.#send({ type: 'stored', id, error: storeError(error) });
    }
  }

  #ended(how: string): void {
    this.#alive = false;
    // A failpoint has killed it: it stands for the death of the machine, so this process goes as well.
    if (process.env['MILLRACE_FAILPOINT'] && how === 'was ended by SIGKILL' && !this.#killed) process.kill(process.pid, 'SIGKILL');
    this.#finish?.({ type: 'failed', error: this.#stopping?.reason ?? this.#crash(how) });
  }

  #crash(how: string): StoredError {
    const words = this.#listener?.redact(this.#errors.trim()) ?? '';
    const memory = /heap out of memory|Allocation failed/.test(words);
    return storeError(
      new MillraceError('STAGE_CRASHED', {
        message: `The process of the stage ${how} before the stage was done${memory ? ': it ran out of memory' : ''}.${words === '' ? '' : `\n${words}`}`,
        remedy: memory
          ? 'Keep less in memory between rows, or allow more: NODE_OPTIONS=--max-old-space-size=4096.'
          : 'Look for process.exit(), native code or a memory limit of the machine or container.',
        facts: { how },
      }),
    );
  }
}

function spawnChild(directory: string): ChildProcess {
  const { script, flags } = program();
  const [execPath, ...before] = [...(killedWithParent() ?? []), process.execPath];
  return fork(fileURLToPath(new URL(script, import.meta.url)), [parentArgument()], {
    execPath,
    execArgv: [...before, '--no-warnings', ...flags],
    cwd: directory,
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
}

/** From the sources Node 20 needs a loader of TypeScript, which takes a second; tests have the program bundled. */
function program(): { readonly script: string; readonly flags: readonly string[] } {
  if (!import.meta.url.endsWith('.ts')) return { script: './child.js', flags: [] };
  if (process.env['MILLRACE_BUNDLED']) return { script: '../../dist/bundled/child.js', flags: ['--conditions=millrace-bundled'] };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  return { script: './child.ts', flags: ['--import', tsx, '--conditions=millrace-source'] };
}
