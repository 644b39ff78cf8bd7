import { isoInstant } from '../../postgres/replication/clock.ts';
import type { Charsets } from '../binlog/charset.ts';
import { corrupt, unfollowable } from '../binlog/corrupt.ts';
import { artificialFlag, eventName, eventTypes, ignorableFlag, type LogEvent } from '../binlog/event.ts';
import { readMariaGtid } from '../binlog/maria-gtid.ts';
import { readMysqlGtid } from '../binlog/mysql-gtid.ts';
import { payloadEvents } from '../binlog/payload.ts';
import { type Query, queryText, readQuery } from '../binlog/query.ts';
import { rowsKind } from '../binlog/rows.ts';
import { readStatement, type Statement } from '../binlog/statement.ts';
import { fileNumber, type LogServer } from './log-server.ts';
import type { GroupName } from './track.ts';

/*
 * Events of a log, as transactions ("groups"):
 *
 *   MariaDB   GTID ( table map | rows | statement )* ( XID | COMMIT )            one that stands alone is a GTID and a statement
 *   MySQL     GTID BEGIN ( table map | rows | statement )* ( XID | COMMIT )      DDL is a GTID and a statement
 *
 * Between them stand events about the log itself.
 */

/** A place in the files of the log. */
export interface FilePlace {
  readonly file: number;
  readonly offset: number;
}

export interface GroupStart {
  readonly name: GroupName;
  /** What the server calls it. */
  readonly xid: string;
  /** ISO 8601, microseconds. */
  readonly committedAt: string;
}

/** Told of transactions, in the order of the log. What it throws ends the stream. */
export interface GroupHandler {
  /** Answers whether the transaction is wanted; else nothing more is told of it. */
  begin(start: GroupStart): boolean;
  tableMap(event: LogEvent): Promise<void> | void;
  rows(event: LogEvent): void;
  /** None of those that begin, end or undo. While what it answers is pending nothing more may come. */
  statement(statement: Statement): Promise<void> | void;
  /** Some of what the transaction has done so far does not hold, or not yet. @throws RESYNC_REQUIRED where somebody has been told of it */
  undone(how: string): void;
  /** Nothing of what the transaction has done holds. @throws RESYNC_REQUIRED where a part of it is out already */
  abort(how: string): void;
  commit(end: FilePlace): void;
  /** Null where there is room for more events, else what to wait for before the next one. */
  room(): Promise<void> | null;
  /** The log goes on here, outside of transactions. */
  moved(end: FilePlace): void;
}

interface Group {
  readonly isWanted: boolean;
  /** Ends with its first statement. */
  isAlone: boolean;
  /** Its statement has no effect of its own. */
  readonly isVoid: boolean;
}

/** Nothing that rows or columns depend on. */
const passedOver = new Set<number>([
  eventTypes.format,
  eventTypes.stop,
  eventTypes.intvar,
  eventTypes.rand,
  eventTypes.userVar,
  eventTypes.heartbeat,
  eventTypes.heartbeat2,
  eventTypes.ignorable,
  eventTypes.rowsQuery,
  eventTypes.previousGtids,
  eventTypes.transactionContext,
  eventTypes.viewChange,
  eventTypes.annotateRows,
  eventTypes.binlogCheckpoint,
  eventTypes.mariaGtidList,
  eventTypes.startEncryption,
]);

export interface LogReaderParts extends Pick<LogServer, 'counts' | 'flavour'> {
  readonly charsets: Charsets;
  readonly at: FilePlace;
  readonly handler: GroupHandler;
}

export class LogReader {
  readonly #counts: LogServer['counts'];
  readonly #charsets: Charsets;
  readonly #isMariaDb: boolean;
  readonly #handler: GroupHandler;
  #at: FilePlace;
  #group: Group | null = null;

  constructor({ counts, flavour, charsets, at, handler }: LogReaderParts) {
    this.#counts = counts;
    this.#isMariaDb = flavour === 'mariadb';
    this.#charsets = charsets;
    this.#at = at;
    this.#handler = handler;
  }

