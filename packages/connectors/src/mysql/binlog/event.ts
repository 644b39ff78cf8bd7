import { crc32 } from 'node:zlib';
import { corrupt } from './corrupt.ts';

/*
 * An event of a binary log, version 4, of MySQL and of MariaDB:
 *
 *   timestamp 4 | type 1 | server id 4 | size 4 | end position 4 | flags 2 | body … | checksum 4, where the log has them
 *
 * Sources: https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Log__event__header.html and sql/log_event.h of MariaDB.
 */

/** Types that mean something to a follower. */
export const eventTypes = {
  query: 2,
  stop: 3,
  rotate: 4,
  intvar: 5,
  appendBlock: 9,
  deleteFile: 11,
  rand: 13,
  userVar: 14,
  format: 15,
  xid: 16,
  beginLoadQuery: 17,
  executeLoadQuery: 18,
  tableMap: 19,
  insertRows1: 23,
  updateRows1: 24,
  deleteRows1: 25,
  incident: 26,
  heartbeat: 27,
  ignorable: 28,
  rowsQuery: 29,
  insertRows: 30,
  updateRows: 31,
  deleteRows: 32,
  gtid: 33,
  anonymousGtid: 34,
  previousGtids: 35,
  transactionContext: 36,
  viewChange: 37,
  xaPrepare: 38,
  partialUpdateRows: 39,
  transactionPayload: 40,
  heartbeat2: 41,
  taggedGtid: 42,
  // MariaDB's own
  annotateRows: 160,
  binlogCheckpoint: 161,
  mariaGtid: 162,
  mariaGtidList: 163,
  startEncryption: 164,
  queryCompressed: 165,
  insertRowsCompressed1: 166,
  updateRowsCompressed1: 167,
  deleteRowsCompressed1: 168,
  insertRowsCompressed: 169,
  updateRowsCompressed: 170,
  deleteRowsCompressed: 171,
} as const;

/** For messages: `PARTIAL_UPDATE_ROWS_EVENT`-like names would be those of one vendor only. */
export function eventName(type: number): string {
  const name = Object.entries(eventTypes).find(([, code]) => code === type)?.[0];
  return name ? `${name} (${type})` : `type ${type}`;
}

export const headerBytes = 19;
export const checksumBytes = 4;

/** The event is not in the log: the server made it for this reader. */
export const artificialFlag = 0x20;
/** Whoever does not know the event may go on without it. */
export const ignorableFlag = 0x80;

/** One event, read in place. There is one for a whole stream: what it says holds until the handler returns. */
export class LogEvent {
  bytes: Buffer = Buffer.alloc(0);
  type = 0;
  /** Seconds from 1970. */
  timestamp = 0;
  serverId = 0;
  /** With header and checksum. */
  size = 0;
  /** Where the log goes on after it, modulo 2^32; 0 where it is not told. */
  endPosition = 0;
  flags = 0;
  /** Where its body begins and ends, without header and checksum. */
  start = 0;
  end = 0;

  /** @throws WIRE_CORRUPT */
  read(bytes: Buffer, start: number, end: number, hasChecksum: boolean): void {
    if (end - start < headerBytes) throw corrupt(`an event of ${end - start} bytes`);
    this.bytes = bytes;
    this.timestamp = bytes.readUInt32LE(start);
    this.type = bytes[start + 4]!;
    this.serverId = bytes.readUInt32LE(start + 5);
    this.size = bytes.readUInt32LE(start + 9);
    this.endPosition = bytes.readUInt32LE(start + 13);
    this.flags = bytes.readUInt16LE(start + 17);
    if (this.size !== end - start) throw corrupt(`an event of ${this.size} bytes in a packet of ${end - start}`);
    this.start = start + headerBytes;
    this.end = end;
    // A format description says itself whether there are checksums, and has a place for one in any case.
    if (!hasChecksum || this.type === eventTypes.format) return;
    this.end = end - checksumBytes;
    if (this.end < this.start) throw corrupt('an event without its checksum');
    if (crc32(bytes.subarray(start, this.end)) !== bytes.readUInt32LE(this.end)) {
      throw corrupt(`an event (${eventName(this.type)}) whose checksum is wrong`, { endPosition: this.endPosition });
    }
  }
}

/** Whether the events that follow a format description have checksums. @throws WIRE_CORRUPT for a kind of checksum nobody knows */
export function hasChecksums({ bytes, start, end }: LogEvent): boolean {
  // version 2 | server's version 50 | created 4 | header size 1 | sizes … | kind of checksum 1 | its own checksum 4
  const fixed = 57;
  if (end - start < fixed + 1 + checksumBytes) throw corrupt(`a format description of ${end - start} bytes`);
  if (bytes.readUInt16LE(start) !== 4 || bytes[start + 56] !== headerBytes) throw corrupt('a version of its format that is not 4');
  const kind = bytes[end - checksumBytes - 1]!;
  if (kind > 1) throw corrupt(`checksums of kind ${kind}`);
  return kind === 1;
}
