import type { Context, LoadOwner } from '@millrace/core/runtime';
import type { Session } from '../client.ts';

/** One attempt at a task, or a look at what it would do. */
export interface Doing {
  readonly session: Session;
  readonly context: Context;
  readonly owner: LoadOwner;
  /** False on Redshift. */
  readonly postgres: boolean;
  /** A line for the run's record: what was done. */
  readonly tell: (line: string) => void;
}
