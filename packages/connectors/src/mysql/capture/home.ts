import { createHash, randomUUID } from 'node:crypto';
import { isMillraceError, MillraceError, type Position, positionOf, type StreamName } from '@millrace/core/runtime';
import { slotPrefix } from '../../postgres/capture/slot-name.ts';
import type { ColumnStep } from '../binlog/alter-table.ts';
import { literal } from '../literal.ts';
import type { Session, TextRow } from '../session.ts';
import type { Event, Joined } from './lineage.ts';
import { farOf } from './stream-position.ts';

/*
 * What a stream needs to be remembered by the source, since a binary log does not know who reads it: four small tables in the database
 * `_millrace`. They go through the log themselves, so replicas have them too, and a stream survives a failover.
 *
 *   capture_home     the name that this source, with all its replicas, goes by
 *   capture_stream   where each stream began, how far it was released and how far it may have been read, which attempt reads it
 *   capture_nudge    written so that something comes, where somebody waits for the log to move
 *   capture_event    what the columns of its tables were when they joined, and what ALTER TABLE has made of them since
 */
export const homeDatabase = '_millrace';

/** Written to be seen in the log, and for nothing else. */
export const nudgeTable = 'capture_nudge';

const tables = [
  `CREATE TABLE IF NOT EXISTS ${homeDatabase}.capture_home (only_one TINYINT NOT NULL PRIMARY KEY, id CHAR(36) CHARACTER SET ascii NOT NULL) ENGINE = InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${homeDatabase}.capture_stream (
     name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL,
     origin VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin, confirmed VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin,
     ceiling VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin, claims BIGINT NOT NULL DEFAULT 0) ENGINE = InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${homeDatabase}.${nudgeTable} (
     stream VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, nudges BIGINT NOT NULL) ENGINE = InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${homeDatabase}.capture_event (
     stream VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, table_name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
     place VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, kind VARCHAR(10) CHARACTER SET ascii NOT NULL,
     detail LONGTEXT CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY (stream, table_name, place, kind)) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
];

/** Makes what is missing of it, and answers the name that the source goes by. @throws CAPTURE_IMPOSSIBLE where this user may not */
export async function makeHome(session: Session): Promise<string> {
  const there = await findHome(session);
  if (there !== null) return there;
  try {
    await session.execute(`CREATE DATABASE IF NOT EXISTS ${homeDatabase}`);
    for (const table of tables) await session.execute(table);
    await session.execute(`INSERT IGNORE INTO ${homeDatabase}.capture_home (only_one, id) VALUES (1, ${literal(randomUUID())})`);
  } catch (error) {
    if (isMillraceError(error) && error.code === 'ACCESS_DENIED') throw homeless(session, error);
    throw error;
  }
  return (await findHome(session)) ?? '';
}

/** Null where there is none yet. */
export async function findHome(session: Session): Promise<string | null> {
  const found = await session.query(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ${literal(homeDatabase)}
     AND table_name IN ('capture_home', 'capture_stream', '${nudgeTable}', 'capture_event')`,
  );
  if (found.length < tables.length) return null;
  const [row] = await session.query(`SELECT id FROM ${homeDatabase}.capture_home`);
  return row?.['id'] ?? null;
}

export const homeRemedy = (user: string): string =>
  `CREATE DATABASE ${homeDatabase}; GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON ${homeDatabase}.* TO '${user}'@'%';`;

const homeless = ({ place }: Session, cause: unknown): MillraceError =>
  new MillraceError('CAPTURE_IMPOSSIBLE', {
    message: `${place.label}: user "${place.user}" may not keep the few rows in the database "${homeDatabase}" by which the source remembers a stream.`,
    remedy: homeRemedy(place.user),
    cause,
  });

/** A stream as the source remembers it. */
export interface StreamRow {
  readonly name: string;
  /** Of the attempt that began it, or has read it last. */
  readonly epoch: number;
  /** Null while it is being made. */
  readonly origin: Position | null;
  readonly confirmed: Position | null;
  /** How far it may have been read, as `farOf` has it: see `Ceiling`. */
  readonly ceiling: string;
}

/** Names of streams have no more than 64 characters, and those of locks neither. */
export const streamKey = (stream: StreamName): string => slotPrefix(stream);

/** For a lock of the whole server, which has no database before its name. */
export const lockName = (key: string, purpose: 'begin' | 'read'): string =>
  `millrace ${purpose} ${createHash('sha256').update(key).digest('hex').slice(0, 32)}`;

export async function readStream(session: Session, name: string): Promise<StreamRow | null> {
  const [row] = await session.query(
    `SELECT epoch, origin, confirmed, ceiling FROM ${homeDatabase}.capture_stream WHERE name = ${literal(name)}`,
  );
  if (!row) return null;
  const [origin, confirmed] = [position(row, 'origin'), position(row, 'confirmed')];
  return { name, epoch: Number(row['epoch']), origin, confirmed, ceiling: row['ceiling'] ?? '' };
}

