import type { SourceTransaction } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { type Act, mirrorActs } from './mirror-acts.ts';
import type { OneChange } from './one-change.ts';
import type { ApplyMode } from './settings.ts';
import type { TargetTable } from './target-table.ts';
import { truncate } from './truncate.ts';
import { type TableParts, writeMirror } from './write-mirror.ts';

/** What changes do to a table. */
export interface Mode {
  /** Many changes at once. False, and nothing done, where they must be applied one by one. */
  together(session: Session, tables: readonly TableParts[], transactions: readonly SourceTransaction[]): Promise<boolean>;
  /** One change alone. */
  acts(change: OneChange): Act[];
  truncate(session: Session, targets: readonly TargetTable[], transaction: SourceTransaction): Promise<void>;
}

const mirror: Mode = { together: writeMirror, acts: mirrorActs, truncate };

export const modes: Readonly<Record<ApplyMode, Mode>> = { mirror, 'soft-delete': mirror, history: mirror };
