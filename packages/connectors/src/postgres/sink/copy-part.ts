import { pipeline } from 'node:stream/promises';
import type { BytesChannel, Channel } from '@millrace/core/runtime';
import { copyBatches, copyChecked } from './copy-batches.ts';
import { type Copied, type CopyInto, copyText, type Rejecting, sameCount } from './copy-into.ts';

/** What a channel rejects with is looked at when its bytes are through; until then it must not count as unhandled. */
export function expectEnd(channel: Channel): void {
  if (channel.format !== 'batches') channel.done.catch(() => {});
}

/**
 * Copies a split into a table, within the session's transaction. What the server counted must be what the reading end says it sent:
 * a source that dies at a row's end leaves bytes that look whole.
 *
 * @throws WIRE_CORRUPT where the counts differ, TYPE_MISMATCH for a row that does not fit
 */
export async function copyPart(into: CopyInto, channel: Channel, rejecting: Rejecting | null): Promise<Copied> {
  if (channel.format !== 'batches') return copyBytes(into, channel);
  return rejecting ? copyChecked(into, channel, rejecting) : copyBatches(into, channel.schema, channel.batches);
}

async function copyBytes(into: CopyInto, channel: BytesChannel): Promise<Copied> {
  const copy = into.session.copyIn(copyText(into.table, channel.schema, channel.format === 'csv' ? 'csv' : 'binary'), into.object);
  let bytes = 0;
  channel.stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    into.progress({ bytes: chunk.length });
  });
  try {
    await pipeline(channel.stream, copy.stream);
  } catch (error) {
    // A source that was cut off says why in `done`.
    if ((error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE') await channel.done;
    throw error;
  }
  const [{ rows }, sent] = await Promise.all([copy.done, channel.done]);
  sameCount(into, sent.rows, rows);
  into.progress({ rows });
  return { rows, bytes, rejected: 0 };
}
