import { binaryCollation, type Charsets, decodeWith, transcoder } from './charset.ts';
import { inflateEvent } from './compressed.ts';
import { Cursor } from './cursor.ts';
import { eventTypes, type LogEvent } from './event.ts';
import { Scratch } from './scratch.ts';

/** A statement of the log, in the bytes and by the rules of the session that it came from. */
export interface Query {
  /** The database that its session was in; empty for none. */
  readonly schema: string;
  readonly sql: Buffer;
  /** Of its bytes. Null where they are UTF-8, or nothing but ASCII. */
  readonly collation: number | null;
  /** Double quotes are for names. */
  readonly ansiQuotes: boolean;
  /** A backslash within a text is a character like any other. */
  readonly plainBackslashes: boolean;
}

const ansiQuotesMode = 4n;
const noBackslashEscapesMode = 1n << 20n;

/** thread 4 | seconds 4 | length of the schema 1 | error 2 | length of variables 2 | variables | schema | 0 | statement */
export function readQuery(event: LogEvent): Query {
  const cursor = new Cursor(event.bytes, event.start, event.end);
  cursor.take(8);
  const schemaLength = cursor.uint(1);
  cursor.take(2);
  const variables = cursor.slice(cursor.uint(2));
  const schema = cursor.text(schemaLength);
  cursor.take(1);
  const rest = cursor.slice(cursor.left);
  const sql = event.type === eventTypes.queryCompressed ? inflateEvent(rest) : rest;
  const { mode, collation } = readVariables(variables);
  return {
    schema,
    sql,
    collation: sql.some((byte) => byte > 127) ? collation : null,
    ansiQuotes: (mode & ansiQuotesMode) !== 0n,
    plainBackslashes: (mode & noBackslashEscapesMode) !== 0n,
  };
}

/** Numbers of status variables. They come in this order; what follows is not needed. */
const variableNumbers = { flags: 0, mode: 1, oldCatalog: 2, catalog: 6, increments: 3, collations: 4 } as const;

function readVariables(bytes: Buffer): { readonly mode: bigint; readonly collation: number | null } {
  const cursor = new Cursor(bytes, 0, bytes.length);
  let mode = 0n;
  while (cursor.left > 0) {
    switch (cursor.uint(1)) {
      case variableNumbers.flags:
      case variableNumbers.increments:
        cursor.take(4);
        break;
      case variableNumbers.mode:
        mode = cursor.slice(8).readBigUInt64LE();
        break;
      case variableNumbers.oldCatalog:
        cursor.take(cursor.uint(1) + 1);
        break;
      case variableNumbers.catalog:
        cursor.take(cursor.uint(1));
        break;
      case variableNumbers.collations:
        return { mode, collation: cursor.uint(2) };
      default:
        return { mode, collation: null };
    }
  }
  return { mode, collation: null };
}

/** The text of a statement. Bytes that are no text in its character set, which may stand in values, are marks of the unknown. */
export function queryText({ sql, collation }: Pick<Query, 'sql' | 'collation'>, charsets: Charsets): string {
  const name = collation === null || collation === binaryCollation ? undefined : charsets.nameOf(collation);
  if (collation === null || name === undefined || name.startsWith('utf8')) return sql.toString('utf8');
  try {
    return decodeWith(transcoder(collation, charsets), sql, new Scratch());
  } catch {
    return charsets.wideOf(name)?.lenient(sql) ?? sql.toString('latin1');
  }
}
