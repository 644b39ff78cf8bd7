import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningCommand, startMillrace } from '../../../packages/cli/test/command.ts';
import { type TestProject, testProject } from '../../../packages/cli/test/project.ts';
import type { Random } from '../random.ts';
import { type FleetDag, pipelineSource, randomDag } from './pipelines.ts';
import { serviceSource } from './service.ts';

/** Longer than anything here takes, short enough to be waited for. */
const lease = '2s';

/** Pipelines in JavaScript: no process that takes a stage compiles them first. */
const config = `import { defineConfig, secret } from '@millrace/core';
export default defineConfig({
  pipelines: 'pipelines/*.js',
  environments: {
    prod: {
      secrets: ['env'], state: secret('STATE_URL'), executor: 'fleet', concurrency: 2, pools: { narrow: 1 },
      fleet: { lease: '${lease}', dispatch: { redis: secret('REDIS_URL') } },
    },
  },
});
`;

export interface FleetEnds {
  readonly STATE_URL: string;
  readonly TARGET_URL: string;
  readonly REDIS_URL: string;
}

/** A project of random pipelines and the processes that work on it: they are killed, put to sleep and replaced. */
export class Fleet implements AsyncDisposable {
  readonly dags: readonly FleetDag[];
  readonly wrong: string[] = [];
  readonly #project: TestProject;
  readonly #ends: FleetEnds;
  readonly #workers = new Set<RunningCommand>();
  readonly #dice: Random;

  constructor(ends: FleetEnds, pipelines: number, dice: Random) {
    this.#ends = ends;
    this.#dice = dice;
    this.dags = Array.from({ length: pipelines }, (_, at) => randomDag(`dag-${at}`, dice));
    this.#project = testProject({
      'millrace.config.ts': config,
      'service.js': serviceSource,
      ...Object.fromEntries(this.dags.map((dag) => [`pipelines/${dag.pipeline}.js`, pipelineSource(dag)])),
    });
  }

  fileOf({ pipeline }: FleetDag): string {
    return `${this.#project.root}/pipelines/${pipeline}.js`;
  }

  get size(): number {
    return this.#workers.size;
  }

  async hire(): Promise<void> {
    const worker = startMillrace(['worker', '--json'], { cwd: this.#project.root, env: { ...this.#ends } });
    this.#workers.add(worker);
    void worker.ended.then(({ code, signal, stderr }) => {
      this.#workers.delete(worker);
      if (signal === null && code !== 143) this.wrong.push(`A worker ended with ${code}: ${stderr.slice(-2000)}`);
    });
    // One that comes while the servers are away is not there for long.
    await Promise.race([worker.said('"type":"working"').catch(() => {}), sleep(30_000, undefined, { ref: false })]);
  }

  /** With all that it has started, as the end of a machine does. */
  kill(): void {
    const worker = this.#any();
    if (worker) signal(worker, 'SIGKILL');
  }

  drain(): void {
    const worker = this.#any();
    if (worker) process.kill(worker.process.pid as number, 'SIGTERM');
  }

  /** Beyond its lease: others take over what it does, and then it wakes. */
  async asleep(milliseconds: number): Promise<void> {
    const worker = this.#any();
    if (!worker) return;
    signal(worker, 'SIGSTOP');
    await sleep(milliseconds);
    signal(worker, 'SIGCONT');
  }

  /** As a deployment does: all of them, or the oldest of those that are more than `left`. */
  async dismiss(left = 0): Promise<void> {
    const all = [...this.#workers].slice(0, Math.max(0, this.#workers.size - left));
    for (const { process: child } of all) child.kill('SIGTERM');
    const late = sleep(60_000, 'late' as const, { ref: false });
    if ((await Promise.race([Promise.all(all.map(({ ended }) => ended)), late])) === 'late')
      this.wrong.push('A worker was not drained in a minute.');
  }

  #any(): RunningCommand | undefined {
    const all = [...this.#workers];
    return all.length === 0 ? undefined : this.#dice.pick(all);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) signal(worker, 'SIGKILL');
    await Promise.all([...this.#workers].map(({ ended }) => ended));
    this.#project[Symbol.dispose]();
  }
}

/** It may have ended a moment ago. */
function signal({ process: child }: RunningCommand, name: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid as number), name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
