import { askAgent } from './agent.ts';

export interface TaskProtectionOptions {
  /** `$ECS_AGENT_URI` */
  readonly agent: string;
  /** Told of the first failure in a row, and of the success after it. */
  readonly failed: (error: unknown) => void;
  readonly worked: () => void;
  /** How long the protection lasts without us, in minutes: 1 to 2880. A worker that hangs is not kept for longer. 10 by default. */
  readonly minutes?: number;
  /** Pause after a failure, 30 s by default. */
  readonly pauseMs?: number;
  /** Milliseconds, from anywhere. */
  readonly now?: () => number;
}

/**
 * Keeps ECS from ending this task by scale-in or deployment while something long runs. It does not help against Spot, which takes
 * the machine. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
 */
export class TaskProtection implements AsyncDisposable {
  readonly #options: TaskProtectionOptions;
  /** When the protection was armed, by this process' clock; null where there is none, as far as we know. */
  #armed: number | null = null;
  #failing = false;
  #notBefore = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;
  #closed = false;

  constructor(options: TaskProtectionOptions) {
    this.#options = options;
  }

  /** With each heartbeat. Asks the agent only where something changes, or half of the time is over; never waits, never throws. */
  want(protection: boolean): void {
    const { minutes = 10, now = monotonic } = this.#options;
    if (this.#closed || this.#asking || now() < this.#notBefore) return;
    const fresh = this.#armed !== null && now() - this.#armed < (minutes * 60_000) / 2;
    if (protection ? fresh : this.#armed === null) return;
    this.#asking = this.#ask(protection).finally(() => {
      this.#asking = undefined;
    });
  }

  async #ask(protection: boolean): Promise<void> {
    const { agent, minutes = 10, pauseMs = 30_000, now = monotonic, failed, worked } = this.#options;
    const asked = now();
    try {
      const body = JSON.stringify(protection ? { ProtectionEnabled: true, ExpiresInMinutes: minutes } : { ProtectionEnabled: false });
      const answer = await askAgent(`${agent}/task-protection/v1/state`, { method: 'PUT', body });
      const { failure, error } = answer as { failure?: { Reason?: unknown }; error?: { Message?: unknown } };
      if (failure || error) throw new Error(`ECS' agent refused: ${String(failure?.Reason ?? error?.Message ?? 'no reason given')}`);
      this.#armed = protection ? asked : null;
      if (this.#failing) worked();
      this.#failing = false;
    } catch (cause) {
      this.#notBefore = now() + pauseMs;
      if (!this.#failing) failed(cause);
      this.#failing = true;
    }
  }

  /** Drops it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#asking;
    if (this.#armed !== null) await this.#ask(false);
  }
}

const monotonic = (): number => performance.now();
