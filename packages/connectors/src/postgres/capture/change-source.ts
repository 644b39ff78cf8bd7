import {
  type CapturedTable,
  type ChangeGroup,
  type ChangeSource,
  type Context,
  MillraceError,
  type Position,
  type ReadChanges,
  type StreamHealth,
  type StreamIdentity,
  type StreamName,
  type StreamStatus,
  type TableSnapshot,
} from '@millrace/core/runtime';
import { openSession, type Session } from '../client.ts';
import { lsnKey, parseLsn } from '../replication/lsn.ts';
import type { ReplicationStream } from '../replication/stream.ts';
import { openReplication, type ReplicationConnection } from '../replication/transport.ts';
import type { SourceSettings } from '../source.ts';
import { readCatalogTable } from './catalog-table.ts';
import { readGroups } from './change-reader.ts';
import type { CaptureSettings } from './options.ts';
import { checkPublication, keepPublication } from './publication.ts';
import { canStreamBinary, type FollowedTable } from './relations.ts';
import { publicationName, slotName, slotPrefix } from './slot-name.ts';
import { checkReadable, readSlots, type SlotState } from './slot-state.ts';
import { isOnHistory, placeOf, positions } from './stream-position.ts';
import { readSystem, type SourceSystem } from './system.ts';
import { PostgresTableSnapshot } from './table-snapshot.ts';

export interface SourceParts {
  readonly settings: SourceSettings;
  readonly capture: CaptureSettings;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  readonly context: Context;
  readonly stream: StreamName;
}