  /** Where the last event ended. */
  get at(): FilePlace {
    return this.#at;
  }

  get isInGroup(): boolean {
    return this.#group !== null;
  }

  /** @throws WIRE_CORRUPT, RESYNC_REQUIRED */
  take(event: LogEvent): Promise<void> | void {
    const start = this.#at;
    this.#advance(event);
    return this.#take(event, start);
  }

  #take(event: LogEvent, start: FilePlace): Promise<void> | void {
    switch (event.type) {
      case eventTypes.tableMap:
        return this.#isWanted ? this.#handler.tableMap(event) : undefined;
      case eventTypes.xid:
        return this.#commit();
      case eventTypes.query:
      case eventTypes.queryCompressed:
        return this.#query(event, start);
      case eventTypes.mariaGtid:
        return this.#beginMaria(event);
      case eventTypes.gtid:
      case eventTypes.anonymousGtid:
      case eventTypes.taggedGtid:
        return this.#beginMysql(event, start);
      case eventTypes.transactionPayload:
        return this.#payload(event, start);
      case eventTypes.xaPrepare:
        return this.#xaPrepare(event);
      case eventTypes.rotate:
        return this.#group ? undefined : this.#handler.moved(this.#at);
      case eventTypes.partialUpdateRows:
        throw unfollowable(
          'The log has updates that bring only a part of a JSON value.',
          "SET GLOBAL binlog_row_value_options = '', for every session that writes.",
        );
      case eventTypes.incident:
        throw unfollowable('The server says that its log has lost changes (an incident event).', 'Find out why in the log of errors.');
      case eventTypes.beginLoadQuery:
      case eventTypes.executeLoadQuery:
      case eventTypes.appendBlock:
      case eventTypes.deleteFile:
        throw asStatement('LOAD DATA');
      default:
        if (rowsKind(event.type) !== null) return this.#isWanted ? this.#handler.rows(event) : undefined;
        if (passedOver.has(event.type) || (event.flags & ignorableFlag) !== 0) return undefined;
        throw unfollowable(
          `The log has an event that is not known here: ${eventName(event.type)}.`,
          'Use a version of Millrace that knows this version of the server.',
          { type: event.type },
        );
    }
  }

  get #isWanted(): boolean {
    if (!this.#group) throw corrupt('rows outside of a transaction');
    return this.#group.isWanted;
  }

  #advance(event: LogEvent): void {
    if (event.type === eventTypes.rotate) {
      const { bytes, start, end } = event;
      if (end - start < 8) throw corrupt('a rotation without a place');
      this.#at = { file: fileNumber(bytes.toString('utf8', start + 8, end)), offset: Number(bytes.readBigUInt64LE(start)) };
      return;
    }
    const isReal = (event.flags & artificialFlag) === 0 && event.type !== eventTypes.heartbeat && event.type !== eventTypes.heartbeat2;
    if (!isReal || event.endPosition === 0) return;
    // The place is told modulo 2^32, and a transaction may be larger than that.
    const lap = 2 ** 32;
    let offset = Math.floor(this.#at.offset / lap) * lap + event.endPosition;
    if (offset < this.#at.offset) offset += lap;
    this.#at = { file: this.#at.file, offset };
  }

  #beginMaria(event: LogEvent): void {
    const { isStandalone, isPrepared, isPartialAlter, ...gtid } = readMariaGtid(event);
    this.#leave();
    const isWanted = this.#handler.begin({
      name: { by: 'maria-gtid', gtid },
      xid: `${gtid.domain}-${gtid.server}-${gtid.sequence}`,
      committedAt: isoInstant(BigInt(event.timestamp) * 1_000_000n),
    });
    this.#group = { isWanted, isAlone: isStandalone && !isPrepared, isVoid: isPartialAlter };
  }

  #beginMysql(event: LogEvent, start: FilePlace): void {
    const gtid = readMysqlGtid(event);
    this.#leave();
    const micros = gtid.committedAt === null ? BigInt(event.timestamp) * 1_000_000n : BigInt(gtid.committedAt);
    const isNamed = gtid.server !== null && this.#counts === 'mysql-gtid';
    const isWanted = this.#handler.begin({
      name: isNamed ? { by: 'mysql-gtid', gtid } : { by: 'file', ...start },
      xid: gtid.server === null ? `${start.file}:${start.offset}` : `${gtid.server}:${gtid.tag === '' ? '' : `${gtid.tag}:`}${gtid.number}`,
      committedAt: isoInstant(micros),
    });
    this.#group = { isWanted, isAlone: true, isVoid: false };
  }

  /**
   * A new transaction begins, so the one before has no end: the server went down while it wrote it. It has never been, and its number may come again,
   * so it does not count as read.
   */
  #leave(): void {
    if (this.#group?.isWanted) this.#handler.abort('a crash of the server');
    this.#group = null;
  }

  #query(event: LogEvent, start: FilePlace): Promise<void> | void {
    const query = readQuery(event);
    const loading = query.collation === null ? null : this.#charsets.load([query.collation]);
    return loading ? loading.then(() => this.#statement(query, event, start)) : this.#statement(query, event, start);
  }

  #statement(query: Query, event: LogEvent, start: FilePlace): Promise<void> | void {
    const statement = readStatement(queryText(query, this.#charsets), query.schema, { ...query, isMariaDb: this.#isMariaDb });
    // Servers before 5.6, and those of MariaDB for clients that know no GTIDs, begin with BEGIN.
    if (!this.#group) {
      if (statement.kind === 'commit' || statement.kind === 'rollback') return;
      this.#beginPlain(event, start);
    }
    const group = this.#group as unknown as Group;
    switch (statement.kind) {
      case 'begin':
        group.isAlone = false;
        return;
      case 'commit':
        return this.#commit();
      case 'rollback':
        if (group.isWanted) this.#handler.abort('ROLLBACK');
        return this.#commit();
      case 'rollback-to':
        if (group.isWanted) this.#handler.undone('ROLLBACK TO SAVEPOINT');
        return;
      case 'savepoint':
        return;
      case 'xa-begin':
        group.isAlone = false;
        return;
      case 'xa-other':
        return;
      case 'xa-end':
        return this.#commit();
      default: {
        const work = group.isWanted && !group.isVoid ? this.#handler.statement(statement) : undefined;
        if (work) return work.then(() => (group.isAlone ? this.#commit() : undefined));
        if (group.isAlone) this.#commit();
      }
    }
  }

  #beginPlain(event: LogEvent, start: FilePlace): void {
    const isWanted = this.#handler.begin({
      name: { by: 'file', ...start },
      xid: `${start.file}:${start.offset}`,
      committedAt: isoInstant(BigInt(event.timestamp) * 1_000_000n),
    });
    this.#group = { isWanted, isAlone: true, isVoid: false };
  }

  /** One byte says whether it commits at once. */
  #xaPrepare({ bytes, start, end }: LogEvent): void {
    const commits = end > start && bytes[start] === 1;
    if (!commits && this.#group?.isWanted) this.#handler.undone('XA PREPARE');
    this.#commit();
  }

  async #payload(event: LogEvent, start: FilePlace): Promise<void> {
    for await (const inner of payloadEvents(event)) {
      const work = this.#take(inner, start);
      if (work) await work;
      const room = this.#handler.room();
      if (room) await room;
    }
  }

  #commit(): void {
    const group = this.#group;
    this.#group = null;
    if (group?.isWanted) this.#handler.commit(this.#at);
  }
}

/** For rows that were changed by a statement, which stands in the log in their place. */
export const asStatement = (verb: string): Error =>
  unfollowable(
    `The log has a ${verb} as a statement, where the rows that it changed should be.`,
    'Set binlog_format = ROW, and let no session have another (SET SESSION binlog_format).',
    { verb },
  );
