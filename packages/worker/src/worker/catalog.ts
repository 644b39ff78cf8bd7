import type { RunRecord } from '@millrace/core/runtime';
import type { ProcessSpec } from '../stage-process/stage-process.ts';

/** Which pipelines a worker has, and where. */
export interface Catalog {
  /** Fingerprints of the plans it can run; left out where every run says itself where its file is. */
  readonly plans?: readonly string[];
  /** What to load for a stage of this run; null where this worker does not have that version of the pipeline. */
  specOf(run: RunRecord): ProcessSpec | null;
}
