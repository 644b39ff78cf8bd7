import { type ChildProcess, spawn } from 'node:child_process';
import type { MillraceError } from '@millrace/core/runtime';
import { scrubbed } from './failure.ts';
import { type Java, javaFailure } from './java.ts';
import { type AnswerFrame, FrameReader, header, type Order } from './protocol.ts';

export interface FrameListener {
  frame(frame: AnswerFrame): void;
  /** The process has ended: nothing will come any more. */
  gone(reason: MillraceError): void;
}

/** How long a process without sessions waits for the next one: a JVM with a loaded driver is worth half a second. */
const idleMs = 5_000;
/** What a driver has said last is shown with the end of the process. */
const keptOutput = 4_000;

/** A JVM that serves sessions of any number of databases, as long as there are some. */
export class JavaProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #sessions = new Map<number, FrameListener>();
  /** Of all sessions that there have been: drivers print what they like. */
  readonly #hidden = new Set<string>();
  #next = 1;
  #output = '';
  #ended: MillraceError | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor({ command, args }: Java) {
    // A group of its own: Ctrl-C on a terminal is for this process, which then closes what is open.
    const detached = process.platform !== 'win32';
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: environment(), detached, windowsHide: true });
    this.#child = child;
    const reader = new FrameReader((frame) => this.#sessions.get(frame.session)?.frame(frame));
    child.stdout.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        this.#end(error as MillraceError);
        child.kill('SIGKILL');
      }
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-4 * keptOutput);
    });
    child.stdin.on('error', () => {}); // its end is told by `close`
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#end(javaFailure(`cannot be started (${error.message})`, ''));
        resolve();
      });
      child.once('close', (code, signal) => {
        this.#end(javaFailure(signal ? `was ended by ${signal}` : `ended with exit code ${code}`, this.#said()));
        resolve();
      });
    });
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The number of a session of one's own, whose `hidden` texts no message shows. @throws CONNECTION_FAILED where the process has ended */
  attach(listener: FrameListener, hidden: readonly string[]): number {
    if (this.#ended) throw this.#ended;
    for (const text of hidden) this.#hidden.add(text);
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
    this.#hold(true);
    const number = this.#next++;
    this.#sessions.set(number, listener);
    return number;
  }

  detach(session: number): void {
    if (!this.#sessions.delete(session) || this.#sessions.size > 0) return;
    this.#hold(false);
    this.#idle = setTimeout(() => void this.shutdown(), idleMs).unref();
  }

  send(session: number, order: Order, payload: Buffer = nothing): void {
    if (this.#ended) return;
    const { stdin } = this.#child;
    stdin?.cork();
    stdin?.write(header(session, order, payload.length));
    if (payload.length > 0) stdin?.write(payload);
    process.nextTick(() => stdin?.uncork());
  }

  /** Databases within the process are closed in an orderly way. */
  async shutdown(): Promise<void> {
    if (this.#ended) return;
    this.send(0, 'shutdown');
    this.#end(javaFailure('was ended', ''));
    await this.#exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** What drivers said last, from the beginning of a line on. Java itself repeats the options of its environment. */
  #said(): string {
    const lines = scrubbed(this.#output, { hidden: [...this.#hidden] }).split('\n');
    if (this.#output.length >= 4 * keptOutput) lines.shift();
    const said = lines.filter((line) => !/^Picked up \w+:/.test(line)).join('\n');
    return said.trim().slice(-keptOutput);
  }

  /** Lets this process end although the child runs, or not. */
  #hold(held: boolean): void {
    const parts = [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr] as unknown as { ref?(): void; unref?(): void }[];
    for (const part of parts) {
      if (held) part.ref?.();
      else part.unref?.();
    }
  }

  #end(reason: MillraceError): void {
    if (this.#ended) return;
    this.#ended = reason;
    if (this.#idle) clearTimeout(this.#idle);
    for (const listener of [...this.#sessions.values()]) listener.gone(reason);
    this.#sessions.clear();
  }
}

const nothing = Buffer.alloc(0);

/** Failpoints and options of Node are for the process that they were given to. */
function environment(): NodeJS.ProcessEnv {
  const { MILLRACE_FAILPOINT: _failpoint, NODE_OPTIONS: _options, ...rest } = process.env;
  return rest;
}

const running = new Map<string, JavaProcess>();

/** The process for these settings: one for all connections of this program that are started alike. */
export function javaProcess(java: Java): JavaProcess {
  const key = JSON.stringify([java.command, java.args]);
  const known = running.get(key);
  if (known?.alive) return known;
  const made = new JavaProcess(java);
  running.set(key, made);
  return made;
}
