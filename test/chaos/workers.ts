import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './until.ts';
import type { ChaosErrand } from './worker.ts';

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Attempts one after the other, as long as nobody says stop; sometimes two at once. */
export class Workers {
  readonly wrong: string[] = [];
  said = '';
  attempts = 0;
  /** Attempts that ended because there was no room for open transactions. */
  fullDisks = 0;
  readonly #program: string;
  readonly #ends: Pick<ChaosErrand, 'source' | 'mirror' | 'history'>;
  readonly #spools: string;
  readonly #runAt = new Date().toISOString();
  readonly #living = new Set<ChildProcess>();
  readonly #look: () => Promise<string>;
  #going = false;

  /** `spools` is the folder below which each attempt keeps its temporary files; `look` tells what the servers do where an attempt is stuck. */
  constructor(program: string, spools: string, ends: Pick<ChaosErrand, 'source' | 'mirror' | 'history'>, look: () => Promise<string>) {
    this.#program = program;
    this.#spools = spools;
    this.#ends = ends;
    this.#look = look;
  }

  start(): void {
    this.#going = true;
    void this.#again();
  }

  async #again(): Promise<void> {
    while (this.#going) {
      const { code, signal } = await this.#attempt(null);
      if (code === 4 || code === 1) return;
      // Like a supervisor: at once after a kill, a little later after an error.
      if (signal === null && this.#going) await sleep(100);
    }
  }

  async #attempt(until: ChaosErrand['until']): Promise<Ending> {
    const epoch = ++this.attempts;
    const spool = join(this.#spools, `attempt-${epoch}`);
    const errand: ChaosErrand = { ...this.#ends, epoch, runAt: this.#runAt, until, spool };
    const child = spawn(process.execPath, ['--no-warnings', this.#program, JSON.stringify(errand)], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#living.add(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(-20_000);
        this.said = `${this.said}[${epoch}] ${text}`.slice(-20_000);
      });
    }
    const ending = await new Promise<Ending>((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
      child.once('error', (error) => {
        this.wrong.push(`An attempt did not start: ${error.message}`);
        resolve({ code: null, signal: 'SIGKILL' });
      });
    });
    this.#living.delete(child);
    rmSync(spool, { recursive: true, force: true });
    this.#judge(ending, said);
    return ending;
  }

  /** Whatever happens is worth another attempt, and is told as one error. */
  #judge({ code }: Ending, said: string): void {
    if (code === 4 || code === 1) this.wrong.push(`An attempt gave up: ${said.slice(-1500)}`);
    const failures = said.split('\n').filter((line) => line.startsWith('{"code"'));
    if (code === 3 && failures.length !== 1) this.wrong.push(`An attempt ended with ${failures.length} errors: ${said.slice(-1500)}`);
    if (code === 3 && said.includes('"DISK_FULL"')) this.fullDisks++;
  }

  /** Waits until somebody has come so far. */
  async says(phase: 'planning' | 'streaming'): Promise<void> {
    await until(() => this.said.includes(phase), 20_000);
  }

  killOne(): void {
    const [first] = this.#living;
    first?.kill('SIGKILL');
  }

  async asleep(milliseconds: number): Promise<void> {
    const [first] = this.#living;
    first?.kill('SIGSTOP');
    void this.#attempt(null);
    await sleep(milliseconds);
    first?.kill('SIGCONT');
  }

  twin(): void {
    void this.#attempt(null);
  }

  async stop(): Promise<void> {
    this.#going = false;
    for (const child of this.#living) child.kill('SIGTERM');
    await until(() => this.#living.size === 0, 15_000);
    for (const child of this.#living) child.kill('SIGKILL');
  }

  /** Undisturbed, to the end. Somebody else may still hold the slot for a moment. */
  async catchUp(): Promise<void> {
    const overdue = setTimeout(() => void this.#giveUp(), 120_000);
    try {
      for (let tries = 0; tries < 5; tries++) {
        const { code } = await this.#attempt('caught-up');
        if (code === 0) return;
        if (code !== 3) break;
        await sleep(500);
      }
    } finally {
      clearTimeout(overdue);
    }
    throw new Error(`The last attempt did not catch up: ${this.said.slice(-1500)}`);
  }

  async #giveUp(): Promise<void> {
    this.wrong.push('The last attempt has not caught up in two minutes.');
    for (const child of this.#living) child.kill('SIGUSR2'); // says what it is at
    this.wrong.push(await this.#look().catch((error: unknown) => `Nobody can look at the servers: ${error}`));
    await sleep(1_000);
    for (const child of this.#living) child.kill('SIGKILL');
  }

  async kill(): Promise<void> {
    this.#going = false;
    for (const child of this.#living) child.kill('SIGKILL');
    while (this.#living.size > 0) await sleep(20);
  }
}