export async function openChangeSource(parts: SourceParts): Promise<ChangeSource> {
  const session = await openSession(parts.settings, parts.context, { purpose: 'capture' });
  try {
    const replication = await openReplication(parts.settings, parts.context);
    try {
      return new PostgresChangeSource(parts, session, replication, await readSystem(replication));
    } catch (error) {
      await replication[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** How long a reader that is going away may take to let go of the slot. */
const busyPatienceMs = 10_000;

class PostgresChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  readonly #session: Session;
  readonly #replication: ReplicationConnection;
  readonly #system: SourceSystem;
  readonly #toPosition: (lsn: bigint) => Position;
  #running: ReplicationStream | undefined;
  #released = 0n;

  constructor(parts: SourceParts, session: Session, replication: ReplicationConnection, system: SourceSystem) {
    this.#parts = parts;
    this.#session = session;
    this.#replication = replication;
    this.#system = system;
    this.#toPosition = positions(system.history);
  }

  async stream(): Promise<StreamStatus | null> {
    const slot = await this.#slot();
    if (!slot) return null;
    const [row] = await this.#session.query(
      `select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as end`,
    );
    return {
      identity: this.#identity(slot.name, slot.origin),
      confirmed: this.#toPosition(slot.confirmed),
      end: this.#toPosition(parseLsn(row?.['end'] ?? '')),
    };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { stream, capture } = this.#parts;
    const slots = slotPrefix(stream);
    // One at a time: of two that are made at once, one would be left behind and hold the log for ever.
    await this.#session.query('select pg_advisory_lock(hashtextextended($1, 0))', [slots]);
    try {
      const tables = await this.#followed();
      await this.#keepPublication(tables);
      for (const { name } of await readSlots(this.#session, stream)) await this.#drop(name);
      const [row] = await this.#session.query(
        'select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn',
      );
      const origin = parseLsn(row?.['lsn'] ?? '');
      const connection = await openReplication(this.#parts.settings, this.#parts.context, { purpose: 'snapshot' });
      try {
        const slot = await connection.createSlot({ name: slotName(slots, lsnKey(origin)), snapshot: 'export', failover: capture.failover });
        return {
          identity: this.#identity(slot.name, origin),
          snapshot: this.#snapshot(connection, slot.name, slot.consistentPoint, slot.snapshotName, tables),
        };
      } catch (error) {
        await connection[Symbol.asyncDispose]();
        throw error;
      }
    } finally {
      await this.#session.query('select pg_advisory_unlock(hashtextextended($1, 0))', [slots]);
    }
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    const all = await this.#followed();
    await this.#keepPublication(all);
    const connection = await openReplication(this.#parts.settings, this.#parts.context, { purpose: 'snapshot' });
    try {
      // The server frees it with its connection; the process id keeps two of them apart.
      const name = `${slotPrefix(this.#parts.stream).slice(0, 40)}_t${process.pid}_${Date.now().toString(36)}`;
      const slot = await connection.createSlot({ name, temporary: true, snapshot: 'export' });
      const wanted = all.filter(({ table }) => tables.includes(table));
      return this.#snapshot(connection, name, slot.consistentPoint, slot.snapshotName, wanted);
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { stream } = this.#parts;
    const tables = await this.#followed();
    await this.#keepPublication(tables);
    const slot = await this.#slot();
    if (!slot) throw this.#resync(`there is no replication slot "${slotPrefix(stream)}_…"`, {});
    const place = placeOf(after);
    const facts = { slot: slot.name, position: after };
    if (!isOnHistory(place, this.#system.history))
      throw this.#resync(
        `the stream was read up to ${after}, on a timeline that this server (timeline ${this.#system.history.current}) left before that: it failed over, or was restored, without the last changes`,
        facts,
      );
    if (place.lsn < slot.confirmed)
      throw this.#resync(
        `the stream was read up to ${after}, and slot "${slot.name}" only has what came after ${this.#toPosition(slot.confirmed)}`,
        facts,
      );
    await this.#idle(slot.name);
    yield* readGroups(this.#readParts(this.#replication, slot.name, { position: after, lsn: place.lsn }, tables), options);
  }

  release(position: Position): void {
    const { lsn } = placeOf(position);
    if (lsn > this.#released) this.#released = lsn;
    this.#running?.release(lsn);
  }

  async nudge(): Promise<void> {
    if (this.#system.isStandby) return; // the primary's own traffic moves it
    // Transactional, for its commit is flushed at once, and only what is flushed is sent.
    await this.#session.query("select pg_logical_emit_message(true, 'millrace', '')");
  }

  async health(): Promise<StreamHealth> {
    const slot = await this.#slot();
    if (!slot) throw this.#resync('its replication slot is gone', {});
    return {
      slot: slot.name,
      state: slot.status,
      retainedBytes: slot.retained,
      budgetBytes: slot.safeBytes === null ? null : slot.safeBytes + slot.retained,
      lagBytes: 0,
      growthPerSecond: 0,
      spooledBytes: 0,
      warnings: [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#replication[Symbol.asyncDispose]();
    await this.#session[Symbol.asyncDispose]();
  }

  /** @throws RESYNC_REQUIRED where it cannot be read any more */
  async #slot(): Promise<SlotState | null> {
    const { stream } = this.#parts;
    const slot = (await readSlots(this.#session, stream)).at(-1);
    if (!slot) return null;
    if (slot.invalid !== null) {
      const [row] = await this.#session.query(`select current_setting('max_slot_wal_keep_size') as keep`);
      checkReadable(slot, stream, row?.['keep'] ?? '');
    }
    return slot;
  }

  #identity(slot: string, origin: bigint): StreamIdentity {
    const { systemId, database } = this.#system;
    return { source: `postgres:${systemId}/${database}`, slot, origin: this.#toPosition(origin) };
  }

  async #followed(): Promise<FollowedTable[]> {
    const followed: FollowedTable[] = [];
    for (const [table, { name, schema }] of Object.entries(this.#parts.tables))
      followed.push({ table, declared: schema, catalog: await readCatalogTable(this.#session, name) });
    return followed;
  }

  get #publication(): string {
    return this.#parts.capture.publication ?? publicationName(this.#parts.stream);
  }

  async #keepPublication(tables: readonly FollowedTable[]): Promise<void> {
    const { publication } = this.#parts.capture;
    const catalogs = tables.map(({ catalog }) => catalog);
    if (publication === null && !this.#system.isStandby) return keepPublication(this.#session, this.#publication, catalogs);
    await checkPublication(
      this.#session,
      this.#publication,
      tables.map(({ catalog, declared }) => ({ table: catalog, columns: declared.columns.map(({ name }) => name) })),
    );
  }

  /** @throws SLOT_BUSY */
  async #idle(name: string): Promise<void> {
    const deadline = performance.now() + busyPatienceMs;
    for (;;) {
      const [row] = await this.#session.query('select active_pid as pid from pg_replication_slots where slot_name = $1', [name]);
      if (!row?.['pid']) return;
      if (performance.now() > deadline) {
        throw new MillraceError('SLOT_BUSY', {
          message: `Replication slot "${name}" is read by another process (${row['pid']} at the server).`,
          remedy: `Nothing to do if that is an attempt that is going away: it is tried again. Else end it: SELECT pg_terminate_backend(${row['pid']});`,
          facts: { slot: name, pid: Number(row['pid']) },
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
      this.#parts.context.signal.throwIfAborted();
    }
  }

  async #drop(name: string): Promise<void> {
    await this.#idle(name);
    await this.#replication.dropSlot(name);
  }

  #snapshot(
    connection: ReplicationConnection,
    slot: string,
    point: bigint,
    exported: string | null,
    tables: readonly FollowedTable[],
  ): TableSnapshot {
    const { settings, context } = this.#parts;
    const position = this.#toPosition(point);
    return new PostgresTableSnapshot({
      position,
      connection,
      settings,
      context,
      exported: exported ?? '',
      tables: new Map(tables.map(({ table, declared }) => [table, { name: this.#parts.tables[table]?.name ?? '', schema: declared }])),
      read: (options) => readGroups({ ...this.#readParts(connection, slot, { position, lsn: point }, tables), onStart: () => {} }, options),
    });
  }

  #readParts(
    connection: ReplicationConnection,
    slot: string,
    after: { readonly position: Position; readonly lsn: bigint },
    tables: readonly FollowedTable[],
  ) {
    const { capture } = this.#parts;
    return {
      connection,
      slot,
      publication: this.#publication,
      after,
      toPosition: this.#toPosition,
      tables,
      binary: connection.version >= 140_000 && canStreamBinary(tables),
      streaming: capture.streaming,
      memoryBytes: capture.memoryBytes,
      onStart: (running: ReplicationStream) => {
        this.#running = running;
        if (this.#released > 0n) running.release(this.#released);
      },
    };
  }

  #resync(why: string, facts: Readonly<Record<string, unknown>>): MillraceError {
    const { pipeline, step } = this.#parts.stream;
    return new MillraceError('RESYNC_REQUIRED', {
      message: `${this.#session.place.label}: ${why}.`,
      remedy: `Run "millrace resync ${pipeline}" to copy the tables again. Nothing was skipped.`,
      facts: { pipeline, step, ...facts },
    });
  }
}
