import {
  type ChangeGroup,
  type Context,
  isMillraceError,
  MillraceError,
  type Position,
  type ReadChanges,
  type RowSchema,
  type RowSource,
  type TableSnapshot,
} from '@millrace/core/runtime';
import { MariaPosition } from '../binlog/maria-gtid.ts';
import { type Relation, readRelation } from '../catalog.ts';
import { quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { openSession, type Session } from '../session.ts';
import { begin, lockTables, Snapshot } from '../snapshot.ts';
import { openSource, type SourceSettings } from '../source.ts';
import { endOfLog, type LogServer } from './log-server.ts';
import type { StreamPlace } from './stream-position.ts';

export interface PlacedSnapshot {
  readonly snapshot: Snapshot;
  /** What was committed before it is in the snapshot, of the tables that it is of, and nothing else. */
  readonly place: StreamPlace;
}

export interface SnapshotRequest {
  readonly settings: SourceSettings;
  readonly context: Context;
  readonly server: LogServer;
  /** For looks at the catalog. */
  readonly session: Session;
  /** Names at the source, by those in the pipeline. */
  readonly tables: Readonly<Record<string, { readonly name: string }>>;
  readonly label: string;
}

interface LockRequest extends Omit<SnapshotRequest, 'tables'> {
  /** Quoted names. */
  readonly tables: readonly string[];
}

const defaultConnections = 4;
/** How often sessions are begun side by side in the hope that nobody commits in between. */
const hopefulRounds = 3;
const lockRounds = 10;
/** How often a snapshot is taken anew, where tables were altered beside it. */
const alteredRounds = 5;

/**
 * Tables as of one moment, with the columns that they had then.
 *
 * @throws SLOT_WAITS where transactions keep the tables too long, SNAPSHOT_LOST where they are altered all the time, ACCESS_DENIED
 */
export async function takeSnapshot(
  request: SnapshotRequest,
): Promise<PlacedSnapshot & { readonly relations: ReadonlyMap<string, Relation> }> {
  let relations = await relationsOf(request);
  for (let round = 1; ; round++) {
    const taken = await together({ ...request, tables: [...relations.values()].map(quoteName) });
    let isTaken = false;
    try {
      const after = await relationsOf(request);
      isTaken = columnsIn(relations) === columnsIn(after);
      if (isTaken) return { ...taken, relations };
      relations = after;
    } finally {
      if (!isTaken) await taken.snapshot[Symbol.asyncDispose]();
    }
    if (round === alteredRounds) throw altered(request);
  }
}

async function relationsOf({ session, tables }: SnapshotRequest): Promise<Map<string, Relation>> {
  const relations = new Map<string, Relation>();
  for (const [table, { name }] of Object.entries(tables)) relations.set(table, await readRelation(session, name));
  return relations;
}

const columnsIn = (relations: ReadonlyMap<string, Relation>): string =>
  JSON.stringify([...relations].map(([table, { columns }]) => [table, columns.map(({ name, sqlType }) => [name, sqlType])]));

const altered = ({ label, tables }: SnapshotRequest): MillraceError =>
  new MillraceError('SNAPSHOT_LOST', {
    message: `${label}: columns of ${Object.values(tables)
      .map(({ name }) => name)
      .join(', ')} change so often that no snapshot of them could be taken.`,
    remedy: 'Nothing to do where that ends: it is tried again.',
  });

/**
 * On several connections, and where in the log that moment is.
 *
 * MariaDB tells of each snapshot where in the log it was taken, so no lock is needed where several happen to be at the same place. Else, and in
 * MySQL, all are taken while the tables are locked against writers: for that every transaction that has written to them must have ended, and so
 * has been logged. Other tables may be written to meanwhile.
 */
async function together(request: LockRequest): Promise<PlacedSnapshot> {
  const { settings, context, server } = request;
  const connect = (): Promise<Session> => openSession(settings, context, { purpose: 'snapshot' });
  const sessions = await Promise.all(Array.from({ length: settings.maxConnections ?? defaultConnections }, connect));
  try {
    const place = server.flavour === 'mariadb' ? await hopefully(sessions) : null;
    if (place) return { snapshot: Snapshot.of(sessions), place };
    return { snapshot: Snapshot.of(sessions), place: await locked(request, connect, sessions) };
  } catch (error) {
    if (server.flavour === 'mariadb' && isMillraceError(error) && (error.code === 'ACCESS_DENIED' || error.code === 'SLOT_WAITS')) {
      context.log.info('The tables cannot be locked for a moment: they are copied on one connection.', { reason: error.message });
      const [first, ...rest] = sessions as [Session, ...Session[]];
      for (const one of rest) await one[Symbol.asyncDispose]();
      await begin(first);
      return { snapshot: Snapshot.of([first]), place: await placeOfSnapshot(first) };
    }
    for (const session of sessions) await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** Where all snapshots are at one place; null where they never were. */
async function hopefully(sessions: readonly Session[]): Promise<StreamPlace | null> {
  for (let round = 0; round < hopefulRounds; round++) {
    await Promise.all(sessions.map(begin));
    const files = await Promise.all(sessions.map(fileOfSnapshot));
    if (files.every(({ file, offset }) => file === files[0]?.file && offset === files[0]?.offset))
      return placeOfSnapshot(sessions[0] as Session);
    await Promise.all(sessions.map((session) => session.execute('ROLLBACK')));
  }
  return null;
}

/** As MariaDB tells of the snapshot that a session sees. */
async function fileOfSnapshot(session: Session): Promise<{ readonly file: string; readonly offset: string }> {
  const rows = await session.query("SHOW SESSION STATUS LIKE 'binlog_snapshot_%'");
  const value = (name: string): string => rows.find((row) => row['Variable_name']?.toLowerCase() === name)?.['Value'] ?? '';
  return { file: value('binlog_snapshot_file'), offset: value('binlog_snapshot_position') };
}

async function placeOfSnapshot(session: Session): Promise<StreamPlace> {
  const { file, offset } = await fileOfSnapshot(session);
  const [row] = await session.query(`SELECT BINLOG_GTID_POS(${literal(file)}, ${Number(offset)}) AS position`);
  const position = row?.['position'];
  if (position === undefined || position === null) {
    throw new MillraceError('SNAPSHOT_LOST', {
      message: `The server has removed the log "${file}", in which the snapshot was taken.`,
      remedy: 'Nothing to do: it is tried again.',
      facts: { file, offset },
    });
  }
  return { by: 'maria-gtid', position: MariaPosition.parse(position) };
}

async function locked(
  { tables, server, label, context }: LockRequest,
  connect: () => Promise<Session>,
  sessions: readonly Session[],
): Promise<StreamPlace> {
  await using lock = await connect();
  for (let round = 1; ; round++) {
    try {
      await lockTables(lock, tables);
      break;
    } catch (error) {
      // Who waits for a lock keeps others waiting behind him, so everybody is let through between two tries.
      if (!isMillraceError(error) || error.code !== 'LOAD_CONFLICT') throw error;
      if (round === lockRounds) throw waiting(label, tables, error);
      await new Promise((resolve) => setTimeout(resolve, 500 * round));
      context.signal.throwIfAborted();
    }
  }
  await Promise.all(sessions.map(begin));
  const place = await endOfLog(lock, server);
  await lock.execute('UNLOCK TABLES');
  return place;
}

const waiting = (label: string, tables: readonly string[], cause: MillraceError): MillraceError =>
  new MillraceError('SLOT_WAITS', {
    message: `${label}: a snapshot waits for transactions that have written to ${tables.join(', ')}, and some have not ended in time.`,
    remedy: 'Nothing to do where they end: it is tried again. SELECT * FROM information_schema.innodb_trx ORDER BY trx_started shows them.',
    cause,
  });

export interface TableSnapshotParts extends PlacedSnapshot {
  readonly position: Position;
  readonly settings: SourceSettings;
  readonly context: Context;
  /** Names at the source and declared columns, by their names in the pipeline. */
  readonly tables: Readonly<Record<string, { readonly name: string; readonly schema: RowSchema }>>;
  readonly read: (options: ReadChanges) => AsyncIterable<ChangeGroup>;
}

export class MysqlTableSnapshot implements TableSnapshot {
  readonly position: Position;
  readonly #parts: TableSnapshotParts;

  constructor(parts: TableSnapshotParts) {
    this.position = parts.position;
    this.#parts = parts;
  }

  async table(name: string): Promise<RowSource> {
    const { tables, settings, context, snapshot } = this.#parts;
    const table = Object.hasOwn(tables, name) ? tables[name] : undefined;
    if (!table) {
      throw new MillraceError('INTERNAL', {
        message: `"${name}" is read from a snapshot that it is not part of.`,
        remedy: 'Please report it.',
      });
    }
    return openSource(settings, { kind: 'relation', name: table.name }, table.schema, context, snapshot);
  }

  read(options: ReadChanges): AsyncIterable<ChangeGroup> {
    return this.#parts.read(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.snapshot[Symbol.asyncDispose]();
  }
}
