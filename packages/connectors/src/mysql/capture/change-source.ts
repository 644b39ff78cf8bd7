import { createHash, randomBytes } from 'node:crypto';
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
import { startHeartbeat } from '../../changes/heartbeat.ts';
import { findRelation } from '../catalog.ts';
import type { Session } from '../session.ts';
import type { SourceSettings } from '../source.ts';
import { Ceiling } from './ceiling.ts';
import { type ChangeReader, type ReadParts, readGroups } from './change-reader.ts';
import { checkCapture } from './examine.ts';
import { LogWatch } from './health.ts';
import {
  findHome,
  joinedTables,
  makeHome,
  nudgeStream,
  originate,
  raiseCeiling,
  readStream,
  replaceStream,
  type StreamRow,
  streamKey,
  writeEvent,
} from './home.ts';
import { LastingSession } from './lasting-session.ts';
import { endOfLog, type LogServer, readLogFiles, readLogServer, startInFiles } from './log-server.ts';
import type { CaptureSettings } from './options.ts';
import { Releases } from './releases.ts';
import { readCharsets } from './server-charsets.ts';
import { checkPlace, fenced, type StreamOwner } from './stream-check.ts';
import { beginAlone, claim } from './stream-claim.ts';
import { farOf, placeOf, positionAt } from './stream-position.ts';
import { followedTables, joinTables, type Remembering } from './stream-tables.ts';
import { MysqlTableSnapshot, takeSnapshot } from './table-snapshot.ts';

