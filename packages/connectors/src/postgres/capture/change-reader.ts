import { type ChangeGroup, changeKinds, MillraceError, type ReadChanges, type SchemaChange } from '@millrace/core/runtime';
import { GroupBuilder, groupLimits } from '../../changes/group-builder.ts';
import { GroupQueue } from '../../changes/group-queue.ts';
import type { Tuple } from '../../changes/tuple.ts';
import { isoInstant } from '../replication/clock.ts';
import { type Commit, type PgoutputHandler, type PgoutputParser, pgoutputParser } from '../replication/pgoutput.ts';
import type { Relation } from '../replication/relation.ts';
import type { ReplicationStream, StreamHandler } from '../replication/stream.ts';
import { readCatalogColumns } from './catalog-table.ts';
import { announcedColumns, ddlPrefix, isKept, readAnnouncement } from './ddl-trigger.ts';
import { FollowedTable, remade } from './followed-table.ts';
import { nudgePrefix } from './nudge.ts';
import type { ReadParts } from './read-parts.ts';
import { SourceTypes } from './source-types.ts';
import { TransactionSpools } from './transaction-spool.ts';
import { awaitVisible } from './visible.ts';

/** Reads a slot as groups of whole transactions, until the signal aborts or `until` is reached. */
export async function* readGroups(parts: ReadParts, { signal, until }: ReadChanges): AsyncGenerator<ChangeGroup, void, undefined> {
  if (signal.aborted) return;
  const reader = new ChangeReader(parts);
  const stop = () => reader.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await reader.start();
    await parts.onStart(reader);
    for (;;) {
      const group = await reader.queue.next(until);
      if (!group) return;
      yield group;
      if (until !== undefined && group.position() >= until) return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await reader[Symbol.asyncDispose]();
  }
}

/** Something that came while the reader was at work on what came before it. */
type Waiting =
  | { readonly bytes: Buffer; readonly start: number; readonly end: number }
  | { readonly walEnd: bigint }
  | { readonly broken: unknown };

const letter = (text: string): number => text.charCodeAt(0);
const [streamStart, streamStop] = [letter('S'), letter('E')];

/**
 * What the messages of one stream mean. They come from within the socket's own event and are dealt with at once; where that needs time (a look
 * at the catalog, a file), the socket pauses and what has come already waits its turn.
 *
 * Transactions that come while they are open go to files as they are, and are read from there, through the same handler, when they commit.
 */
export class ChangeReader implements AsyncDisposable {
  readonly queue: GroupQueue;
  readonly #parts: ReadParts;
  readonly #builder: GroupBuilder;
  readonly #types: SourceTypes;
  readonly #spools: TransactionSpools;
  readonly #tables: ReadonlyMap<number, FollowedTable>;
  readonly #names: ReadonlyMap<string, FollowedTable>;
  readonly #parse: PgoutputParser;
  #stream: ReplicationStream | undefined;
  /** Bytes of changes in memory. */
  #held = 0;
  #room: () => void = () => {};
  /** Work that has to be done before the next message. */
  #work: (() => Promise<void>) | null = null;
  #isWorking = false;
  #waiting: Waiting[] = [];
  #isPaused = false;
  #isClosed = false;
  /** The transaction at work, and whether it has been taken already. */
  #xid = 0;
  #isOld = false;
  /** The open transaction whose piece is coming. */
  #streamed: number | null = null;
  /** The open transaction that is read from its file. */
  #replayed: number | null = null;
  #heardAt = performance.now();

  constructor(parts: ReadParts) {
    this.#parts = parts;
    this.#types = new SourceTypes(parts.session);
    this.#spools = new TransactionSpools(parts.spool, parts.spoolBytes);
    this.queue = new GroupQueue(parts.after.position, (bytes) => this.#hold(-bytes));
    this.#builder = new GroupBuilder({
      limits: groupLimits(parts.memoryBytes),
      onGroup: (group, bytes) => this.queue.add(group, bytes),
      onBytes: (bytes) => this.#hold(bytes),
    });
    this.queue.attach(this.#builder);
    const tables = parts.tables.map((table) => new FollowedTable(table, parts.binary));
    this.#tables = new Map(tables.map((table) => [table.oid, table]));
    this.#names = new Map(tables.map((table) => [table.name, table]));
    this.#parse = pgoutputParser(this.#handler());
  }

