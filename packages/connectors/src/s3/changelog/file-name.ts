import { createHash } from 'node:crypto';
import type { Position } from '@millrace/core/runtime';

/** Positions that are longer than this stand in names as a hash. */
const longestPosition = 64;

/** The folder of a table's files: any name, so that it is neither another folder's nor a way out of the dataset. */
export function tableFolder(table: string): string {
  const encoded = encodeURIComponent(table).replace(/^[._]/, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  return encoded.length <= 200 ? encoded : `${encoded.slice(0, 160)}-${hash(table)}`;
}

/** `orders/0000000001A2B3C0-0000000001A2B4F8-3-1.jsonl.gz`: the commits in it, the attempt that wrote it, the number of its file. */
export function fileName(table: string, first: Position, last: Position, epoch: number, number: number, extension: string): string {
  return `${tableFolder(table)}/${part(first)}-${part(last)}-${epoch}-${number}${extension}`;
}

const part = (position: Position): string => (position.length <= longestPosition ? position.replaceAll(':', '_') : hash(position));
const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
