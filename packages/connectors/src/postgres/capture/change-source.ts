import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  type CapturedTable,
  type ChangeGroup,
  type ChangeSource,
  type Context,
  isMillraceError,
  MillraceError,
  type Position,
  type ReadChanges,
  type StreamHealth,
  type StreamIdentity,
  type StreamStatus,
  type TableSnapshot,
} from '@millrace/core/runtime';
import { startHeartbeat } from '../../changes/heartbeat.ts';
import { openSession, type Session } from '../client.ts';
import { openReplication, type ReplicationConnection } from '../replication/transport.ts';
import { importSnapshot } from '../snapshot.ts';
import type { SourceSettings } from '../source.ts';
import { type CatalogTable, generatedProblem } from './catalog-table.ts';
import { type ChangeReader, readGroups } from './change-reader.ts';
import { installTrigger } from './ddl-trigger.ts';
import { checkFollowed, checkWhole, type FollowedCheck } from './followed-check.ts';
import { canStreamBinary, type FollowedParts } from './followed-table.ts';
import { LastingSession } from './lasting-session.ts';
import { nudge } from './nudge.ts';
import type { CaptureSettings } from './options.ts';
import { checkPublication, keepPublication } from './publication.ts';
import type { ReadParts } from './read-parts.ts';
import { SlotWatch } from './slot-health.ts';
import { publicationName, slotPrefix } from './slot-name.ts';
import { placeOf, positions } from './stream-position.ts';
import {
  awaitIdle,
  beginSlot,
  checkPlace,
  dropSlot,
  dropStrays,
  existingSlot,
  findSlot,
  type SlotOwner,
  sessionPurpose,
} from './stream-slot.ts';
import { followedTables, readTables, rememberTables } from './stream-tables.ts';
import { endOfLog, readSystem, type SourceSystem } from './system.ts';
import { PostgresTableSnapshot } from './table-snapshot.ts';

export interface SourceParts extends SlotOwner {
  readonly settings: SourceSettings;
  readonly capture: CaptureSettings;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  readonly context: Context;
}