  async start(): Promise<void> {
    const { connection, slot, publication, after, binary, streaming, tables } = this.#parts;
    const oids = tables.flatMap(({ catalog, history = [] }) => [
      ...catalog.columns.map(({ typeOid }) => typeOid),
      ...history.flatMap(({ columns }) => columns.map(({ type }) => type)),
    ]);
    await this.#types.learn([...new Set(oids)]);
    for (const { catalog, history = [] } of tables) {
      this.#types.remember(catalog.columns);
      const earlier = history.map(({ lsn, columns }) => ({ lsn, columns: announcedColumns(columns, this.#types) }));
      this.#tables.get(catalog.oid)?.remember(earlier, after.lsn);
    }
    this.#stream = await connection.start({
      slot,
      from: after.lsn,
      options: { publications: [publication], binary, streaming, messages: true },
      handler: this.#streamHandler(),
    });
    this.#flow();
    this.#stream.done.catch((error: unknown) => this.#broken(error));
  }

  /** No group is handed on any more, and the one that is coming in parts breaks off. */
  stop(): void {
    this.queue.end();
    this.#builder.fail(ended());
  }

  /** What has come whole is handed on still, and then this is thrown. */
  fail(error: unknown): void {
    this.queue.fail(error);
  }

  release(lsn: bigint): void {
    this.#stream?.release(lsn);
  }

  /** Bytes of open transactions in files. */
  get spooledBytes(): number {
    return this.#spools.bytes;
  }

  /** Milliseconds since a change has come. */
  get quietMs(): number {
    return performance.now() - this.#heardAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#room();
    this.stop();
    // In the middle of a transaction the server would send it to its end first.
    await (this.#builder.isInTransaction || this.#streamed !== null ? this.#stream?.destroy() : this.#stream?.end());
    await this.#spools[Symbol.asyncDispose]();
  }

  #streamHandler(): StreamHandler {
    return {
      message: (bytes, start, end) => {
        if (this.#isWorking) this.#waiting.push({ bytes, start, end });
        else {
          this.#take(bytes, start, end);
          if (this.#work) void this.#catchUp();
        }
      },
      keepalive: (walEnd) => {
        if (this.#isWorking) this.#waiting.push({ walEnd });
        else this.#keepalive(walEnd);
      },
    };
  }

  /** The stream has ended with an error. What came before it counts: an error in that is the reason, and this one what comes of it. */
  #broken(error: unknown): void {
    if (this.#isWorking) this.#waiting.push({ broken: error });
    else this.queue.fail(error);
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const tag = bytes[start];
    if (this.#streamed === null || tag === streamStart || tag === streamStop) return this.#parse(bytes, start, end);
    const xid = this.#streamed;
    if (this.#spools.add(xid, bytes, start, end)) this.#work = () => this.#spools.flush(xid);
  }

  /** Everything before `walEnd` has been sent. What is open then commits after it. */
  #keepalive(walEnd: bigint): void {
    if (this.#builder.isInTransaction || walEnd <= this.#parts.after.lsn) return;
    this.#builder.moveTo(this.#parts.toPosition(walEnd));
    this.queue.moved();
  }

  /** Does what has to be done before the next message, and then takes what has come meanwhile. */
  async #catchUp(): Promise<void> {
    this.#isWorking = true;
    this.#flow();
    try {
      await this.#doWork();
      for (let at = 0; at < this.#waiting.length && !this.#isClosed; at++) {
        const next = this.#waiting[at] as Waiting;
        if ('walEnd' in next) this.#keepalive(next.walEnd);
        else if ('broken' in next) throw next.broken;
        else this.#take(next.bytes, next.start, next.end);
        await this.#doWork();
      }
      this.#waiting = [];
      this.#isWorking = false;
      this.#flow();
    } catch (error) {
      // Nothing is taken any more: the reader ends with this error.
      this.queue.fail(error);
      void this.#stream?.destroy();
    }
  }

  async #doWork(): Promise<void> {
    while (this.#work) {
      const work = this.#work;
      this.#work = null;
      await work();
    }
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    if (this.#held > this.#parts.memoryBytes) this.#flow();
    else if (bytes < 0 && this.#held < this.#parts.memoryBytes / 2) {
      this.#flow();
      this.#room();
    }
  }

  /** The socket is read while there is room and nothing else to do. */
  #flow(): void {
    const isPaused = this.#isWorking || (this.#isPaused ? this.#held >= this.#parts.memoryBytes / 2 : this.#held > this.#parts.memoryBytes);
    if (isPaused === this.#isPaused || !this.#stream) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#stream.pause();
    else this.#stream.resume();
  }

  async #awaitRoom(): Promise<void> {
    while (this.#held > this.#parts.memoryBytes && !this.#isClosed)
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
  }

  #handler(): PgoutputHandler {
    return {
      begin: (xid, commitLsn, committedAt) => this.#begin(xid, commitLsn, committedAt),
      commit: ({ end }) => this.#commit(end),
      relation: (relation) => this.#relation(relation),
      insert: (relation, row, xid) => this.#change(relation, changeKinds.insert, row, null, null, xid),
      update: (relation, old, oldKind, row, xid) => this.#change(relation, changeKinds.update, row, old, oldKind, xid),
      delete: (relation, old, oldKind, xid) => this.#change(relation, changeKinds.delete, null, old, oldKind, xid),
      truncate: (relations, _options, xid) => {
        const names = relations.flatMap((relation) => this.#tables.get(relation)?.table ?? []);
        if (names.length > 0 && !this.#isOld && !this.#isAborted(xid)) this.#builder.truncate(names);
      },
      message: (prefix, content, { transactional }, xid) => {
        if (prefix === nudgePrefix) this.queue.asked();
        else if (prefix === ddlPrefix && transactional && !this.#isAborted(xid)) this.#announcement(content);
      },
      streamStart: (xid) => {
        if (this.#replayed === null) this.#streamed = xid;
      },
      streamStop: () => {
        this.#streamed = null;
      },
      streamCommit: (xid, commit) => {
        this.#work = () => this.#replay(xid, commit);
      },
      streamAbort: (xid, subxid) => {
        if (xid === subxid) this.#work = () => this.#spools.drop(xid);
        else this.#spools.abortPart(xid, subxid);
      },
      // Where a transaction came from before it came to the source is nothing to its followers.
      origin() {},
      // Types are looked up by their numbers.
      type() {},
      // Only where two_phase is asked for, which it is not: a prepared transaction comes when it commits.
      beginPrepare() {},
      prepare() {},
      commitPrepared() {},
      rollbackPrepared() {},
      streamPrepare() {},
    };
  }

  #begin(xid: number, commitLsn: bigint, committedAt: bigint): void {
    const { after, toPosition } = this.#parts;
    this.#isOld = commitLsn < after.lsn;
    this.#xid = xid;
    this.#builder.begin({ commit: toPosition(commitLsn), committedAt: isoInstant(committedAt), xid: String(xid) });
  }

  #commit(end: bigint): void {
    if (this.#isOld) return this.#builder.skip();
    this.#builder.commit(this.#parts.toPosition(end));
    if (!this.#builder.hasWhole) return this.queue.moved();
    this.#heardAt = performance.now();
    this.queue.committed();
  }

  #change(oid: number, kind: 1 | 2 | 3, row: Tuple | null, old: Tuple | null, oldKind: 'key' | 'row' | null, xid: number): void {
    const shape = this.#tables.get(oid)?.shape;
    if (shape && !this.#isOld && !this.#isAborted(xid)) this.#builder.change(shape, kind, row, old, oldKind);
  }

  #isAborted(xid: number): boolean {
    return this.#replayed !== null && this.#spools.isAborted(this.#replayed, xid);
  }

  #relation(relation: Relation): void {
    const table = this.#tables.get(relation.oid);
    if (!table) {
      const other = this.#names.get(`${relation.namespace}.${relation.name}`);
      if (other) throw remade(other.table, other.name, this.#parts.pipeline);
      return;
    }
    const identity = relation.columns.map(({ key }) => key);
    const take = (): void => this.#reshape(table, table.relation(this.#types.columns(relation), identity));
    const oids = relation.columns.map(({ typeOid }) => typeOid);
    if (this.#types.knows(oids) && table.knows(this.#types.columns(relation))) return take();
    this.#work = async () => {
      await awaitVisible(await this.#parts.session(), this.#xid);
      await this.#types.learn(oids);
      // It may be ahead of the stream, and has another table by now; then it says less.
      if (!table.knows(this.#types.columns(relation))) {
        const catalog = await readCatalogColumns(await this.#parts.session(), relation.oid);
        this.#types.remember(catalog);
        table.look(catalog);
      }
      take();
    };
  }

  #announcement(content: Buffer): void {
    const announced = readAnnouncement(content);
    const table = announced && this.#tables.get(announced.oid);
    if (!table) return;
    const steps = [...(announced.before ? [announced.before] : []), announced.columns];
    const take = (): void => {
      for (const columns of steps) this.#reshape(table, table.announce(announcedColumns(columns, this.#types)));
    };
    const oids = steps.flat().map(({ type }) => type);
    this.#work = async () => {
      const session = await this.#parts.session();
      const isVisible = await awaitVisible(session, this.#xid);
      if (isVisible && !(await isKept(session, announced))) return;
      if (announced.retyped) this.#types.forget(oids);
      await this.#types.learn(oids);
      take();
    };
  }

  #reshape(table: FollowedTable, change: Omit<SchemaChange, 'kind' | 'transaction' | 'ordinal'> | null): void {
    if (change && !this.#isOld) this.#builder.schema(change);
    this.#builder.reshape(table.table);
  }

  /** An open transaction has committed: what was kept of it goes the way of all changes. */
  async #replay(xid: number, { lsn, end, at }: Commit): Promise<void> {
    this.#begin(xid, lsn, at);
    this.#replayed = xid;
    // The parser has to know that messages carry their transaction.
    const start = Buffer.alloc(6);
    start[0] = streamStart;
    start.writeUInt32BE(xid, 1);
    this.#parse(start, 0, start.length);
    for await (const message of this.#spools.read(xid)) {
      this.#parse(message, 0, message.length);
      await this.#doWork();
      if (this.#held > this.#parts.memoryBytes) await this.#awaitRoom();
      if (this.#isClosed) return;
    }
    this.#parse(Buffer.from([streamStop]), 0, 1);
    this.#replayed = null;
    await this.#spools.drop(xid);
    this.#commit(end);
  }
}

const ended = (): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: 'The stream was ended in the middle of a transaction.',
    remedy: 'Nothing to do: what was taken of the transaction is thrown away, and it is read again.',
  });
