import { MillraceError, nameParts } from '@millrace/core/runtime';

/** Characters; longer names are refused by the server. */
const longestName = 64;

/** A name as SQL text: always quoted, so that it means what it says. @throws IDENTIFIER_INVALID */
export function quoteIdentifier(name: string): string {
  const problem = problemOf(name);
  if (problem) {
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `The name ${shown(name)} ${problem}.`,
      remedy: 'Use a name of 1 to 64 characters that does not end in a space.',
      facts: { name: name.slice(0, 200) },
    });
  }
  return `\`${name.replaceAll('`', '``')}\``;
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.includes('\0')) return 'holds a NUL character';
  if (name.endsWith(' ')) return 'ends in a space';
  // One character of the server's names has three bytes of UTF-8 at most.
  if (/[\u{10000}-\u{10ffff}]/u.test(name)) return 'holds a character that names of MySQL cannot have';
  return name.length > longestName ? `has ${name.length} characters; MySQL allows ${longestName}` : undefined;
}

const shown = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);

/** `database` is null where the connection's own is meant. */
export interface QualifiedName {
  readonly database: string | null;
  readonly name: string;
}

/**
 * Reads `orders`, `shop.orders`, `"we.ird"."t"`. Quotes are needed only around a name that holds a dot or a quote.
 *
 * @throws IDENTIFIER_INVALID
 */
export function parseName(text: string): QualifiedName {
  const parts = nameParts(text);
  if (!parts || parts.length > 2) {
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `${shown(text)} is not the name of a table.`,
      remedy: 'Write "table" or "database.table", and put a name that holds a dot or a quote between double quotes, inner quotes doubled.',
      facts: { name: text.slice(0, 200) },
    });
  }
  for (const part of parts) quoteIdentifier(part);
  return parts.length === 2 ? { database: parts[0] ?? null, name: parts[1] ?? '' } : { database: null, name: parts[0] ?? '' };
}

/** `shop.orders` as SQL text. @throws IDENTIFIER_INVALID */
export function quoteName(name: string | QualifiedName): string {
  const { database, name: table } = typeof name === 'string' ? parseName(name) : name;
  return database === null ? quoteIdentifier(table) : `${quoteIdentifier(database)}.${quoteIdentifier(table)}`;
}

/** The name as a person would write it: quotes only where they are needed. `parseName` reads it back. */
export function showName({ database, name }: QualifiedName): string {
  const part = (text: string): string => (/[".]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return database === null ? part(name) : `${part(database)}.${part(name)}`;
}
