import { MillraceError } from '@millrace/core/runtime';
import type { Scratch } from './scratch.ts';
import type { WideTable } from './wide-charset.ts';

/** Writes text of one character set as UTF-8. @throws VALUE_UNREPRESENTABLE where bytes are no text */
export type Transcode = (from: Buffer, start: number, end: number, out: Scratch) => void;

/** Character sets of a server by the number of a collation, with its tables of those that are no Unicode. */
export interface Charsets {
  /** `latin1`; undefined for a collation that the server does not list. */
  nameOf(collation: number): string | undefined;
  /** What each of the 256 bytes is, as the server itself converts it; undefined for a character set of several bytes. */
  tableOf(name: string): readonly string[] | undefined;
  /** The characters of a set of several bytes, as the server itself converts them; undefined before `load`, and for Unicode. */
  wideOf(name: string): WideTable | undefined;
  /** Sees to it that the tables of collations are there. Null where there is nothing to do. */
  load(collations: readonly number[]): Promise<void> | null;
  /** The most bytes that a character of a collation has; 1 where it is not listed. */
  widthOf(collation: number): number;
}

/** The collation of what is no text. */
export const binaryCollation = 63;

const copy: Transcode = (from, start, end, out) => out.copy(from, start, end);

/** Unicode in another form than UTF-8, by the names of the Encoding standard. */
const encodings: Readonly<Record<string, string>> = { ucs2: 'utf-16be', utf16: 'utf-16be', utf16le: 'utf-16le' };

/**
 * How text of a collation is read.
 *
 * @throws UNSUPPORTED for a character set that nobody can read here
 */
export function transcoder(collation: number, charsets: Charsets): Transcode {
  const name = charsets.nameOf(collation);
  if (name === 'utf8mb4' || name === 'utf8mb3' || name === 'utf8') return copy;
  const table = name === undefined ? undefined : charsets.tableOf(name);
  if (table) return byTable(table);
  const wide = name === undefined ? undefined : charsets.wideOf(name);
  if (name !== undefined && wide) return byWideTable(name, wide);
  if (name === 'utf32') return utf32;
  const encoding = name === undefined ? undefined : encodings[name];
  if (name !== undefined && encoding !== undefined) return byDecoder(name, encoding);
  throw new MillraceError('UNSUPPORTED', {
    message: `Text in the character set ${name ?? `of collation ${collation}`} cannot be read from a binary log.`,
    remedy: 'ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 at the source, or leave the column out of the table() declaration.',
    facts: { collation, charset: name ?? null },
  });
}

/** One byte is one character. */
function byTable(table: readonly string[]): Transcode {
  const bytes = table.map((character) => Buffer.from(character, 'utf8'));
  const isAscii = bytes.slice(0, 128).every((character, byte) => character.length === 1 && character[0] === byte);
  return (from, start, end, out) => {
    let at = start;
    if (isAscii) while (at < end && from[at]! < 128) at++;
    out.copy(from, start, at);
    for (; at < end; at++) {
      const character = bytes[from[at]!]!;
      out.copy(character, 0, character.length);
    }
  };
}

function byWideTable(name: string, table: WideTable): Transcode {
  return (from, start, end, out) => {
    let at = start;
    while (at < end && from[at]! < 128) at++;
    if (at === end) out.copy(from, start, end);
    else if (!table.write(from, start, end, out)) throw noText(name, from, start, end);
  };
}

function byDecoder(name: string, encoding: string): Transcode {
  // A byte order mark within text is a character like any other.
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  return (from, start, end, out) => {
    try {
      out.utf8(decoder.decode(from.subarray(start, end)));
    } catch (cause) {
      throw noText(name, from, start, end, cause);
    }
  };
}

function noText(name: string, from: Buffer, start: number, end: number, cause?: unknown): MillraceError {
  return new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `A value is no text in its character set (${name}).`,
    remedy: 'Mend the value at the source, or leave the column out of the table() declaration.',
    facts: { charset: name, bytes: from.toString('hex', start, Math.min(end, start + 32)) },
    cause,
  });
}

const utf32: Transcode = (from, start, end, out) => {
  let text = '';
  for (let at = start; at + 4 <= end; at += 4) text += String.fromCodePoint(from.readUInt32BE(at));
  out.utf8(text);
};

/** Text outside of rows: labels of an enum. */
export function decodeWith(transcode: Transcode, bytes: Buffer, out: Scratch): string {
  out.size = 0;
  transcode(bytes, 0, bytes.length, out);
  return out.bytes.toString('utf8', 0, out.size);
}