export interface SourceParts {
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
  const session = new LastingSession(parts.settings, parts.context);
  try {
    return new MysqlChangeSource(parts, session, await readLogServer(await session.get()));
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

class MysqlChangeSource implements ChangeSource {
  readonly #parts: SourceParts;
  readonly #session: LastingSession;
  readonly #server: LogServer;
  readonly #name: string;
  readonly #watch = new LogWatch();
  readonly #releases: Releases;
  #reader: ChangeReader | undefined;
  #claimed: Session | undefined;

  constructor(parts: SourceParts, session: LastingSession, server: LogServer) {
    this.#parts = parts;
    this.#session = session;
    this.#server = server;
    this.#name = streamKey(parts.stream);
    this.#releases = new Releases(session, this.#name, parts.epoch, parts.context.log);
  }

  async stream(): Promise<StreamStatus | null> {
    const session = await this.#session.get();
    const home = await findHome(session);
    const row = home === null ? null : await readStream(session, this.#name);
    if (home === null || !row?.origin) return null;
    return {
      identity: this.#identity(home, row.origin),
      confirmed: row.confirmed ?? row.origin,
      end: positionAt(await endOfLog(session, this.#server)),
    };
  }

  async create(): Promise<{ readonly identity: StreamIdentity; readonly snapshot: TableSnapshot }> {
    const { epoch, tables } = this.#parts;
    const session = await this.#session.get();
    const home = await makeHome(session);
    await using _alone = await beginAlone(this.#owner, this.#name);
    await this.#prepare(Object.keys(tables));
    if (!(await replaceStream(session, this.#name, epoch))) throw fenced(this.#owner);
    const snapshot = await this.#snapshot(Object.keys(tables));
    try {
      if (!(await originate(session, this.#name, epoch, snapshot.position))) throw fenced(this.#owner);
      return { identity: this.#identity(home, snapshot.position), snapshot };
    } catch (error) {
      await snapshot[Symbol.asyncDispose]();
      throw error;
    }
  }

  async snapshot(tables: readonly string[]): Promise<TableSnapshot> {
    await this.#existing();
    await this.#prepare(tables);
    return this.#snapshot(tables);
  }

  async *read(after: Position, options: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
    const { capture, context, tables } = this.#parts;
    const row = await this.#existing();
    if (row.epoch > this.#owner.epoch) throw fenced(this.#owner);
    await this.#prepare([]);
    const session = await this.#session.get();
    // Before anything is written: what a claim adds to the log could stand for what it lacks.
    await checkPlace(session, this.#owner, this.#server, after, row);
    await using claimed = await claim(this.#owner, this.#name, row.epoch);
    this.#claimed = claimed; // by whoever leaves the generator where it is
    this.#releases.begin(row.confirmed ?? after);
    using _heartbeat =
      capture.heartbeatMs === null
        ? null
        : startHeartbeat({
            everyMs: capture.heartbeatMs,
            quietMs: () => this.#reader?.quietMs ?? 0,
            beat: () => this.nudge(),
            log: context.log,
          });
    const parts = await this.#readParts(after, Object.keys(tables), this.#serverId, options.copied);
    yield* readGroups(
      {
        ...parts,
        onStart: async (reader) => {
          this.#reader = reader;
        },
        ceiling: new Ceiling(this.#session, this.#owner, this.#name, row.ceiling),
      },
      options,
    );
  }

  release(position: Position): void {
    this.#releases.release(position);
  }

  async nudge(): Promise<void> {
    await nudgeStream(await this.#session.get(), this.#name);
  }

  async health(): Promise<StreamHealth> {
    const session = await this.#session.get();
    const row = await this.#existing();
    this.#checkClaim();
    await this.#checkFollowed();
    return this.#watch.look(session, row.name, this.#reader?.at ?? null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader?.[Symbol.dispose]();
    await this.#releases[Symbol.asyncDispose]();
    await this.#claimed?.[Symbol.asyncDispose]();
    await this.#session[Symbol.asyncDispose]();
  }

  get #owner(): StreamOwner {
    const { label, stream, epoch, context, settings } = this.#parts;
    return { label, stream, epoch, context, settings };
  }

  /** With GTIDs a server and its replicas are one source, by what is kept in them; without, a log is that of one server. */
  #identity(home: string, origin: Position): StreamIdentity {
    const { flavour, counts, uuid } = this.#server;
    return { source: `${flavour}:${home}${counts === 'file' ? `/${uuid}` : ''}`, slot: this.#name, origin };
  }

  get #serverId(): number {
    return this.#parts.capture.serverId ?? serverIdOf(`${this.#parts.label}\0${this.#name}`);
  }

  async #existing(): Promise<StreamRow> {
    const session = await this.#session.get();
    const row = (await findHome(session)) === null ? null : await readStream(session, this.#name);
    if (row?.origin) return row;
    const { label, stream } = this.#parts;
    throw new MillraceError('RESYNC_REQUIRED', {
      message: `${label}: the source remembers no stream "${this.#name}".`,
      remedy: `Run "millrace resync ${stream.pipeline}" to copy the tables again. Nothing was skipped.`,
      facts: { pipeline: stream.pipeline, step: stream.step },
    });
  }

  /** What has to be so at the source before a stream begins or goes on, and before tables join it. */
  async #prepare(joining: readonly string[]): Promise<void> {
    const session = await this.#session.get();
    const joined = await joinedTables(session, this.#name);
    const underWay = new Set([...joined].filter((table) => !joining.includes(table)));
    await checkCapture(session, this.#parts.label, this.#parts.tables, underWay);
  }

  /** Ends a stream under way that anybody may read beside this attempt, since the session with its lock has ended. */
  #checkClaim(): void {
    if (!this.#reader || !this.#claimed?.ended) return;
    throw this.#ended(
      new MillraceError('CONNECTION_FAILED', {
        message: `${this.#parts.label}: the connection that holds the lock of the stream "${this.#name}" has ended.`,
        remedy: 'Nothing to do: the stream is taken up again from where it is.',
      }),
    );
  }

  /** Ends a stream under way whose tables are not there any more. */
  async #checkFollowed(): Promise<void> {
    const session = await this.#session.get();
    for (const [table, { name }] of Object.entries(this.#parts.tables)) {
      if (await findRelation(session, name)) continue;
      const { pipeline } = this.#parts.stream;
      throw this.#ended(
        new MillraceError('TABLE_MISSING', {
          message: `There is no table ${name} any more: it was dropped, or goes by another name.`,
          remedy: `Give it its name back and start again; or declare its new name (or leave it out) and run "millrace resync ${pipeline} --table ${table}".`,
          facts: { pipeline, table, name },
        }),
      );
    }
  }

  #ended(error: MillraceError): MillraceError {
    this.#reader?.fail(error);
    return error;
  }

  async #snapshot(names: readonly string[]): Promise<TableSnapshot> {
    const { settings, context, tables, label } = this.#parts;
    const session = await this.#session.get();
    const wanted = pick(tables, names);
    const { relations, ...taken } = await takeSnapshot({ settings, context, server: this.#server, label, session, tables: wanted });
    try {
      const position = positionAt(taken.place);
      await joinTables(this.#remembering(session), wanted, relations, position);
      // A sink may begin here.
      if (!(await raiseCeiling(session, this.#name, this.#owner.epoch, farOf(position)))) throw fenced(this.#owner);
      // Not the number of the stream itself, which the server would end.
      const serverId = serverIdOf(randomBytes(16).toString('hex'));
      const read = async function* (this: MysqlChangeSource, options: ReadChanges) {
        yield* readGroups(await this.#readParts(position, names, serverId), options);
      }.bind(this);
      return new MysqlTableSnapshot({ ...taken, position, settings, context, tables: wanted, read });
    } catch (error) {
      await taken.snapshot[Symbol.asyncDispose]();
      throw error;
    }
  }

  #remembering(session: Session): Remembering {
    return { session, owner: this.#owner, name: this.#name };
  }

  async #readParts(
    after: Position,
    names: readonly string[],
    serverId: number,
    copied: ReadonlyMap<string, Position> = new Map(),
  ): Promise<ReadParts> {
    const { settings, capture, context, stream, tables, label } = this.#parts;
    const session = await this.#session.get();
    const place = placeOf(after);
    const followed = await followedTables(this.#remembering(session), pick(tables, names), after, copied);
    return {
      pipeline: stream.pipeline,
      label,
      settings,
      context,
      server: this.#server,
      from: { place: await this.#dumpFrom(place), serverId, uuid: uuidOf(serverId, this.#name) },
      after: { position: after, place },
      tables: followed.map((table) => ({ ...table, wholeRows: capture.wholeRows.includes(table.table) })),
      setting: {
        charsets: await readCharsets(session, () => this.#session.get()),
        isMariaDb: this.#server.flavour === 'mariadb',
        zeroDates: settings.zeroDates ?? 'fail',
      },
      memoryBytes: capture.memoryBytes,
      remember: async (table, at, steps) => {
        const event = { kind: 'alter', at, steps } as const;
        if (!(await writeEvent(await this.#session.get(), this.#name, this.#owner.epoch, table, event))) throw fenced(this.#owner);
      },
      onStart: async () => {},
      ceiling: null,
    };
  }

  async #dumpFrom(place: ReturnType<typeof placeOf>): Promise<ReadParts['from']['place']> {
    switch (place.by) {
      case 'maria-gtid':
        return { by: 'maria-gtid', position: place.position.toString() };
      case 'mysql-gtid':
        return { by: 'mysql-gtid', set: place.set };
      case 'file':
        return { by: 'file', ...startInFiles(await readLogFiles(await this.#session.get()), place) };
      default:
        return place satisfies never;
    }
  }
}

/** From 2^31 on, where people do not give numbers to servers. */
const serverIdOf = (text: string): number => (createHash('sha256').update(text).digest().readUInt32LE(0) | 0x8000_0000) >>> 0;

function uuidOf(serverId: number, name: string): string {
  const hex = createHash('sha256').update(`${serverId}\0${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const pick = (tables: SourceParts['tables'], names: readonly string[]): SourceParts['tables'] =>
  Object.fromEntries(Object.entries(tables).filter(([name]) => names.includes(name)));
