import { MillraceError } from '@millrace/core/runtime';

/**
 * `order:<id>`: how a row's key is made of its columns. A value stands in it as Postgres prints it, with `%`, `:`, `{` and `}` written as
 * `%25`, `%3A`, `%7B` and `%7D`, so that two rows never share a key, and a value never moves its key to another shard. For Memcached blanks and
 * control characters are written so too: it has none in keys.
 */
export interface KeyTemplate {
  readonly text: string;
  readonly columns: readonly string[];
  /** As SCAN takes it; it may match keys of others too. */
  readonly glob: string;
  /** @throws TYPE_MISMATCH where a column of the key is NULL */
  render(row: KeyRow): string;
  /** The columns in a key, or null for a key of somebody else. */
  match(key: string): ReadonlyMap<string, string> | null;
}

export type KeyRow = ReadonlyMap<string, string | null>;

/** Whose key it is: a member of a sorted set needs no name that it begins with. */
type KeyOf = 'database' | 'set' | 'memcached';

/** @throws PIPELINE_INVALID */
export function keyTemplate(text: string, of: KeyOf = 'database'): KeyTemplate {
  const parts = text.split(/<([^<>]+)>/); // literal, column, literal, column, …, literal
  const literals = parts.filter((_, place) => place % 2 === 0);
  const columns = parts.filter((_, place) => place % 2 === 1);
  const wrong = problemOf(text, literals, columns, of);
  if (wrong)
    throw new MillraceError('PIPELINE_INVALID', { message: `The key "${text}" ${wrong.is}.`, remedy: wrong.remedy, facts: { key: text } });
  const pattern = new RegExp(`^${literals.map(patternEscape).join('([^:{}]*)')}$`);
  return {
    text,
    columns,
    glob: literals.map(globEscape).join('*'),
    render: (row) =>
      literals.reduce((key, literal, place) => {
        const column = columns[place - 1]!;
        const value = encoded(column, row.get(column), text);
        return key + (of === 'memcached' ? value.replaceAll(new RegExp(unfit, 'g'), encodeURIComponent) : value) + literal;
      }),
    match(key) {
      const found = pattern.exec(key);
      return found && new Map(columns.map((column, place) => [column, decoded(found[place + 1] ?? '')]));
    },
  };
}

function problemOf(
  text: string,
  literals: readonly string[],
  columns: readonly string[],
  of: KeyOf,
): { is: string; remedy: string } | null {
  if (literals.some((literal) => /[<>]/.test(literal)))
    return { is: 'has a bracket without its other one', remedy: 'Write columns in angle brackets: order:<id>.' };
  if (columns.length === 0)
    return { is: 'names no column, so all rows would have one key', remedy: 'Write columns in angle brackets: order:<id>.' };
  if (of !== 'set' && literals[0] === '')
    return { is: 'begins with a column, so that any key could be one of its', remedy: 'Begin with a name: order:<id>.' };
  if (new Set(columns).size < columns.length) return { is: 'names a column twice', remedy: 'Once is enough.' };
  if (literals.slice(1, -1).some((literal) => !/[:{}]/.test(literal)))
    return { is: 'cannot be told apart between two of its columns', remedy: 'Put a colon between them: line:<order_id>:<number>.' };
  if (of === 'memcached' && literals.some((literal) => unfit.test(literal)))
    return { is: 'has a blank or a control character, which Memcached has in no key', remedy: 'Write it without: order:<id>.' };
  const braces = text.replace(/[^{}]/g, '');
  if (braces !== '' && (braces !== '{}' || text.includes('{}')))
    return { is: 'has braces that are no hash tag', remedy: 'Use one pair of braces, with something in it: {shop}:order:<id>.' };
  return null;
}

/** Exported for those who read the cache: `keyOf('order:<id>', { id: '42' })`. Values are text, as Postgres prints them. */
export const keyOf = (template: string, values: Readonly<Record<string, string>>, of: 'database' | 'memcached' = 'database'): string =>
  keyTemplate(template, of).render(new Map(Object.entries(values)));

/** What decides on which shard a key is: what stands in its braces, or all of it. */
export const hashTag = (key: string): string => /^[^{]*\{([^}]+)\}/.exec(key)?.[1] ?? key;

/** The hash tag that all of these keys have, whatever their columns are; null where they have none in common. */
export function sharedTag(templates: readonly string[]): string | null {
  const tags = new Set(templates.map((text) => /\{([^{}<>]+)\}/.exec(text)?.[1] ?? null));
  const [tag] = tags;
  return tags.size === 1 && tag !== undefined ? tag : null;
}

/** A pattern that matches the text and nothing else. */
export const globEscape = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');

const unfit = /[\s\x00-\x1f\x7f]/;
const patternEscape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function encoded(column: string, value: string | null | undefined, template: string): string {
  if (value !== null && value !== undefined) return value.replace(/[%:{}]/g, (char) => encodeURIComponent(char));
  throw new MillraceError('TYPE_MISMATCH', {
    message: `"${column}" is NULL, and stands in the key "${template}".`,
    remedy: 'Filter such rows out, or make the key of columns that are never NULL.',
    facts: { column },
  });
}

const decoded = (text: string): string =>
  text.replace(/%(25|3A|7B|7D)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
