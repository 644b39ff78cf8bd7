import { inflateEvent } from './compressed.ts';
import { Cursor } from './cursor.ts';
import { eventTypes, type LogEvent } from './event.ts';

/** A statement of the log. */
export interface Query {
  /** The database that its session was in; empty for none. */
  readonly schema: string;
  readonly sql: string;
  /** Its session took double quotes for names. */
  readonly ansiQuotes: boolean;
}

const sqlModeVariable = 1;
const ansiQuotesMode = 4n;

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
  const sql = (event.type === eventTypes.queryCompressed ? inflateEvent(rest) : rest).toString('utf8');
  return { schema, sql, ansiQuotes: hasAnsiQuotes(variables) };
}

/** Variables come by number: 0 with four bytes, then 1, which is sql_mode, with eight. */
function hasAnsiQuotes(variables: Buffer): boolean {
  const at = variables[0] === 0 ? 5 : 0;
  return variables[at] === sqlModeVariable && variables.length >= at + 9 && (variables.readBigUInt64LE(at + 1) & ansiQuotesMode) !== 0n;
}
