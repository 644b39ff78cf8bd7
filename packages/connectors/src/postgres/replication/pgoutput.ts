import { type OldKind, Tuple } from '../../changes/tuple.ts';
import { postgresEpoch } from './clock.ts';
import { cut, Fields } from './fields.ts';
import { type NamedType, type Relation, readRelation, readType } from './relation.ts';
import { readTuple } from './tuple.ts';

/*
 * Messages of Postgres' own output plugin, protocols 1 to 4.
 * Source: https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html and src/backend/replication/logical/proto.c
 *
 *   transaction   B  ( O | R | Y | I | U | D | T | M )*  C        commits as a whole, in commit order
 *   stream        S  ( O | R | Y | I | U | D | T | M )*  E        a piece of a transaction that is still open (2 and later); then, at
 *                                                                 any time, c (it commits), A (it or a part of it aborts) or p
 *   prepared      b  ( O | R | Y | I | U | D | T | M )*  P        then K (it commits) or r (3 and later)
 *   by itself     M, where it does not belong to a transaction
 *
 * Within S and E each message carries the xid of the (sub)transaction it belongs to; elsewhere `xid` is 0.
 */

/** The log positions and the instant of a transaction's end. Instants are microseconds from 1970. */
export interface Commit {
  /** Where its commit record begins. */
  readonly lsn: bigint;
  /** Where the log goes on after it: the position to confirm once the transaction is safe. */
  readonly end: bigint;
  readonly at: bigint;
}

export interface Prepare extends Commit {
  readonly xid: number;
  /** The name that PREPARE TRANSACTION gave it. */
  readonly gid: string;
}

export interface Rollback {
  readonly xid: number;
  readonly gid: string;
  /** Where its prepare record ended, and when it was prepared. */
  readonly prepareEnd: bigint;
  readonly preparedAt: bigint;
  readonly end: bigint;
  readonly at: bigint;
}

/**
 * Told of each message, in the order of the stream. Rows are cursors that change at the next message; see `Tuple`. What it throws ends
 * the stream.
 */
export interface PgoutputHandler {
  begin(xid: number, commitLsn: bigint, committedAt: bigint): void;
  commit(commit: Commit): void;
  /** The transaction came to this server from elsewhere: the name of the origin, and where it committed there. */
  origin(name: string, lsn: bigint): void;
  /**
   * Within a stream it holds for the rows of that transaction, and for everybody once that commits: where it aborts, Postgres sends the
   * relation again.
   */
  relation(relation: Relation, xid: number): void;
  type(type: NamedType, xid: number): void;
  insert(relation: number, row: Tuple, xid: number): void;
  /** `old` only where the replica identity changed, or is FULL. */
  update(relation: number, old: Tuple | null, oldKind: OldKind | null, row: Tuple, xid: number): void;
  delete(relation: number, old: Tuple, oldKind: OldKind, xid: number): void;
  truncate(relations: readonly number[], options: { readonly cascade: boolean; readonly restartIdentity: boolean }, xid: number): void;
  /** Of pg_logical_emit_message. `content` is a slice. */
  message(prefix: string, content: Buffer, at: { readonly transactional: boolean; readonly lsn: bigint }, xid: number): void;
  /** `first`: the transaction was not streamed before. */
  streamStart(xid: number, first: boolean): void;
  streamStop(): void;
  streamCommit(xid: number, commit: Commit): void;
  /** All of the transaction where `subxid` is its own xid, else that subtransaction's part of it. */
  streamAbort(xid: number, subxid: number): void;
  beginPrepare(prepare: Prepare): void;
  prepare(prepare: Prepare): void;
  commitPrepared(commit: Prepare): void;
  rollbackPrepared(rollback: Rollback): void;
  streamPrepare(prepare: Prepare): void;
}

/** Takes one message: the bytes from `start` to `end`. @throws WIRE_CORRUPT */
export type PgoutputParser = (bytes: Buffer, start: number, end: number) => void;

const letter = (text: string): number => text.charCodeAt(0);
const [insertTag, updateTag, deleteTag] = [letter('I'), letter('U'), letter('D')];
const [newTuple, oldKey, oldRow] = [letter('N'), letter('K'), letter('O')];

