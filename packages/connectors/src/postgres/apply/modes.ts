import type { SourceTransaction } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { historyActs, truncateHistory, writeHistory } from './history.ts';
import { type Act, mirrorActs } from './mirror-acts.ts';
import type { OneChange } from './one-change.ts';
import type { ApplyMode } from './settings.ts';
import { softDeleteActs, truncateSoftly, writeSoftDeletes } from './soft-delete.ts';
import type { TargetTable } from './target-table.ts';
import { truncate } from './truncate.ts';
import type { Turns } from './turns.ts';
import { type TableParts, writeMirror } from './write-mirror.ts';

/** What changes do to a table. */
export interface Mode {
  /**
   * Many changes at once; `continued` where others of the group came before. False, and nothing done, where they must be applied one by
   * one.
   */
  together(turns: Turns, tables: readonly TableParts[], transactions: readonly SourceTransaction[], continued: boolean): Promise<boolean>;
  /** `together` begins with `compact`, which may be done before its time. */
  readonly compacts: boolean;
  /** One change alone. */
  acts(change: OneChange): Act[];
  truncate(session: Session, targets: readonly TargetTable[], transaction: SourceTransaction): Promise<void>;
}

const mirror: Mode = { together: writeMirror, compacts: true, acts: mirrorActs, truncate };

export const modes: Readonly<Record<ApplyMode, Mode>> = {
  mirror,
  'soft-delete': { together: writeSoftDeletes, compacts: true, acts: softDeleteActs, truncate: truncateSoftly },
  history: { together: writeHistory, compacts: false, acts: historyActs, truncate: truncateHistory },
};