export async function openChangeSource(parts: SourceParts): Promise<ChangeSource> {
  const session = new LastingSession(parts.settings, parts.context, sessionPurpose(slotPrefix(parts.stream), parts.epoch));
  try {
    await session.get();
    await using replication = await openReplication(parts.settings, parts.context);
    return new PostgresChangeSource(parts, session, await readSystem(replication));
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

class PostgresChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  readonly #session: LastingSession;
  #system: SourceSystem;
  readonly #watch = new SlotWatch();
  #reader: ChangeReader | undefined;
  /** What the reader follows. */
  #followed: readonly FollowedParts[] = [];
  #connection: ReplicationConnection | undefined;
  #released = 0n;

  constructor(parts: SourceParts, session: LastingSession, system: SourceSystem) {
    this.#parts = parts;
    this.#session = session;
    this.#system = system;
  }

  async stream(): Promise<StreamStatus | null> {
    const slot = await findSlot(await this.#session.get(), this.#parts);
    if (!slot) return null;
    return {
      identity: this.#identity(slot.name, slot.origin),
      confirmed: this.#toPosition(slot.confirmed),
      end: this.#toPosition(await endOfLog(await this.#session.get())),
    };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { capture, tables } = this.#parts;
    // All of it in one session: where this attempt sleeps and the server ends the session, it can do nothing more when it wakes.
    const session = await this.#session.get();
    const prepare = () => this.#prepare(session, null);
    return beginSlot(session, this.#parts, prepare, async (name, origin) => {
      const snapshot = await this.#snapshot(session, { name, failover: capture.failover }, name, Object.keys(tables));
      return { identity: this.#identity(name, origin), snapshot };
    });
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    const session = await this.#session.get();
    const slot = await existingSlot(session, this.#parts);
    await this.#prepare(session, slot.name);
    // The server frees it with its connection. Its name only has to be nobody else's.
    const name = `${slotPrefix(this.#parts.stream).slice(0, 40)}_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
    return this.#snapshot(session, { name, temporary: true }, slot.name, tables);
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { settings, context, capture, tables } = this.#parts;
    const session = await this.#session.get();
    const slot = await existingSlot(session, this.#parts);
    await this.#prepare(session, slot.name);
    await awaitIdle(session, this.#parts, slot.name);
    await dropStrays(session, this.#parts, slot);
    await using connection = await openReplication(settings, context);
    this.#connection = connection;
    this.#system = await readSystem(connection);
    checkPlace(this.#parts, this.#system, after, slot, await endOfLog(session));
    using _heartbeat =
      capture.heartbeatMs === null || this.#system.isStandby
        ? null
        : startHeartbeat({
            everyMs: capture.heartbeatMs,
            quietMs: () => this.#reader?.quietMs ?? 0,
            beat: () => this.nudge(),
            log: context.log,
          });
    const onStart = async (reader: ChangeReader): Promise<void> => {
      // From now on nobody else moves the slot. The server would begin where it was moved to, without a word.
      checkPlace(this.#parts, this.#system, after, await existingSlot(session, this.#parts), await endOfLog(session));
      await this.#hurry(options);
      this.#reader = reader;
      if (this.#released > 0n) reader.release(this.#released);
    };
    const from = { position: after, lsn: placeOf(after).lsn };
    const parts = await this.#readParts(session, connection, slot.name, slot.name, from, Object.keys(tables));
    this.#followed = parts.tables;
    yield* readGroups({ ...parts, onStart }, options);
  }

  /** The place to come to may be that of a record that is not flushed yet, and nothing would flush it while nobody commits. */
  async #hurry({ until }: ReadChanges): Promise<void> {
    if (until !== undefined) await this.nudge();
  }

  release(position: Position): void {
    const { lsn } = placeOf(position);
    if (lsn > this.#released) this.#released = lsn;
    this.#reader?.release(lsn);
  }

  async nudge(): Promise<void> {
    if (this.#system.isStandby) return; // the primary's own traffic moves it
    await nudge(await this.#session.get());
  }

  /** Looks at the tables as well, and ends a stream that has not got what it was promised. */
  async health(): Promise<StreamHealth> {
    const session = await this.#session.get();
    const slot = await existingSlot(session, this.#parts);
    const reader = this.#reader;
    if (reader)
      await checkFollowed(session, this.#checked(slot.name), this.#followed).catch((error: unknown) => {
        if (isMillraceError(error) && (error.code === 'RESYNC_REQUIRED' || error.code === 'TABLE_MISSING')) reader.fail(error);
        throw error;
      });
    return this.#watch.look(session, slot, this.#released, reader?.spooledBytes ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader?.stop();
    await this.#connection?.[Symbol.asyncDispose]();
    await this.#session[Symbol.asyncDispose]();
  }

  #checked(slot: string): FollowedCheck {
    return { slot, publication: this.#publication, pipeline: this.#parts.stream.pipeline };
  }

  #toPosition(lsn: bigint): Position {
    return positions(this.#system.history)(lsn);
  }

  #identity(slot: string, origin: bigint): StreamIdentity {
    const { systemId, database } = this.#system;
    return { source: `postgres:${systemId}/${database}`, slot, origin: this.#toPosition(origin) };
  }

  get #publication(): string {
    return this.#parts.capture.publication ?? publicationName(this.#parts.stream);
  }

  /** What has to be at the source before a slot is made or read, since both look at it as it was at their own place. */
  async #prepare(session: Session, slot: string | null): Promise<void> {
    const { capture, tables, context } = this.#parts;
    const catalogs = await readTables(session, tables);
    if (slot !== null) await checkWhole(session, this.#checked(slot), [...catalogs.values()]);
    if (capture.publication === null && !this.#system.isStandby) await keepPublication(session, this.#publication, [...catalogs.values()]);
    else
      await checkPublication(
        session,
        this.#publication,
        [...catalogs].map(([name, table]) => ({ table, columns: tables[name]?.schema.columns.map((column) => column.name) ?? [] })),
      );
    checkGenerated(session.version, catalogs, tables);
    if (capture.announceColumns && !this.#system.isStandby && !(await installTrigger(session)))
      context.log.info(
        'ALTER TABLE is not announced by this source (no privilege for an event trigger): renamed columns may be told less exactly.',
      );
  }

  /** A slot with its snapshot. `home` is the slot under which the tables are remembered. */
  async #snapshot(
    session: Session,
    options: { readonly name: string; readonly temporary?: boolean; readonly failover?: boolean },
    home: string,
    tables: readonly string[],
  ): Promise<TableSnapshot> {
    const { settings, context, tables: captured } = this.#parts;
    const connection = await openReplication(settings, context, { purpose: 'snapshot' });
    try {
      const slot = await connection.createSlot({ ...options, snapshot: 'export' });
      const exported = slot.snapshotName ?? '';
      {
        await using looking = await openSession(settings, context, { purpose: 'snapshot' });
        await importSnapshot(looking, exported);
        await rememberTables(session, looking, home, this.#publication, captured, tables);
      }
      const position = this.#toPosition(slot.consistentPoint);
      const after = { position, lsn: slot.consistentPoint };
      const read = async function* (this: PostgresChangeSource, changes: ReadChanges) {
        const parts = await this.#readParts(await this.#session.get(), connection, slot.name, home, after, tables);
        yield* readGroups({ ...parts, onStart: () => this.#hurry(changes) }, changes);
      }.bind(this);
      return new PostgresTableSnapshot({ position, connection, settings, context, exported, tables: pick(captured, tables), read });
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      if (!options.temporary) await dropSlot(session, this.#parts, options.name).catch(() => {});
      throw error;
    }
  }

  async #readParts(
    session: Session,
    connection: ReplicationConnection,
    slot: string,
    home: string,
    after: ReadParts['after'],
    wanted: readonly string[],
  ): Promise<ReadParts> {
    const { capture, context, stream, tables } = this.#parts;
    const followed: FollowedParts[] = await followedTables(
      session,
      home,
      this.#publication,
      pick(tables, wanted),
      stream.pipeline,
      context.log,
    );
    return {
      pipeline: stream.pipeline,
      connection,
      session: () => this.#session.get(),
      slot,
      publication: this.#publication,
      after,
      toPosition: positions(this.#system.history),
      tables: followed,
      binary: connection.version >= 140_000 && canStreamBinary(followed),
      streaming: capture.streaming,
      memoryBytes: capture.memoryBytes,
      spoolBytes: capture.spoolBytes,
      spool: join(context.spool, slot),
      onStart: async () => {},
    };
  }
}

const pick = (tables: SourceParts['tables'], names: readonly string[]): SourceParts['tables'] =>
  Object.fromEntries(Object.entries(tables).filter(([name]) => names.includes(name)));

/** @throws UNSUPPORTED */
function checkGenerated(version: number, catalogs: ReadonlyMap<string, CatalogTable>, tables: SourceParts['tables']): void {
  for (const [name, table] of catalogs) {
    const columns = tables[name]?.schema.columns.map((column) => column.name) ?? [];
    const problem = generatedProblem(version, table, columns);
    if (problem) throw new MillraceError('UNSUPPORTED', { message: `${problem.message}.`, remedy: problem.remedy, facts: { table: name } });
  }
}
