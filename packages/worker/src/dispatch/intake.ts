import type { WakeUp } from '@millrace/core/runtime';
import type { Job, Worker } from 'bullmq';
import { atMost } from './within.ts';

/** A wake-up that was taken from the queue, and that the queue still counts as in work. */
export interface Taken {
  readonly wakeUp: WakeUp;
  /** The queue forgets it, and where `more`, gives the next one in the same round trip. */
  done(more: boolean): Promise<Taken | undefined>;
  /** Somebody else may have it. */
  putBack(): Promise<void>;
}

/** The reading end of a queue. */
export interface Intake {
  /** Waits some seconds for one. */
  take(): Promise<Taken | undefined>;
  /** Ends a `take` that waits. One that has just come is still given to whoever asked, and can be put back. */
  interrupt(): void;
  /** Lets go of its connections, whatever state they are in. */
  close(): Promise<void>;
}

export type BullmqWorker = Worker<WakeUp, void, string>;
export type BullmqJob = Job<WakeUp, void, string>;

/**
 * How a BullMQ worker has to be set up for `intake`. A job is active for one round trip only, from the moment it is taken until it is
 * gone, so the lock is short: it repairs that a process died just then, when the id would keep out all later wake-ups.
 */
export const reading = {
  autorun: false,
  drainDelay: 5,
  lockDuration: 10_000,
  stalledInterval: 5_000,
  // A stall is no attempt, and wake-ups are never failed: the store alone decides.
  maxStalledCount: 1_000_000,
  skipLockRenewal: true,
} as const;

const closeMs = 2_000;

/** Fetches by hand, so that a job leaves the queue before its handler begins, and no job is fetched without a free place. */
export function intake(worker: BullmqWorker, fromJson: (json: unknown, id: string) => BullmqJob, release: () => Promise<void>): Intake {
  const token = `${worker.id}:0`;
  void worker.startStalledCheckTimer();

  const taken = (job: BullmqJob): Taken => ({
    wakeUp: { run: String(job.data.run), stage: job.data.stage ?? null },
    async done(more) {
      const next = await job.moveToCompleted(undefined, token, more);
      if (!Array.isArray(next) || !next[0]) return undefined;
      const [json, id] = next as [unknown, string];
      return taken(fromJson(json, id));
    },
    async putBack() {
      await job.moveToWait(token);
    },
  });

  return {
    async take() {
      // Declared without it, but it is undefined when nothing came in time.
      const job: BullmqJob | undefined = await worker.getNextJob(token);
      return job && taken(job);
    },
    interrupt() {
      void worker.pause(true).catch(() => {});
      void worker
        .getBackend()
        .disconnectBlocking(false)
        .catch(() => {});
    },
    async close() {
      await atMost(closeMs, worker.close(true));
      await release();
    },
  };
}
