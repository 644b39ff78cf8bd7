import type { Plan } from '@millrace/core/runtime';
import { type ProcessSpec, StageProcess } from './stage-process.ts';

/** A process that has run so many stages is replaced, for whatever they have left in it: after so many minutes, or when it has become large. */
const stagesEach = 50;
const minutesEach = 10;
const largeBytes = 256 * 1024 * 1024;

/**
 * Processes with a pipeline loaded, kept for its next stage: starting Node and loading a file and its connectors takes longer
 * than many a stage. Only one that its stage has left as it was is used again.
 */
export class ProcessPool implements AsyncDisposable {
  readonly #idle: { readonly key: string; readonly process: StageProcess; readonly used: number }[] = [];
  readonly #busy = new Map<StageProcess, { readonly key: string; readonly used: number }>();
  readonly #room: number;
  #closed = false;

  /** `room` is how many idle ones are kept. */
  constructor(room: number) {
    this.#room = room;
  }

  /** Starts one ahead of its first stage. */
  warm(spec: ProcessSpec, version: string): void {
    const key = keyOf(spec, version);
    if (this.#closed || this.#idle.some((idle) => idle.key === key && idle.process.alive)) return;
    this.#keep({ key, process: new StageProcess(spec), used: 0 });
  }

  /** What the file compiles to now. The process that has loaded it is kept for the first stage. */
  async plan(spec: ProcessSpec): Promise<Plan> {
    const process = new StageProcess(spec);
    this.#busy.set(process, { key: '', used: 0 });
    try {
      const plan = await process.plan();
      this.#busy.delete(process);
      this.#keep({ key: keyOf(spec, plan.fingerprint), process, used: 0 });
      return plan;
    } catch (error) {
      this.#busy.delete(process);
      process.kill();
      throw error;
    }
  }

  /** A process for one stage. `version` is the fingerprint of the pipeline: another version is loaded anew. */
  take(spec: ProcessSpec, version: string): StageProcess {
    const key = keyOf(spec, version);
    const at = this.#idle.findIndex((idle) => idle.key === key && idle.process.alive);
    const found = at < 0 ? undefined : this.#idle.splice(at, 1)[0];
    const process = found?.process ?? new StageProcess(spec);
    this.#busy.set(process, { key, used: (found?.used ?? 0) + 1 });
    return process;
  }

  /** After the stage. */
  giveBack(process: StageProcess, leftClean: boolean): void {
    const taken = this.#busy.get(process);
    this.#busy.delete(process);
    if (taken && leftClean && process.alive && !this.#closed && !worn(process, taken.used)) this.#keep({ process, ...taken });
    else process.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const all = [...this.#idle.map(({ process }) => process), ...this.#busy.keys()];
    for (const process of all) process.kill();
    await Promise.all(all.map((process) => process.gone()));
  }

  #keep(idle: { readonly key: string; readonly process: StageProcess; readonly used: number }): void {
    if (this.#closed) return idle.process.kill();
    idle.process.rest();
    this.#idle.push(idle);
    while (this.#idle.length > this.#room) this.#idle.shift()?.process.kill();
  }
}

const worn = ({ memory, born }: StageProcess, used: number): boolean =>
  used >= stagesEach && (memory > largeBytes || performance.now() - born > minutesEach * 60_000);

const keyOf = ({ file, directory, sources }: ProcessSpec, version: string): string => JSON.stringify([file, directory, sources, version]);
