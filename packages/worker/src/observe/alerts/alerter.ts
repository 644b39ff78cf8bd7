import type { AlertKind } from '@millrace/core/runtime';
import * as rows from '../../store/alerts.ts';
import type { StateConnection } from '../../store/connect.ts';
import type { ExpectedRun } from './alert.ts';
import type { Target } from './target.ts';

export interface AlerterOptions {
  readonly connection: StateConnection;
  readonly targets: readonly Target[];
  /** Runs that should have succeeded by some time; called at every look. Asked for recent ones only, it costs little. */
  readonly expected?: () => readonly ExpectedRun[] | Promise<readonly ExpectedRun[]>;
  readonly told: (target: string, kind: AlertKind, result: 'sent' | 'failed' | 'given-up', error: string | null) => void;
  /** The store was away, or something is wrong with `expected`. */
  readonly failed: (error: unknown) => void;
  /** A look came to its end. */
  readonly worked: () => void;
  readonly redact: (text: string) => string;
  /** How often to look, 5 s by default. */
  readonly everyMs?: number;
  /** How long a target may take to answer, 10 s by default. */
  readonly answerMs?: number;
  /** How long an alert is ours to send: longer than an answer may take, so that who has it is the only one. 40 s by default. */
  readonly claimMs?: number;
  /** First pause after a failure, 2 s by default; it doubles up to a quarter of an hour. */
  readonly pauseMs?: number;
}

/** Alerts that are sent one after the other before the next look. */
const batch = 50;
const longestPauseMs = 900_000;

/**
 * Looks at the rows of ended runs and tells of them. Every process of a fleet may do so: an alert is a row that only one can insert,
 * and that only one at a time can take to send. A process that dies while it sends leaves the row to the next, with the same id.
 */
export class Alerter implements AsyncDisposable {
  readonly #options: AlerterOptions;
  readonly #closed = new AbortController();
  /** Sent while the store was away: to be written down before anything else is sent. */
  readonly #unwritten = new Set<rows.Claim>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: AlerterOptions) {
    this.#options = options;
    this.look();
  }

  /** Now: a run has ended, say. */
  look(): void {
    if (this.#closed.signal.aborted || this.#options.targets.length === 0) return;
    clearTimeout(this.#timer);
    const { everyMs = 5_000, worked, failed } = this.#options;
    this.#looking ??= this.#look()
      .then(worked, failed)
      .finally(() => {
        this.#looking = undefined;
        if (this.#closed.signal.aborted) return;
        this.#timer = setTimeout(() => this.look(), everyMs * (0.75 + Math.random() / 2));
        this.#timer.unref();
      });
  }

  async #look(): Promise<void> {
    const { targets } = this.#options;
    const done = await Promise.allSettled(targets.map((target) => this.#serve(target)));
    const failure = done.find((one) => one.status === 'rejected');
    if (failure) throw failure.reason;
  }

  /** One target: another that hangs does not hold it up. */
  async #serve(target: Target): Promise<void> {
    const { connection, everyMs = 5_000 } = this.#options;
    for (const claim of this.#unwritten) if (claim.target === target.target) await this.#write(claim);
    if (await connection.guard((db) => rows.takeTurn(db, rows.turnOf(target), everyMs / 2))) await this.#raise(target);
    for (let sent = 0; sent < batch && !this.#closed.signal.aborted; sent++) if (!(await this.#sendOne(target))) return;
  }

  async #raise(target: Target): Promise<void> {
    const { connection, expected } = this.#options;
    while (await connection.guard((db) => rows.raiseEnds(db, target))) if (this.#closed.signal.aborted) return;
    const runs = expected ? await expected() : [];
    await connection.guard((db) => rows.raiseLate(db, target, runs));
    if (Math.random() < 0.001) await connection.guard((db) => rows.forgetAlerts(db));
  }

  /** Answers whether there may be more to send. */
  async #sendOne(target: Target): Promise<boolean> {
    const { connection, redact, told, answerMs = 10_000, claimMs = 40_000, pauseMs = 2_000 } = this.#options;
    const claim = await connection.guard((db) => rows.claimAlert(db, target.target, claimMs));
    if (!claim) return false;
    const { kind, title, text } = claim.alert;
    try {
      await target.send(
        { ...claim.alert, title: redact(title), text: redact(text) },
        AbortSignal.any([AbortSignal.timeout(answerMs), this.#closed.signal]),
      );
    } catch (error) {
      const reason = redact(reasonOf(error));
      const pause = this.#closed.signal.aborted
        ? 0
        : Math.min(longestPauseMs, pauseMs * 2 ** Math.min(20, claim.tries - 1)) * (0.5 + Math.random() / 2);
      const state = await connection.guard((db) => rows.alertFailed(db, claim, reason, pause));
      told(target.target, kind, state === 'given-up' ? 'given-up' : 'failed', reason);
      return false;
    }
    told(target.target, kind, 'sent', null);
    this.#unwritten.add(claim);
    await this.#write(claim);
    return true;
  }

  async #write(claim: rows.Claim): Promise<void> {
    await this.#options.connection.guard((db) => rows.alertSent(db, claim));
    this.#unwritten.delete(claim);
  }

  /** What is being sent is given `graceMs`; what is open is left to others, and to whoever comes next. */
  async close(graceMs: number): Promise<void> {
    clearTimeout(this.#timer);
    const giveUp = setTimeout(() => this.#closed.abort(), graceMs);
    await this.#looking;
    clearTimeout(giveUp);
    this.#closed.abort();
    clearTimeout(this.#timer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0);
  }
}

/** What went wrong, with what lay behind it: `fetch failed: connect ECONNREFUSED 10.0.0.1:443`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  return (cause instanceof Error ? `${message}: ${cause.message}` : message).slice(0, 500);
}
