import type { Position } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { ReplicationConnection } from '../replication/transport.ts';
import type { ChangeReader } from './change-reader.ts';
import type { FollowedParts } from './followed-table.ts';

/** What a slot is read with, and how. */
export interface ReadParts {
  readonly pipeline: string;
  readonly connection: ReplicationConnection;
  /** For looks at the catalog. */
  readonly session: () => Promise<Session>;
  readonly slot: string;
  readonly publication: string;
  readonly after: { readonly position: Position; readonly lsn: bigint };
  readonly toPosition: (lsn: bigint) => Position;
  readonly tables: readonly FollowedParts[];
  readonly binary: boolean;
  readonly streaming: boolean;
  readonly memoryBytes: number;
  readonly spoolBytes: number;
  /** A directory for open transactions. */
  readonly spool: string;
  /** Told of the reader once it runs. */
  readonly onStart: (reader: ChangeReader) => Promise<void>;
}
