import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Errand } from './attempt.ts';

/** How an attempt in a process of its own ended. A refusal has its code in `said`. */
export interface Ended {
  readonly how: 'killed' | 'done' | 'failed';
  readonly said: string;
}

/** Far beyond what an attempt takes, also beside all other tests. */
const patienceMs = 120_000;

export class AttemptProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  #over = false;
  #said = '';

  constructor(program: string, errand: Errand, failpoint: string) {
    const child = spawn(process.execPath, [program, JSON.stringify(errand)], {
      env: { ...process.env, MILLRACE_FAILPOINT: failpoint },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.ended = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        this.#over = true;
        resolve({ how: signal === 'SIGKILL' ? 'killed' : code === 0 ? 'done' : 'failed', said: this.#said });
      }),
    );
  }

  /** Once it has stopped itself with SIGSTOP; false where it ended without. */
  async sleeps(): Promise<boolean> {
    for (let waited = 0; waited < patienceMs; waited += 20) {
      if (this.#over) return false;
      if (stateOf(this.#child.pid) === 'T') return true;
      await sleep(20);
    }
    throw new Error(`The attempt neither sleeps nor ends: ${this.#said}`);
  }

  /** Wakes it and sees it end. */
  async wake(): Promise<Ended> {
    this.#child.kill('SIGCONT');
    return await this.end();
  }

  async end(): Promise<Ended> {
    const late = new AbortController();
    const timeout = sleep(patienceMs, 'late' as const, { signal: late.signal, ref: false }).catch(() => 'late' as const);
    const ended = await Promise.race([this.ended, timeout]);
    late.abort();
    if (ended !== 'late') return ended;
    this.kill();
    throw new Error(`The attempt did not end: ${this.#said}`);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** A letter of /proc: `T` where the process is stopped. */
function stateOf(pid: number | undefined): string | undefined {
  try {
    return /^\d+ \(.*\) (\w)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** Runs the errand undisturbed and answers how often it comes past each failpoint. */
export async function passes(program: string, errand: Errand): Promise<ReadonlyMap<string, number>> {
  const { how, said } = await new AttemptProcess(program, errand, '*').end();
  if (how !== 'done') throw new Error(`An undisturbed attempt at "${errand.way}" failed: ${said}`);
  const counts = new Map<string, number>();
  for (const [, point = ''] of said.matchAll(/^failpoint (.*)$/gm)) counts.set(point, (counts.get(point) ?? 0) + 1);
  return counts;
}
