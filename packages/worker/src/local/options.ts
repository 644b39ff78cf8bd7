import type { Environment, Executor, Lease, RunRecord, RunStore } from '@millrace/core/runtime';
import type { RunViews } from '../executor/views.ts';
import type { StateAddress } from '../store/address.ts';

export interface LocalOptions {
  /** The Postgres database that keeps runs. Its schema `millrace` is made and kept up to date. */
  readonly state: StateAddress;
  /** The project's directory: `.env` and relative paths (`file:./lake`) start there. The working directory by default. */
  readonly directory?: string;
  /** Where secrets are looked for (`['.env', 'env']` by default), how many stages run side by side (2) and in how much memory (256 MiB). */
  readonly environment?: Pick<Environment, 'secrets' | 'concurrency' | 'memory' | 'pools'>;
  /** Milliseconds without a heartbeat after which another worker may take a stage over; 60,000 by default. */
  readonly leaseMs?: number;
  /** Milliseconds that a stage has to stop by itself on cancel, timeout and shutdown before its process is killed; 10,000 by default. */
  readonly graceMs?: number;
  /** What it works through: whoever observes what it does. */
  readonly watch?: (store: RunStore) => RunStore;
  /** The span of an attempt, as `observe` has it: spans that the code of the stage makes hang under it. */
  readonly trace?: (attempt: Lease) => string | null;
  /** The file that has the code of a run: another one than the run was made from where that has changed since. */
  readonly fileOf?: (run: RunRecord) => string | null;
}

/**
 * Runs pipelines on this machine: `await using executor = await localExecutor({ state })`. Disposing it drains: stages that run are
 * stopped and given back without an attempt spent, and the runs can be resumed.
 */
export interface LocalExecutor extends Executor, RunViews, AsyncDisposable {
  readonly kind: 'local';
  /** What disposing does; for SIGTERM and SIGINT. A second call kills at once. */
  drain(): Promise<void>;
}
