import { type ColumnSchema, type Duration, MillraceError, milliseconds, type TargetProblem } from '@millrace/core/runtime';
import { keptColumns, formProblems as problemsOf, type RowForm, type TextRow } from '../redis/form.ts';
import { jsonText } from '../redis/json-text.ts';
import { keyTemplate } from '../redis/key-template.ts';

export interface KeyOptions {
  /** How a row's key is made of columns that identify it: `order:<id>`. Blanks in values are written `%20`; `keyOf` makes the same. */
  readonly key: string;
  /** `json` (default): an object. `string`: the text of one column, no key for NULL. As of Redis. */
  readonly as?: 'json' | 'string';
  /** For `string`: which column. */
  readonly value?: string;
  /** For `json`: these columns beside those of the key; all by default. */
  readonly columns?: readonly string[];
  /** Keys expire so long after they were last written; a second at least. */
  readonly ttl?: Duration;
}

/** Memcached takes longer times as a date. */
const longestSeconds = 30 * 24 * 3_600;
const longestKey = 250;

/** @throws PIPELINE_INVALID */
export function memcachedForm({ key, as = 'json', value, columns, ttl }: KeyOptions): RowForm {
  const template = keyTemplate(key, 'memcached');
  const ttlMs = ttl === undefined ? null : Math.ceil(milliseconds(ttl));
  const refused = (message: string, remedy: string): MillraceError =>
    new MillraceError('PIPELINE_INVALID', { message: `Rows under "${key}": ${message}`, remedy });
  if (as !== 'json' && as !== 'string') throw refused(`"${as as string}" is no form of a row.`, "Use 'json' or 'string'.");
  if ((as === 'string') !== (value !== undefined))
    throw refused('a string is the value of one column, and nothing else is.', "Write { as: 'string', value: 'column' }.");
  if (as === 'string' && columns) throw refused('a string has one column.', 'Leave `columns` out.');
  if (ttlMs !== null && ttlMs < 1_000) throw refused('Memcached counts in seconds.', 'Give a ttl of 1s or more.');
  return {
    template,
    as,
    value: value ?? null,
    columns: columns ? [...new Set([...template.columns, ...columns])] : null,
    ttlMs,
    sorted: [],
  };
}

export const formProblems = (form: RowForm, columns: readonly ColumnSchema[], of: string): TargetProblem[] => problemsOf(form, columns, of);

/** Rows of a table as they are kept. */
export interface Kept {
  readonly form: RowForm;
  readonly columns: readonly ColumnSchema[];
  readonly names: ReadonlySet<string>;
}

export function keptOf(form: RowForm, columns: readonly ColumnSchema[]): Kept {
  const kept = keptColumns(form, columns);
  return { form, columns: kept, names: new Set(kept.map(({ name }) => name)) };
}

/** @throws TYPE_MISMATCH for a NULL in it, VALUE_UNREPRESENTABLE for one that is too long */
export function keyFor({ template }: RowForm, row: TextRow): string {
  const key = template.render(row);
  if (Buffer.byteLength(key) <= longestKey) return key;
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `A key of "${template.text}" has ${Buffer.byteLength(key)} bytes, and Memcached has keys of ${longestKey}.`,
    remedy: 'Make the key of shorter columns.',
    facts: { key: key.slice(0, 100) },
  });
}

/** What stands under a row's key; null where it has none. A row of which not everything is known has none: whoever reads fills it in again. */
export function valueFor({ form, columns, names }: Kept, row: TextRow): string | null {
  for (const name of names) if (!row.has(name)) return null;
  return form.as === 'string' ? (row.get(form.value as string) ?? null) : jsonText(columns, row);
}

/** As Memcached takes it. */
export function secondsOf({ ttlMs }: RowForm, now: number): number {
  const seconds = Math.ceil((ttlMs ?? 0) / 1_000);
  return seconds <= longestSeconds ? seconds : Math.ceil(now / 1_000) + seconds;
}