/** A parser for one connection's stream. */
export function pgoutputParser(handler: PgoutputHandler): PgoutputParser {
  const fields = new Fields();
  const row = new Tuple();
  const old = new Tuple();
  let within: 'nothing' | 'transaction' | 'stream' | 'prepare' = 'nothing';

  return function parse(bytes, start, end) {
    if (start >= end) throw cut('no bytes');
    const tag = bytes[start]!;
    if (tag === insertTag || tag === updateTag || tag === deleteTag) change(tag, bytes, start + 1, end);
    else other(String.fromCharCode(tag), fields.over(bytes, start + 1, end));
  };

  function change(tag: number, bytes: Buffer, start: number, end: number): void {
    let at = start;
    let xid = 0;
    if (within === 'stream') {
      if (at + 4 > end) throw cut('a row without its transaction');
      xid = uint32(bytes, at);
      at += 4;
    } else if (within === 'nothing') throw cut('a row outside of a transaction');
    if (at + 5 > end) throw cut('a row without its table');
    const relation = uint32(bytes, at);
    let kind = bytes[at + 4]!;
    at += 5;
    let oldKind: OldKind | null = null;
    if (tag !== insertTag && (kind === oldKey || kind === oldRow)) {
      oldKind = kind === oldKey ? 'key' : 'row';
      at = readTuple(old, bytes, at, end);
      if (tag === updateTag) {
        if (at >= end) throw cut('an update without its row');
        kind = bytes[at++]!;
      }
    }
    if (tag === deleteTag) {
      if (oldKind === null) throw cut(`a delete with a row of kind ${kind}`);
      if (at !== end) throw cut(`${end - at} bytes after a row`);
      return handler.delete(relation, old, oldKind, xid);
    }
    if (kind !== newTuple) throw cut(`a row of kind ${kind}`);
    at = readTuple(row, bytes, at, end);
    if (at !== end) throw cut(`${end - at} bytes after a row`);
    if (tag === insertTag) handler.insert(relation, row, xid);
    else handler.update(relation, oldKind === null ? null : old, oldKind, row, xid);
  }

  /** Reads the whole message before the handler hears of it, so that it hears of none that is cut short. */
  function other(tag: string, message: Fields): void {
    switch (tag) {
      case 'B': {
        enter('transaction');
        const commitLsn = message.uint64();
        const committedAt = instant(message);
        const xid = message.uint32();
        message.done();
        return handler.begin(xid, commitLsn, committedAt);
      }
      case 'C':
        leave('transaction');
        return handler.commit(readCommit(message, 'commit'));
      case 'O': {
        inside();
        const lsn = message.uint64();
        const name = message.text();
        message.done();
        return handler.origin(name, lsn);
      }
      case 'R': {
        const xid = xidOf(message);
        const relation = readRelation(message);
        message.done();
        return handler.relation(relation, xid);
      }
      case 'Y': {
        const xid = xidOf(message);
        const type = readType(message);
        message.done();
        return handler.type(type, xid);
      }
      case 'T': {
        const xid = xidOf(message);
        const count = message.uint32();
        const flags = message.uint8();
        if (count * 4 !== message.left) throw cut(`a truncate of ${count} tables in ${message.left} bytes`);
        const relations = Array.from({ length: count }, () => message.uint32());
        return handler.truncate(relations, { cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 }, xid);
      }
      case 'M': {
        const xid = within === 'stream' ? message.uint32() : 0;
        const transactional = flag(message, 'a message');
        const lsn = message.uint64();
        const prefix = message.text();
        const content = message.slice(message.uint32());
        message.done();
        if (transactional) inside();
        return handler.message(prefix, content, { transactional, lsn }, xid);
      }
      case 'S': {
        enter('stream');
        const xid = message.uint32();
        const first = flag(message, 'a stream');
        message.done();
        return handler.streamStart(xid, first);
      }
      case 'E':
        leave('stream');
        message.done();
        return handler.streamStop();
      case 'c': {
        outside();
        const xid = message.uint32();
        return handler.streamCommit(xid, readCommit(message, 'stream commit'));
      }
      case 'A': {
        outside();
        const xid = message.uint32();
        const subxid = message.uint32();
        // With `streaming 'parallel'` (4) the abort's position and instant follow.
        if (message.left > 0) message.slice(16);
        message.done();
        return handler.streamAbort(xid, subxid);
      }
      case 'b':
        enter('prepare');
        return handler.beginPrepare(readPrepare(message));
      case 'P':
        leave('prepare');
        noFlags(message, 'prepare');
        return handler.prepare(readPrepare(message));
      case 'K':
        outside();
        noFlags(message, 'commit prepared');
        return handler.commitPrepared(readPrepare(message));
      case 'r': {
        outside();
        noFlags(message, 'rollback prepared');
        const prepareEnd = message.uint64();
        const end = message.uint64();
        const preparedAt = instant(message);
        const at = instant(message);
        const xid = message.uint32();
        const gid = message.text();
        message.done();
        return handler.rollbackPrepared({ xid, gid, prepareEnd, preparedAt, end, at });
      }
      case 'p':
        outside();
        noFlags(message, 'stream prepare');
        return handler.streamPrepare(readPrepare(message));
      default:
        throw cut(`a message of kind ${JSON.stringify(tag)}`);
    }
  }

  function xidOf(message: Fields): number {
    inside();
    return within === 'stream' ? message.uint32() : 0;
  }
  function enter(what: 'transaction' | 'stream' | 'prepare'): void {
    outside();
    within = what;
  }
  function leave(what: 'transaction' | 'stream' | 'prepare'): void {
    if (within !== what) throw cut(`the end of a ${what} within ${within}`);
    within = 'nothing';
  }
  function inside(): void {
    if (within === 'nothing') throw cut('a change outside of a transaction');
  }
  function outside(): void {
    if (within !== 'nothing') throw cut(`the end or begin of another transaction within a ${within}`);
  }
}

function readCommit(message: Fields, what: string): Commit {
  noFlags(message, what);
  const lsn = message.uint64();
  const end = message.uint64();
  const at = instant(message);
  message.done();
  return { lsn, end, at };
}

function readPrepare(message: Fields): Prepare {
  const lsn = message.uint64();
  const end = message.uint64();
  const at = instant(message);
  const xid = message.uint32();
  const gid = message.text();
  message.done();
  return { xid, gid, lsn, end, at };
}

/** There are none yet. One that we do not know could change what the message means. */
function noFlags(message: Fields, what: string): void {
  const flags = message.uint8();
  if (flags !== 0) throw cut(`a ${what} with flags ${flags}`);
}

function flag(message: Fields, what: string): boolean {
  const value = message.uint8();
  if (value > 1) throw cut(`${what} with flags ${value}`);
  return value === 1;
}

const instant = (message: Fields): bigint => message.int64() + postgresEpoch;

const uint32 = (bytes: Buffer, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