/** Tables whose columns a stream remembers; none where there is no stream. */
export async function joinedTables(session: Session, name: string): Promise<ReadonlySet<string>> {
  if ((await findHome(session)) === null || !(await readStream(session, name))?.origin) return new Set();
  const rows = await session.query(
    `SELECT DISTINCT table_name AS joined FROM ${homeDatabase}.capture_event WHERE stream = ${literal(name)} AND kind = 'join'`,
  );
  return new Set(rows.map((row) => row['joined'] ?? ''));
}

function position(row: TextRow, field: string): Position | null {
  const text = row[field];
  return text == null ? null : positionOf(text);
}

/*
 * Each of these is one statement that looks at the epoch itself: an attempt that slept between two, while a later one began the stream anew, would
 * take away what that one has written.
 */

/** A new stream in place of the one of that name, which nobody can read from here on. False where a later attempt has been here. */
export async function replaceStream(session: Session, name: string, epoch: number): Promise<boolean> {
  await session.execute(`INSERT IGNORE INTO ${homeDatabase}.capture_stream (name, epoch) VALUES (${literal(name)}, ${epoch})`);
  const written = await session.execute(
    `UPDATE ${homeDatabase}.capture_stream SET epoch = ${epoch}, origin = NULL, confirmed = NULL, ceiling = NULL, claims = claims + 1
     WHERE name = ${literal(name)} AND epoch <= ${epoch}`,
  );
  if (written.affected === 0) return false;
  await session.execute(
    `DELETE ${homeDatabase}.capture_event FROM ${homeDatabase}.capture_event
     JOIN ${homeDatabase}.capture_stream ON capture_stream.name = capture_event.stream
     WHERE capture_stream.name = ${literal(name)} AND capture_stream.epoch = ${epoch} AND capture_stream.origin IS NULL`,
  );
  return true;
}

/** The stream begins at its snapshot's position. False where a later attempt has been here meanwhile. */
export async function originate(session: Session, name: string, epoch: number, origin: Position): Promise<boolean> {
  const written = await session.execute(
    `UPDATE ${homeDatabase}.capture_stream SET origin = ${literal(origin)}, confirmed = ${literal(origin)}, ceiling = ${literal(farOf(origin))}
     WHERE name = ${literal(name)} AND epoch = ${epoch} AND origin IS NULL`,
  );
  return written.affected > 0;
}

/** This attempt reads it from now on. False where a later one does. */
export async function claimStream(session: Session, name: string, epoch: number): Promise<boolean> {
  const written = await session.execute(
    `UPDATE ${homeDatabase}.capture_stream SET epoch = ${epoch}, claims = claims + 1 WHERE name = ${literal(name)} AND epoch <= ${epoch}`,
  );
  return written.affected > 0;
}

export async function confirmStream(session: Session, name: string, epoch: number, confirmed: Position): Promise<void> {
  await session.execute(
    `UPDATE ${homeDatabase}.capture_stream SET confirmed = ${literal(confirmed)}
     WHERE name = ${literal(name)} AND epoch = ${epoch} AND confirmed < ${literal(confirmed)}`,
  );
}

/** False where a later attempt has been here. */
export async function raiseCeiling(session: Session, name: string, epoch: number, ceiling: string): Promise<boolean> {
  const written = await session.execute(
    `UPDATE ${homeDatabase}.capture_stream SET ceiling = ${literal(ceiling)}
     WHERE name = ${literal(name)} AND epoch <= ${epoch} AND coalesce(ceiling, '') < ${literal(ceiling)}`,
  );
  // Else it is as high already.
  return written.affected > 0 || ((await readStream(session, name))?.epoch ?? epoch) <= epoch;
}

export async function nudgeStream(session: Session, name: string): Promise<void> {
  await session.execute(
    `INSERT INTO ${homeDatabase}.${nudgeTable} (stream, nudges) VALUES (${literal(name)}, 1) ON DUPLICATE KEY UPDATE nudges = nudges + 1`,
  );
}

/** What has happened to the columns of a stream's tables, by their names in the pipeline. */
export async function readEvents(session: Session, stream: string): Promise<Map<string, Event[]>> {
  const rows = await session.query(
    `SELECT table_name AS name, place, kind, detail FROM ${homeDatabase}.capture_event WHERE stream = ${literal(stream)}`,
  );
  const events = new Map<string, Event[]>();
  for (const { name, place, kind, detail } of rows) {
    const known = JSON.parse(detail ?? 'null');
    const at = place ?? '';
    const event: Event = kind === 'join' ? { kind, at, joined: known as Joined } : { kind: 'alter', at, steps: known as ColumnStep[] };
    events.set(name ?? '', [...(events.get(name ?? '') ?? []), event]);
  }
  return events;
}

/** Doing it again changes nothing. False where a later attempt has been here. */
export async function writeEvent(session: Session, stream: string, epoch: number, table: string, event: Event): Promise<boolean> {
  const detail = JSON.stringify(event.kind === 'join' ? event.joined : event.steps);
  const values = [table, event.at, event.kind, detail].map(literal).join(', ');
  const written = await session.execute(
    `REPLACE INTO ${homeDatabase}.capture_event (stream, table_name, place, kind, detail)
     SELECT name, ${values} FROM ${homeDatabase}.capture_stream WHERE name = ${literal(stream)} AND epoch <= ${epoch} FOR UPDATE`,
  );
  return written.affected > 0;
}
