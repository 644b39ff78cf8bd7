import {
  type ChangeGroup,
  type Context,
  MillraceError,
  type Position,
  type ReadChanges,
  type RowSchema,
  type RowSource,
  type TableSnapshot,
} from '@millrace/core/runtime';
import type { ReplicationConnection } from '../replication/transport.ts';
import { openSource, type SourceSettings } from '../source.ts';

export interface TableSnapshotParts {
  readonly position: Position;
  /** Keeps the snapshot until it is told anything else. */
  readonly connection: ReplicationConnection;
  /** Its name for SET TRANSACTION SNAPSHOT. */
  readonly exported: string;
  readonly settings: SourceSettings;
  readonly context: Context;
  /** Names at the source and declared columns, by their names in the pipeline. */
  readonly tables: Readonly<Record<string, { readonly name: string; readonly schema: RowSchema }>>;
  readonly read: (options: ReadChanges) => AsyncIterable<ChangeGroup>;
}

/** Tables as they were where a slot begins. Every table is read on sessions of its own, which all look at the slot's snapshot. */
export class PostgresTableSnapshot implements TableSnapshot {
  readonly position: Position;
  readonly #parts: TableSnapshotParts;

  constructor(parts: TableSnapshotParts) {
    this.position = parts.position;
    this.#parts = parts;
  }

  async table(name: string): Promise<RowSource> {
    const { tables, settings, context, exported } = this.#parts;
    const table = Object.hasOwn(tables, name) ? tables[name] : undefined;
    if (!table) {
      throw new MillraceError('INTERNAL', {
        message: `"${name}" is read from a snapshot that it is not part of.`,
        remedy: 'Please report it.',
      });
    }
    return openSource(settings, { kind: 'relation', name: table.name }, table.schema, context, exported);
  }

  read(options: ReadChanges): AsyncIterable<ChangeGroup> {
    return this.#parts.read(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.connection[Symbol.asyncDispose]();
  }
}
