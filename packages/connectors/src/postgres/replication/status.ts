import { postgresEpoch, postgresNow } from './clock.ts';

/*
 * What the two ends tell each other within a replication stream.
 * Source: https://www.postgresql.org/docs/18/protocol-replication.html
 */

export const xlogData = 0x77; // w: start of the data, end of the log, clock; then the data
export const xlogHeaderBytes = 25;
export const keepalive = 0x6b; // k: end of the log, clock, whether to answer at once
export const keepaliveBytes = 18;

/** Microseconds from 1970 of the sender's clock, in either message. */
export const sentAt = (bytes: Buffer, position: number): bigint => bytes.readBigInt64BE(position) + postgresEpoch;

/** `r`, within its CopyData message. Everything before `flushed` may be forgotten by the server; 0 says nothing. */
export function standbyStatus(status: { readonly written: bigint; readonly flushed: bigint; readonly answer: boolean }): Buffer {
  const message = Buffer.allocUnsafe(39);
  message[0] = 0x64;
  message.writeInt32BE(38, 1);
  message[5] = 0x72;
  message.writeBigUInt64BE(status.written, 6);
  message.writeBigUInt64BE(status.flushed, 14);
  message.writeBigUInt64BE(status.flushed, 22); // applied: for us, the same
  message.writeBigInt64BE(postgresNow(), 30);
  message[38] = status.answer ? 1 : 0;
  return message;
}

export const copyDone: Buffer = Buffer.from([0x63, 0, 0, 0, 4]);
