import { cut } from './fields.ts';

export interface FrameHandler {
  /** A CopyData message: what it holds is in `bytes` from `start` to `end`. */
  data(bytes: Buffer, start: number, end: number): void;
  /** Any other message, whole and copied. Answers whether the bytes after it are to be framed as well. */
  other(message: Buffer): boolean;
  /** Bytes after a message for which `other` answered no. */
  rest(bytes: Buffer): void;
}

const copyData = 0x64;
const headerBytes = 5;

/**
 * A listener for the chunks of a socket that splits them into messages. Nothing is copied or allocated for a message that lies within
 * one chunk, which nearly all do; one that is cut by a chunk's end is put together in a buffer of its own size.
 */
export function frames(handler: FrameHandler): (chunk: Buffer) => void {
  /** The message that is cut: first its header, then, its length being known, the whole of it. */
  let partial: Buffer | null = null;
  let filled = 0;

  return function onChunk(chunk) {
    const size = chunk.length;
    let at = 0;
    if (partial) {
      if (filled < headerBytes) {
        at = fill(chunk, at, headerBytes);
        if (filled < headerBytes) return;
        const header: Buffer = partial;
        partial = Buffer.allocUnsafe(1 + lengthAt(header, 1));
        header.copy(partial, 0, 0, headerBytes);
      }
      at = fill(chunk, at, partial.length);
      if (filled < partial.length) return;
      const whole: Buffer = partial;
      partial = null;
      if (whole[0] === copyData) handler.data(whole, headerBytes, whole.length);
      else if (!handler.other(whole)) return handler.rest(chunk.subarray(at));
    }
    while (size - at >= headerBytes) {
      const end = at + 1 + lengthAt(chunk, at + 1);
      if (end > size) break;
      if (chunk[at] === copyData) handler.data(chunk, at + headerBytes, end);
      else if (!handler.other(Buffer.from(chunk.subarray(at, end)))) return handler.rest(chunk.subarray(end));
      at = end;
    }
    if (at === size) return;
    const known = size - at >= headerBytes;
    partial = Buffer.allocUnsafe(known ? 1 + lengthAt(chunk, at + 1) : headerBytes);
    filled = 0;
    fill(chunk, at, partial.length);
  };

  function fill(chunk: Buffer, at: number, upTo: number): number {
    const taken = Math.min(upTo - filled, chunk.length - at);
    chunk.copy(partial!, filled, at, at + taken);
    filled += taken;
    return at + taken;
  }
}

/** Counts itself, and not the letter before it. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (length < 4) throw cut(`a message of ${length} bytes`);
  return length;
}
