import { MillraceError } from '../error/index.ts';

export type Decode = (bytes: Buffer, start: number, end: number) => unknown;

/** Strings longer than this are not looked for in the cache: they rarely repeat, and comparing them costs what making them does. */
const longest = 32;
const slots = 1024;
/** Lookups between two looks at the hit rate, and the share of hits from which the cache pays. */
const trial = 2048;
const worthwhile = 0.5;

/**
 * Decodes UTF-8. Columns with few different values (a status, a country, a ship mode) hand out the string they made before;
 * the cache gives up for good once most lookups miss. Make one for each column and keep it for the whole split.
 */
export function stringDecoder(): (bytes: Buffer, start: number, end: number) => string {
  const cache: string[] = new Array(slots).fill('');
  let lookups = 0;
  let hits = 0;
  let caching = true;
  return (bytes, start, end) => {
    const length = end - start;
    if (length === 0) return '';
    if (!caching || length > longest) return utf8(bytes, start, end);
    let hash = length;
    for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
    const slot = (hash ^ (hash >>> 10)) & (slots - 1);
    const known = cache[slot]!;
    if (++lookups === trial) {
      caching = hits >= trial * worthwhile;
      lookups = 0;
      hits = 0;
    }
    if (known.length === length && isSame(known, bytes, start)) {
      hits++;
      return known;
    }
    const made = utf8(bytes, start, end);
    // Only one-byte strings can be compared byte by byte.
    if (made.length === length) cache[slot] = made;
    return made;
  };
}

function isSame(text: string, bytes: Buffer, start: number): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== bytes[start + at]) return false;
  return true;
}

/** @throws WIRE_CORRUPT for bytes that are no UTF-8: replacing them would change the value in silence */
export function utf8(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end);
  if (text.includes('\ufffd') && !bytes.subarray(start, end).equals(Buffer.from(text))) {
    throw new MillraceError('WIRE_CORRUPT', {
      message: 'A text value is not UTF-8.',
      remedy: 'Look at the encoding of the source (a database in SQL_ASCII, a file in Latin-1): the bytes cannot be read as text.',
    });
  }
  return text;
}
