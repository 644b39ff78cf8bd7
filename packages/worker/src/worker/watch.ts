import {
  decide,
  elsewhereProgress,
  type Found,
  failedLook,
  isMillraceError,
  type Looked,
  type LookJob,
  lookPause,
  type RemoteLook,
  type RunRecord,
  remoteOf,
  type StoredError,
  stageTimeout,
  storeError,
} from '@millrace/core/runtime';
import { redactError } from '../secrets/redact.ts';
import { passing } from './failpoints.ts';
import { jobOf, stageOf } from './job.ts';
import { readable } from './readable.ts';
import { type AttemptSetting, StageRun } from './stage-run.ts';
import { cancelled, shutdown } from './stops.ts';

export interface WatchOptions {
  readonly setting: AttemptSetting;
  readonly worker: string;
  readonly queue: string;
  /** Fingerprints of the plans whose work it can look at; all where it is left out. */
  readonly plans?: readonly string[] | undefined;
  /** How often to look without having been told. */
  readonly pollMs: number;
  /** How long, at most, a hint may wait. */
  readonly hintMs: number;
  /** A look has changed a run. */
  readonly changed: () => void;
}

/** Looks side by side, beside the stages that run: each is a short call in a process that is kept. */
const atOnce = 2;
/** Milliseconds after which a look is given up: its service does not answer. */
const patience = 45_000;
/** Between two looks at work that was asked to end. */
const endingMs = 5_000;

