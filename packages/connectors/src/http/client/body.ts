import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { MillraceError } from '@millrace/core/runtime';

export const acceptedEncodings = 'gzip, br';

/** The body as its content is, uncompressed. An answer that breaks off makes the reading throw. */
export async function* contentOf(response: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
  const encoding = (response.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decoder = decoderOf(encoding);
  if (decoder === null) return yield* response as AsyncIterable<Buffer>;
  // What breaks off before the decoder is what the decoder ends with.
  response.once('error', (error) => decoder.destroy(error));
  response.once('aborted', () => decoder.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })));
  response.pipe(decoder as NodeJS.WritableStream & Readable);
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } finally {
    response.destroy();
  }
}

function decoderOf(encoding: string): Readable | null {
  switch (encoding) {
    case 'identity':
    case '':
      return null;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'br':
      return createBrotliDecompress();
    case 'deflate':
      return createInflate();
    default:
      throw new MillraceError('UNSUPPORTED', {
        message: `The answer is compressed as "${encoding}", which was not asked for.`,
        remedy: 'Have the API answer in gzip, Brotli or plain.',
      });
  }
}

/** The first so many bytes of a body, as text, for a message or a small answer. */
export async function textOf(response: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of contentOf(response)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= most) break;
  }
  response.destroy();
  return Buffer.concat(chunks).toString('utf8').slice(0, most);
}
