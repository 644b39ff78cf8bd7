import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
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
import { parseLsn } from '../replication/lsn.ts';
import { openReplication, type ReplicationConnection } from '../replication/transport.ts';
import { importSnapshot } from '../snapshot.ts';
import type { SourceSettings } from '../source.ts';
import { type CatalogTable, generatedProblem } from './catalog-table.ts';
import { type ChangeReader, type ReadParts, readGroups } from './change-reader.ts';
import { forgetMemories } from './column-memory.ts';
import { installTrigger } from './ddl-trigger.ts';
import { canStreamBinary, type FollowedParts } from './followed-table.ts';
import { startHeartbeat } from './heartbeat.ts';
import { LastingSession } from './lasting-session.ts';
import { nudge } from './nudge.ts';
import type { CaptureSettings } from './options.ts';
import { checkPublication, keepPublication } from './publication.ts';
import { SlotWatch } from './slot-health.ts';
import { publicationName, slotName, slotPrefix } from './slot-name.ts';
import { checkReadable, readSlots, type SlotState } from './slot-state.ts';
import { isOnHistory, placeOf, positions } from './stream-position.ts';
import { followedTables, readTables, rememberTables } from './stream-tables.ts';
import { readSystem, type SourceSystem } from './system.ts';
import { PostgresTableSnapshot } from './table-snapshot.ts';

export interface SourceParts {
  /** The connection as plans show it. */
  readonly label: string;
  readonly settings: SourceSettings;
  readonly capture: CaptureSettings;
  readonly tables: Readonly<Record<string, CapturedTable>>;
  readonly context: Context;
  readonly stream: StreamName;
  /** Of this attempt. */
  readonly epoch: number;
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

/** How long a reader that is going away may take to let go of the slot. */
const busyPatienceMs = 10_000;

class PostgresChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  readonly #session: LastingSession;
  #system: SourceSystem;
  readonly #watch = new SlotWatch();
  #reader: ChangeReader | undefined;
  #connection: ReplicationConnection | undefined;
  #released = 0n;

  constructor(parts: SourceParts, session: LastingSession, system: SourceSystem) {
    this.#parts = parts;
    this.#session = session;
    this.#system = system;
  }

