import { createHash } from 'node:crypto';
import type { NewTick } from '@millrace/core/runtime';

export interface FoundFile {
  readonly url: string;
  /** Changes when the content does. */
  readonly etag: string;
}

/** Where files are looked for: a listing of an object store or a directory. */
export interface FileStore {
  list(pattern: string, signal: AbortSignal): AsyncIterable<FoundFile>;
  matches(pattern: string, url: string): boolean;
}

/** An index takes no keys of any length. */
const longest = 1_500;

export function fileKey({ url, etag }: FoundFile): string {
  const key = `file:${url}@${plain(etag)}`;
  return Buffer.byteLength(key) <= longest ? key : `file:${createHash('sha256').update(key).digest('hex')}`;
}

/** Listings write it in quotes, events without. */
const plain = (etag: string): string => etag.replaceAll('"', '');

export function fileTick(file: FoundFile, state: 'waiting' | 'missed'): NewTick {
  return {
    key: fileKey(file),
    cause: 'file',
    logicalTime: null,
    window: null,
    params: { file: file.url, etag: plain(file.etag) },
    onTime: true,
    state,
    because: state === 'missed' ? 'it was there before the schedule was' : null,
  };
}