/**
 * Looks at work that goes on elsewhere, wherever it was begun: takes looks that are due, asks the service in a stage process, and reports.
 * It holds no place of a stage between two looks. A worker that dies leaves a look that another takes.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #looking = new Map<StageRun, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #hint: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  /** Whether anything was elsewhere when it asked last. */
  #any = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.nudge();
  }

  /** Something may be due. */
  nudge(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#loop().finally(() => {
      this.#running = undefined;
      if (this.#again) this.nudge();
    });
  }

  /** Somebody has said that a run has changed: perhaps one is to be cancelled whose work goes on elsewhere. */
  hint(): void {
    if (!this.#any) return;
    this.#hint ??= setTimeout(() => {
      this.#hint = undefined;
      this.nudge();
    }, Math.random() * this.#options.hintMs).unref();
  }

  /** Looks that are on their way are broken off: they are somebody else's as soon as this worker has gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#hint);
    for (const stage of this.#looking.keys()) stage.stop(shutdown, graceMs);
    await this.#running;
    await Promise.allSettled(this.#looking.values());
  }

  async #loop(): Promise<void> {
    let pause = this.#options.pollMs;
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        pause = await this.#take();
      } catch (error) {
        if (!isMillraceError(error)) process.emitWarning(error instanceof Error ? error : String(error));
        pause = 1_000;
      }
    }
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.nudge(), Math.max(pause, 10));
  }

  /** Answers in how many milliseconds there may be something due. */
  async #take(): Promise<number> {
    const { setting, worker, queue, plans, pollMs } = this.#options;
    const room = atOnce - this.#looking.size;
    // Whoever ends a look asks again.
    if (room <= 0) return pollMs;
    const { looks, nextMs } = await setting.store.remote.looks(queue, worker, room, plans);
    this.#any = nextMs !== null || looks.length > 0 || this.#looking.size > 0;
    for (const look of looks) this.#look(look);
    // What is due already and was not taken is another's, or comes when one of these has ended.
    return Math.min(pollMs, nextMs === null || nextMs === 0 ? pollMs : nextMs);
  }

  #look(look: RemoteLook): void {
    const { run, stage, epoch } = look;
    const { setting, worker } = this.#options;
    const own = new StageRun({ run, stage, epoch, worker }, setting);
    const done = this.#see(look, own)
      .catch((error: unknown) => {
        // The look is over in a minute, and somebody takes the next one.
        if (!isMillraceError(error)) process.emitWarning(error instanceof Error ? error : String(error));
      })
      .finally(() => {
        this.#looking.delete(own);
        this.nudge();
      });
    this.#looking.set(own, done);
    if (this.#stopped) own.stop(shutdown);
  }

  async #see(look: RemoteLook, own: StageRun): Promise<void> {
    passing('worker.look.taken');
    const { setting } = this.#options;
    const run = await own.patiently(() => setting.store.read(look.run));
    const end = endOf(look, run);
    const looked = await this.#looked(look, run, own, end);
    await setting.logs.flush();
    if (!looked) return;
    passing('worker.look.known');
    switch (looked.at) {
      case 'running':
      case 'unanswered':
        return this.#keep(look, run, own, looked, end);
      default:
        return this.#report(look, run, own, looked);
    }
  }

  /** Undefined where it was broken off. */
  async #looked(look: RemoteLook, run: RunRecord, own: StageRun, end: StoredError | null): Promise<Looked | undefined> {
    const { setting, worker } = this.#options;
    const { work, intended, handle, endingMs: since } = look;
    const asked: LookJob = { work, intended, handle, endingMs: since, end };
    const job = await jobOf(run, { run: run.id, stage: look.stage, epoch: look.epoch, worker }, undefined, setting);
    const late = setTimeout(() => own.stop(noAnswer(look), 1_000), patience);
    const outcome = await own
      .outcome(run, { job, help: false, look: asked, name: `${look.epoch}-look` }, { progress: () => {}, store: noStore })
      .finally(() => clearTimeout(late));
    if (outcome.type === 'looked') return outcome.looked;
    if (outcome.type !== 'failed') throw new TypeError(`asked for a look, and got "${outcome.type}"`);
    if (outcome.error.code === 'SHUTDOWN') return undefined;
    const error = redactError(outcome.error, setting.redactor);
    const label = remoteOf(run.plan, look.stage)?.label ?? look.stage;
    const message = `${label} could not be asked how it fares: ${error.message}`;
    own.log({ at: new Date().toISOString(), level: 'warn', message, facts: { code: error.code } });
    return failedLook(error, asked);
  }

  async #keep(
    look: RemoteLook,
    run: RunRecord,
    own: StageRun,
    looked: Extract<Looked, { at: 'running' | 'unanswered' }>,
    end: StoredError | null,
  ): Promise<void> {
    const { store, redactor, progress: tell } = this.#options.setting;
    const { pollMs = endingMs } = remoteOf(run.plan, look.stage) ?? {};
    const { timeoutMs } = stageOf(run, look.stage);
    const left = timeoutMs === null || end ? Number.POSITIVE_INFINITY : Math.max(0, timeoutMs - look.ageMs);
    const often = end ? Math.min(pollMs, endingMs) : pollMs;
    const nextMs = Math.min(end && looked.at === 'running' ? often : lookPause(often, look.look), left);
    const [status, progress, handle] =
      looked.at === 'running' ? [redactor.redact(looked.status), looked.progress, looked.handle] : [looked.error.code, null, look.handle];
    await own.patiently(() => store.remote.seen(look, { status, progress, handle, ending: end !== null, nextMs }));
    passing('worker.look.stored');
    tell(elsewhereProgress({ ...look, handle, status, progress, elapsedMs: Math.round(look.ageMs) }));
  }

  async #report({ stage, epoch }: RemoteLook, run: RunRecord, own: StageRun, found: Found): Promise<void> {
    const { store, redactor } = this.#options.setting;
    const told: Found =
      found.at === 'succeeded'
        ? { ...found, output: readable(found.output, redactor) }
        : found.at === 'failed'
          ? { ...found, error: redactError(found.error, redactor) }
          : found;
    const random = Math.random();
    await own.patiently(() =>
      store.transition(run.id, (record, now) => decide(record, { type: 'found', stage, epoch, found: told, random }, now)),
    );
    passing('worker.look.stored');
    this.#options.changed();
  }
}

/** Why the work is to end. */
function endOf(look: RemoteLook, run: RunRecord): StoredError | null {
  if (look.cancelled) return cancelled(run.id);
  const state = run.stages.get(look.stage)?.state;
  if (state?.at === 'elsewhere' && state.ends) return state.ends;
  const { timeoutMs } = stageOf(run, look.stage);
  return timeoutMs !== null && look.handle !== null && look.ageMs >= timeoutMs ? storeError(stageTimeout(look.stage, timeoutMs)) : null;
}

const noAnswer = ({ stage }: RemoteLook): StoredError => ({
  code: 'REMOTE_UNAVAILABLE',
  message: `The service of "${stage}" has not answered for ${patience / 1000} s.`,
  remedy: 'Nothing to do: it is asked again.',
  facts: { stage },
});

const noStore = (): never => {
  throw new TypeError('a look keeps nothing');
};