  async stream(): Promise<StreamStatus | null> {
    const slot = await this.#slot(await this.#session.get());
    if (!slot) return null;
    return {
      identity: this.#identity(slot.name, slot.origin),
      confirmed: this.#toPosition(slot.confirmed),
      end: this.#toPosition(await endOfLog(await this.#session.get())),
    };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { stream, epoch, capture, tables } = this.#parts;
    const slots = slotPrefix(stream);
    // All of it in one session: where this attempt sleeps and the server ends the session, it can do nothing more when it wakes.
    const session = await this.#session.get();
    await alone(session, slots, epoch);
    try {
      await this.#prepare(session);
      const there = await readSlots(session, stream);
      const later = there.find((slot) => slot.epoch > epoch);
      if (later) throw begunLater(stream, later);
      for (const { name } of there) await this.#drop(session, name);
      await forgetMemories(session, slots);
      const origin = await endOfLog(session);
      const name = slotName(slots, { origin, epoch });
      const snapshot = await this.#snapshot(session, { name, failover: capture.failover }, name, Object.keys(tables));
      return { identity: this.#identity(name, origin), snapshot };
    } finally {
      await session.query('select pg_advisory_unlock(hashtextextended($1, 0))', [slots]).catch(() => {});
    }
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    const session = await this.#session.get();
    const slot = await this.#existing(session);
    await this.#prepare(session);
    // The server frees it with its connection. Its name only has to be nobody else's.
    const name = `${slotPrefix(this.#parts.stream).slice(0, 40)}_${randomUUID().replaceAll('-', '').slice(0, 16)}`;
    return this.#snapshot(session, { name, temporary: true }, slot.name, tables);
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { settings, context, capture, tables } = this.#parts;
    const session = await this.#session.get();
    const slot = await this.#existing(session);
    await this.#prepare(session);
    await this.#idle(session, slot.name);
    await this.#dropStrays(session, slot);
    await using connection = await openReplication(settings, context);
    this.#connection = connection;
    this.#system = await readSystem(connection);
    this.#checkPlace(after, slot, await endOfLog(session));
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
      this.#checkPlace(after, await this.#existing(session), await endOfLog(session));
      await this.#hurry(options);
      this.#reader = reader;
      if (this.#released > 0n) reader.release(this.#released);
    };
    const from = { position: after, lsn: placeOf(after).lsn };
    const parts = await this.#readParts(session, connection, slot.name, slot.name, from, Object.keys(tables));
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

  async health(): Promise<StreamHealth> {
    const session = await this.#session.get();
    return this.#watch.look(session, await this.#existing(session), this.#released, this.#reader?.spooledBytes ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader?.stop();
    await this.#connection?.[Symbol.asyncDispose]();
    await this.#session[Symbol.asyncDispose]();
  }

  #toPosition(lsn: bigint): Position {
    return positions(this.#system.history)(lsn);
  }

  /** @throws RESYNC_REQUIRED where it cannot be read any more */
  async #slot(session: Session): Promise<SlotState | null> {
    const { stream } = this.#parts;
    const slot = (await readSlots(session, stream)).at(-1);
    if (!slot) return null;
    if (slot.invalid !== null) {
      const [row] = await session.query(`select current_setting('max_slot_wal_keep_size') as keep`);
      checkReadable(slot, stream, row?.['keep'] ?? '');
    }
    return slot;
  }

  /** @throws RESYNC_REQUIRED */
  #checkPlace(after: Position, slot: SlotState, end: bigint): void {
    const { history } = this.#system;
    const place = placeOf(after);
    const facts = { slot: slot.name, position: after };
    if (!isOnHistory(place, history)) {
      throw this.#resync(
        `the stream was read up to ${after}, and this server (timeline ${history.current}) does not have what came last before that: it failed over, or was restored`,
        facts,
      );
    }
    if (place.lsn > end) {
      throw this.#resync(
        `the stream was read up to ${after}, and this server has only come to ${this.#toPosition(end)}: it was restored to an older state`,
        facts,
      );
    }
    if (place.lsn < slot.confirmed) {
      throw this.#resync(
        `the stream was read up to ${after}, and slot "${slot.name}" only has what came after ${this.#toPosition(slot.confirmed)}`,
        facts,
      );
    }
  }

  #identity(slot: string, origin: bigint): StreamIdentity {
    const { systemId, database } = this.#system;
    return { source: `postgres:${systemId}/${database}`, slot, origin: this.#toPosition(origin) };
  }

  /** @throws RESYNC_REQUIRED where there is none, or it cannot be read any more */
  async #existing(session: Session): Promise<SlotState> {
    const slot = await this.#slot(session);
    if (slot) return slot;
    throw this.#resync(`there is no replication slot "${slotPrefix(this.#parts.stream)}_…"`, {});
  }

  get #publication(): string {
    return this.#parts.capture.publication ?? publicationName(this.#parts.stream);
  }

  /** What has to be at the source before a slot is made or read, since both look at it as it was at their own place. */
  async #prepare(session: Session): Promise<void> {
    const { capture, tables, context } = this.#parts;
    const catalogs = await readTables(session, tables);
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

  /** @throws SLOT_BUSY */
  async #idle(session: Session, name: string): Promise<void> {
    const deadline = performance.now() + busyPatienceMs;
    for (;;) {
      const [row] = await session.query('select active_pid as pid from pg_replication_slots where slot_name = $1', [name]);
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

  async #drop(session: Session, name: string): Promise<void> {
    await this.#idle(session, name);
    await session.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [name]);
  }

  /** What older attempts made after they had been taken over from, and nobody will ever read. */
  async #dropStrays(session: Session, ours: SlotState): Promise<void> {
    const { stream, context } = this.#parts;
    for (const { name, epoch, activePid } of await readSlots(session, stream)) {
      if (name === ours.name || epoch >= ours.epoch || activePid !== null) continue;
      context.log.info(`dropping slot "${name}", which an attempt made that came too late`);
      await this.#drop(session, name).catch((error: Error) => context.log.warn(`slot "${name}" was not dropped: ${error.message}`));
    }
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
      if (!options.temporary) await this.#drop(session, options.name).catch(() => {});
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

  #resync(why: string, facts: Readonly<Record<string, unknown>>): MillraceError {
    const { pipeline, step } = this.#parts.stream;
    return new MillraceError('RESYNC_REQUIRED', {
      message: `${this.#parts.label}: ${why}.`,
      remedy: `Run "millrace resync ${pipeline}" to copy the tables again. Nothing was skipped.`,
      facts: { pipeline, step, ...facts },
    });
  }
}

/** Names a session after its attempt, so that a later one can end it: `capture 5f2b…/17`. */
const sessionPurpose = (slots: string, epoch: number | '' = ''): string =>
  `capture ${createHash('sha256').update(slots).digest('hex').slice(0, 24)}/${epoch}`;

/** How long to wait for another attempt that is just beginning the stream. */
const aloneMs = 15_000;

/**
 * One at a time begins a stream: of two slots that are made at once, one would be left behind and hold the log for ever.
 *
 * @throws SLOT_BUSY
 */
async function alone(session: Session, slots: string, epoch: number): Promise<void> {
  // One that sleeps would keep us out for as long as it sleeps. Sessions of one's own role only: those of others cannot be ended.
  await session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
       and case when starts_with(application_name, $1) then split_part(application_name, '/', 2)::int8 < $2 else false end`,
    [`millrace ${sessionPurpose(slots)}`, epoch],
  );
  for (const deadline = performance.now() + aloneMs; ; ) {
    const [row] = await session.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as locked', [slots]);
    if (row?.['locked'] === 't') return;
    if (performance.now() > deadline) {
      throw new MillraceError('SLOT_BUSY', {
        message: `Another process is just beginning the stream of "${slots}_…".`,
        remedy: 'Nothing to do if that is an attempt that is going away: it is tried again. Else end that process.',
        facts: { slots },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function begunLater({ pipeline, step }: StreamName, { name }: SlotState): MillraceError {
  return new MillraceError('ATTEMPT_FENCED', {
    message: `This attempt at "${step}" of "${pipeline}" came too late: a newer one has begun the stream in slot "${name}".`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { pipeline, step, slot: name },
  });
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

/** As far as the server has written its log. */
async function endOfLog(session: Session): Promise<bigint> {
  const [row] = await session.query(
    'select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn',
  );
  return parseLsn(row?.['lsn'] ?? '');
}
