import { type RunRecord, type Share, type SplitClaims, type StoredError, storeError } from '@millrace/core/runtime';
import { redactError } from '../secrets/redact.ts';
import type { StoreRequest } from '../stage-process/message.ts';
import type { Outcome } from '../stage-process/stage-process.ts';
import { jobOf } from './job.ts';
import { type SplitRequest, splitRequest } from './split-request.ts';
import { type AttemptSetting, StageRun } from './stage-run.ts';

/** Milliseconds after which whoever helps lets others come first: a stage of many splits would hold a whole fleet until its end. */
const turn = 30_000;

const nothing: SplitClaims = { claims: [], left: 0 };

/** Help with the splits of an attempt that another worker makes, or this one in another place. */
export class Help {
  readonly share: Share;
  /** Settles when the share is given back, or lost. Answers whether it came to a good end. */
  readonly done: Promise<boolean>;
  readonly #setting: AttemptSetting;
  readonly #stage: StageRun;
  readonly #began = performance.now();
  #stopping = false;

  constructor(share: Share, run: RunRecord, setting: AttemptSetting) {
    this.share = share;
    this.#setting = setting;
    this.#stage = new StageRun(share, setting);
    this.done = this.#work(run);
  }

  /** No more splits are begun. Those on their way have their time. */
  finish(): void {
    this.#stopping = true;
  }

  stop(reason: StoredError, graceMs?: number): void {
    this.#stopping = true;
    this.#stage.stop(reason, graceMs);
  }

  async #work(run: RunRecord): Promise<boolean> {
    const outcome = await this.#outcome(run).catch((error: unknown): Outcome => ({ type: 'failed', error: storeError(error) }));
    const failed = outcome.type === 'failed' && outcome.error.code !== 'SHUTDOWN' && outcome.error.code !== 'LEASE_LOST';
    if (failed) this.#warn(redactError(outcome.error, this.#setting.redactor));
    await this.#setting.logs.flush();
    // Where that fails, its lease is over in time.
    await this.#stage.patiently(() => this.#setting.store.splits.leave(this.share)).catch(() => {});
    return !failed;
  }

  async #outcome(run: RunRecord): Promise<Outcome> {
    const job = await jobOf(run, this.share, this.share.grants, this.#setting);
    return this.#stage.outcome(
      run,
      { job, help: true, name: `${this.share.epoch}-${this.share.id}` },
      { progress: () => {}, store: (request) => this.#store(request) }, // the attempt counts what is staged
    );
  }

  async #store(request: StoreRequest): Promise<unknown> {
    switch (request.type) {
      case 'claim-splits':
        if (this.#stopping || performance.now() - this.#began > turn) return nothing;
        break;
      case 'store-split':
      case 'staged':
        break;
      default:
        throw new TypeError(`whoever helps asks for "${request.type}"`);
    }
    return this.#stage.patiently(() => splitRequest(request satisfies SplitRequest, this.share, this.#setting.store));
  }

  /** The splits are the attempt's again, which meets the same itself if it is not of this place alone. */
  #warn({ code, message }: StoredError): void {
    this.#stage.log({
      at: new Date().toISOString(),
      level: 'warn',
      message: `Worker ${this.share.worker} could not help: ${message}`,
      facts: { code, worker: this.share.worker },
    });
  }
}
