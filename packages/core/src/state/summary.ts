import type { StoredError } from '../error/index.ts';
import type { RunId, RunState, StageState } from './run-state.ts';

export interface RunFilter {
  readonly pipeline?: string;
  readonly states?: readonly RunState['at'][];
  readonly limit?: number;
  /** Runs made before this one, for the next page. */
  readonly before?: RunId;
}

export interface RunSummary {
  readonly id: RunId;
  readonly pipeline: string;
  readonly fingerprint: string;
  readonly state: RunState;
  readonly createdAt: string;
  readonly logicalTime: string;
  readonly window: { readonly start: string; readonly end: string } | null;
  readonly cancelRequestedAt: string | null;
  readonly stages: Readonly<Record<StageState['at'], number>>;
  readonly rows: number;
  /** True where it is unfinished and no living process works on it: `resume` takes it up. */
  readonly abandoned: boolean;
}

export interface AttemptDetail {
  readonly attempt: number;
  readonly epoch: number;
  readonly worker: string;
  readonly started: string;
  readonly ended: string | null;
  readonly result: 'running' | 'succeeded' | 'failed' | 'released' | 'lost' | 'cancelled';
  readonly error: StoredError | null;
}
