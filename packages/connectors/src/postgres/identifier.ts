import { MillraceError } from '@millrace/core/runtime';

/** Postgres cuts longer names without a word (NAMEDATALEN - 1), which would make two names one. */
const longestName = 63;

/** A name as SQL text: always quoted, so that it means what it says. @throws IDENTIFIER_INVALID */
export function quoteIdentifier(name: string): string {
  const problem = problemOf(name);
  if (problem) {
    throw new MillraceError('IDENTIFIER_INVALID', {
      message: `The name ${shown(name)} ${problem}.`,
      remedy: 'Use a name of 1 to 63 bytes without NUL.',
      facts: { name: name.slice(0, 200) },
    });
  }
  return `"${name.replaceAll('"', '""')}"`;
}

function problemOf(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.includes('\0')) return 'holds a NUL byte';
  const bytes = Buffer.byteLength(name);
  return bytes > longestName ? `has ${bytes} bytes; Postgres allows ${longestName}` : undefined;
}

const shown = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);

/** `schema` is null where the search path decides. */
export interface QualifiedName {
  readonly schema: string | null;
  readonly name: string;
}

/**
 * Reads `orders`, `public.orders`, `"we.ird"."t"`. Letters keep their case, quoted or not: `Orders` is the table that SQL
 * calls `"Orders"`. Quotes are needed only around a name that holds a dot or a quote.
 *
 * @throws IDENTIFIER_INVALID
 */
export function parseName(text: string): QualifiedName {
  const parts: string[] = [];
  let rest = text;
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest);
    const part = quoted ? (quoted[1] ?? '').replaceAll('""', '"') : (/^[^".]*/.exec(rest)?.[0] ?? '');
    rest = rest.slice(quoted ? quoted[0].length : part.length);
    quoteIdentifier(part);
    parts.push(part);
    if (rest === '') break;
    if (!rest.startsWith('.')) throw notAName(text);
    rest = rest.slice(1);
  }
  if (parts.length > 2) throw notAName(text);
  return parts.length === 2 ? { schema: parts[0] ?? null, name: parts[1] ?? '' } : { schema: null, name: parts[0] ?? '' };
}

function notAName(text: string): MillraceError {
  return new MillraceError('IDENTIFIER_INVALID', {
    message: `${shown(text)} is not the name of a table.`,
    remedy: 'Write "table" or "schema.table", and put a name that holds a dot or a quote between double quotes, inner quotes doubled.',
    facts: { name: text.slice(0, 200) },
  });
}

/** `public.orders` as `"public"."orders"`. @throws IDENTIFIER_INVALID */
export function quoteName(name: string | QualifiedName): string {
  const { schema, name: table } = typeof name === 'string' ? parseName(name) : name;
  return schema === null ? quoteIdentifier(table) : `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/** The name as a person would write it: quotes only where they are needed. `parseName` reads it back. */
export function showName({ schema, name }: QualifiedName): string {
  const part = (text: string): string => (/[".]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return schema === null ? part(name) : `${part(schema)}.${part(name)}`;
}
