import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  codes,
  isMillraceError,
  type Lease,
  type LogLine,
  type PlanStage,
  type RunRecord,
  type RunStore,
  type StageProgress,
  type StoredError,
  stageTimeout,
  storeError,
} from '@millrace/core/runtime';
import type { Redactor } from '../secrets/redact.ts';
import type { ProcessPool } from '../stage-process/pool.ts';
import type { Outcome, ProcessSpec, StageListener, StageProcess, StageWork } from '../stage-process/stage-process.ts';
import type { Catalog } from './catalog.ts';
import type { LogBuffer } from './log-buffer.ts';
import { makeAttemptSpool, sharedSpool } from './spool.ts';

/** What attempts of one worker share. */
export interface AttemptSetting {
  readonly store: RunStore;
  readonly processes: ProcessPool;
  readonly logs: LogBuffer;
  readonly redactor: Redactor;
  readonly catalog: Catalog;
  /** Directory under which attempts get one of their own. */
  readonly spool: string;
  readonly graceMs: number;
  readonly splitConcurrency: number;
  readonly memoryBudget: number;
  /** True where other workers may help with the splits of a stage. */
  readonly shared: boolean;
  /** The span of an attempt, as a traceparent, where it is traced. */
  readonly trace: (lease: Lease) => string | null;
  readonly progress: (progress: StageProgress) => void;
}

/** A stage in a process of its own, for whoever has claimed it or helps with it. */
export class StageRun {
  readonly #lease: Lease;
  readonly #setting: AttemptSetting;
  #process: StageProcess | undefined;
  #stopped: StoredError | undefined;

  constructor(lease: Lease, setting: AttemptSetting) {
    this.#lease = lease;
    this.#setting = setting;
  }

  /** Ends it: gently, or at once where there is no grace left. The first reason counts. */
  stop(reason: StoredError, graceMs = this.#setting.graceMs): void {
    this.#stopped ??= reason;
    this.#process?.stop(this.#stopped, graceMs);
  }

  /** `name` tells this attempt's temporary files from those of others. */
  async outcome(
    run: RunRecord,
    { job, help, look, name }: Pick<StageWork, 'job' | 'help' | 'look'> & { readonly name: string },
    handler: Pick<StageListener, 'progress' | 'store'>,
  ): Promise<Outcome> {
    const { processes, catalog, graceMs } = this.#setting;
    const { stage } = job;
    const own = stage.kind !== 'execute' && stage.kind !== 'remote';
    const spool = own
      ? join(this.#setting.spool, `${process.pid}-${shortened(run.id)}-${stage.id}-${name}`)
      : await sharedSpool(this.#setting.spool);
    if (own) await makeAttemptSpool(spool);
    const { fingerprint } = run.plan;
    const child = processes.take(catalog.specOf(run) as ProcessSpec, fingerprint);
    this.#process = child;
    // Its own clock stops it; this one is for a stage that does not hear.
    const overdue =
      stage.timeoutMs === null || look
        ? undefined
        : setTimeout(() => this.stop(storeError(stageTimeout(stage.id, stage.timeoutMs as number))), stage.timeoutMs + 500);
    try {
      const running = child.run(
        { job, fingerprint, spool, help, ...(look && { look }), trace: this.#setting.trace(this.#lease) },
        this.#listener(handler),
      );
      if (this.#stopped) child.stop(this.#stopped, graceMs);
      const outcome = await running;
      processes.giveBack(child, this.#leftClean(outcome, stage));
      return outcome;
    } finally {
      clearTimeout(overdue);
      this.#process = undefined;
      if (own) await rm(spool, { recursive: true, force: true, maxRetries: 3 }).catch(() => {}); // swept when a worker starts
    }
  }

  /** What a server or a service refused leaves nothing behind in the process; of what else fails here nobody knows. */
  #leftClean(outcome: Outcome, { kind }: PlanStage): boolean {
    if (outcome.type !== 'failed') return true;
    const { code } = outcome.error;
    const refused = kind === 'execute' ? codes[code].retry === 'backoff' : kind === 'remote' && code.startsWith('REMOTE_');
    return refused && !this.#stopped && code !== 'STAGE_TIMEOUT' && code !== 'STAGE_CRASHED';
  }

  /** Again and again while the store is away, unless we have to go. */
  async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let pause = 100; ; pause = Math.min(2 * pause, 5_000)) {
      try {
        return await work();
      } catch (error) {
        const goes = this.#stopped?.code === 'SHUTDOWN' || this.#stopped?.code === 'LEASE_LOST';
        if (!isMillraceError(error) || error.code !== 'STATE_UNAVAILABLE' || goes) throw error;
        await sleep(pause);
      }
    }
  }

  log(line: Omit<LogLine, 'run' | 'stage' | 'epoch'>): void {
    const { run, stage, epoch } = this.#lease;
    this.#setting.logs.add({ run, stage, epoch, ...line });
  }

  #listener(handler: Pick<StageListener, 'progress' | 'store'>): StageListener {
    const { redactor } = this.#setting;
    return {
      progress: (message) => handler.progress(message),
      store: (request) => handler.store(request),
      log: (line) => this.log(line),
      secret: (value) => redactor.hide(value),
      redact: (text) => redactor.redact(text),
    };
  }
}

/** Of a name that somebody may have given: two that end in the same way stay apart, and none leads out of the folder. */
const shortened = (run: string): string => createHash('sha256').update(run).digest('hex').slice(0, 12);
