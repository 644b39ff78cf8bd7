import {
  baseType,
  type ColumnSchema,
  type ColumnType,
  type Duration,
  MillraceError,
  milliseconds,
  type TargetProblem,
  textCodec,
} from '@millrace/core/runtime';
import type { Command } from './command.ts';
import { jsonFields, jsonText } from './json-text.ts';
import { type KeyRow, type KeyTemplate, keyTemplate } from './key-template.ts';

export interface KeyOptions {
  /** How a row's key is made of columns that identify it: `order:<id>`. See `KeyTemplate`. */
  readonly key: string;
  /**
   * `hash` (default): a field for each column, none for NULL. `json`: an object. `string`: the text of one column, no key for NULL. Values are
   * as Postgres prints them; the object has numbers, booleans and JSON as such, where JSON.parse keeps them.
   */
  readonly as?: 'hash' | 'json' | 'string';
  /** For `string`: which column. */
  readonly value?: string;
  /** For `hash` and `json`: these columns beside those of the key; all by default. */
  readonly columns?: readonly string[];
  /** Keys expire so long after they were last written. Never by default. */
  readonly ttl?: Duration;
  /** Sorted sets that lead to the rows, for a `hash` or `json` without a `ttl`. */
  readonly sorted?: readonly SortedSetOptions[];
}

export interface SortedSetOptions {
  /** The key of the set, of any columns that are kept: `orders-of:<customer_id>`; without columns one set for all rows: `orders`. */
  readonly key: string;
  /** A number, or a time in milliseconds since 1970. A row in which it is NULL or NaN is not in the set. */
  readonly score: string;
  /** By default the row's key columns: `<id>`, `<order_id>:<number>`. */
  readonly member?: string;
}

/** Values of one row as text, by column. A column that is not there is not known. */
export type TextRow = Map<string, string | null>;

export interface SortedSet {
  readonly key: KeyTemplate | null;
  readonly text: string;
  readonly glob: string;
  readonly score: string;
  readonly member: KeyTemplate;
}

/** How rows of a table become keys, and keys rows. */
export interface RowForm {
  readonly template: KeyTemplate;
  readonly as: 'hash' | 'json' | 'string';
  readonly value: string | null;
  readonly columns: readonly string[] | null;
  readonly ttlMs: number | null;
  readonly sorted: readonly SortedSet[];
}

/** @throws PIPELINE_INVALID */
export function rowForm(options: KeyOptions): RowForm {
  const { key, as = 'hash', value, columns, ttl, sorted = [] } = options;
  const template = keyTemplate(key);
  const ttlMs = ttl === undefined ? null : Math.ceil(milliseconds(ttl));
  const wrong = problemOf(options, ttlMs);
  if (wrong) throw new MillraceError('PIPELINE_INVALID', { message: `Rows under "${key}": ${wrong.message}`, remedy: wrong.remedy });
  return {
    template,
    as,
    value: value ?? null,
    columns: columns ? [...new Set([...template.columns, ...columns])] : null,
    ttlMs,
    sorted: sorted.map((set) => sortedSet(set, template)),
  };
}

/** All keys of the form, as they were declared. */
export const textsOf = ({ template, sorted }: RowForm): string[] => [template.text, ...sorted.map(({ text }) => text)];

/** True where the rows can be read back as they were. */
export const isWhole = ({ as, columns, ttlMs }: RowForm): boolean => as !== 'string' && columns === null && ttlMs === null;

function problemOf({ as = 'hash', value, columns, sorted = [] }: KeyOptions, ttlMs: number | null): TargetProblem | null {
  if (!['hash', 'json', 'string'].includes(as))
    return { message: `"${as}" is no form of a row.`, remedy: "Use 'hash', 'json' or 'string'." };
  if ((as === 'string') !== (value !== undefined))
    return { message: 'a string is the value of one column, and nothing else is.', remedy: "Write { as: 'string', value: 'column' }." };
  if (as === 'string' && columns) return { message: 'a string has one column.', remedy: 'Leave `columns` out.' };
  if (ttlMs !== null && !(ttlMs >= 1)) return { message: 'they would expire at once.', remedy: 'Give a longer ttl, or none.' };
  if (sorted.length > 0 && (as === 'string' || ttlMs !== null))
    return {
      message: 'sorted sets need rows that stay and can be read back: where a row was before is taken from it.',
      remedy: "Use 'hash' or 'json', and no ttl.",
    };
  return null;
}

function sortedSet({ key, score, member }: SortedSetOptions, of: KeyTemplate): SortedSet {
  const template = key.includes('<') ? keyTemplate(key) : null;
  return {
    key: template,
    text: key,
    glob: template?.glob ?? key.replace(/[*?[\]\\]/g, '\\$&'),
    score,
    member: keyTemplate(member ?? of.columns.map((column) => `<${column}>`).join(':'), 'set'),
  };
}

/** Which of a table's columns are kept. */
export function keptColumns(form: RowForm, columns: readonly ColumnSchema[]): readonly ColumnSchema[] {
  const { template, as, value } = form;
  const names = as === 'string' ? [...template.columns, value as string] : form.columns;
  return names === null ? columns : columns.filter(({ name }) => names.includes(name));
}

/** What a declaration has against the columns that come. */
export function formProblems(form: RowForm, columns: readonly ColumnSchema[], of: string): TargetProblem[] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const kept = new Set(keptColumns(form, columns).map(({ name }) => name));
  const problems: TargetProblem[] = [];
  const wanted: readonly (readonly [what: string, names: readonly string[], kept: boolean])[] = [
    [`the key "${form.template.text}"`, form.template.columns, false],
    ['value', form.value === null ? [] : [form.value], false],
    ['columns', form.columns ?? [], false],
    ...form.sorted.flatMap(({ key, text, score, member }) => [
      [`the sorted set "${text}"`, [...(key?.columns ?? []), ...member.columns, score], true] as const,
    ]),
  ];
  for (const [what, names, mustBeKept] of wanted) {
    for (const name of names) {
      if (!byName.has(name))
        problems.push({
          message: `${of}: ${what} names "${name}", which is not a column.`,
          remedy: `Use one of ${[...byName.keys()].join(', ')}.`,
        });
      else if (mustBeKept && !kept.has(name))
        problems.push({ message: `${of}: ${what} needs "${name}", which is not kept.`, remedy: `Add it to columns.` });
    }
  }
  for (const name of form.template.columns)
    if (byName.get(name)?.nullable)
      problems.push({
        message: `${of}: "${name}" may be NULL, and stands in the key.`,
        remedy: 'Make the key of columns that are never NULL.',
      });
  for (const { score } of form.sorted) {
    const type = byName.get(score)?.type;
    if (type && scoreOf(type) === null)
      problems.push({
        message: `${of}: "${score}" is no number and no time, so nothing can be sorted by it.`,
        remedy: 'Take another column.',
      });
  }
  return problems;
}

/** What puts a row under a key, whatever is there; and takes it away where there is nothing to keep. */
export function putCommands(form: RowForm, kept: readonly ColumnSchema[], key: string, row: TextRow): Command[] {
  const expiry = form.ttlMs === null ? [] : ['PX', String(form.ttlMs)];
  switch (form.as) {
    case 'hash': {
      const fields = kept.flatMap(({ name }) => {
        const text = row.get(name) ?? null;
        return text === null ? [] : [name, text];
      });
      return [['UNLINK', key], ['HSET', key, ...fields], ...(form.ttlMs === null ? [] : [['PEXPIRE', key, String(form.ttlMs)] as const])];
    }
    case 'json':
      return [['SET', key, jsonText(kept, row), ...expiry]];
    case 'string': {
      const text = row.get(form.value as string) ?? null;
      return [text === null ? ['UNLINK', key] : ['SET', key, text, ...expiry]];
    }
    default:
      return form.as satisfies never;
  }
}

/** The words that ask for a key. */
export const askFor = (form: RowForm, key: string): readonly [string, string] => [form.as === 'hash' ? 'HGETALL' : 'GET', key];

/** What was answered, as a row of the columns that are kept; null where the key is not there. */
export function rowOf(form: RowForm, kept: readonly ColumnSchema[], key: string, answer: unknown): TextRow | null {
  if (form.as === 'hash') {
    const words = answer as readonly string[];
    if (words.length === 0) return null;
    const row: TextRow = new Map(kept.map(({ name }) => [name, null]));
    for (let at = 0; at < words.length; at += 2) if (row.has(words[at]!)) row.set(words[at]!, words[at + 1]!);
    return row;
  }
  if (typeof answer !== 'string') return null;
  if (form.as === 'json') return jsonFields(kept, answer);
  return new Map<string, string | null>([...(form.template.match(key) ?? []), [form.value as string, answer]]);
}

/** The places of a row in sorted sets: score by set and member. */
export function placesOf(form: RowForm, columns: ReadonlyMap<string, ColumnType>, row: TextRow | null): Map<string, PlaceInSet> {
  const places = new Map<string, PlaceInSet>();
  if (row === null) return places;
  for (const { key, text, score, member } of form.sorted) {
    const value = row.get(score) ?? null;
    const number = value === null ? null : (scoreOf(columns.get(score) as ColumnType)?.(value) ?? null);
    if (number === null || (key?.columns ?? []).some((name) => (row.get(name) ?? null) === null)) continue;
    const place = { set: key ? key.render(row as KeyRow) : text, member: member.render(row as KeyRow), score: number };
    places.set(JSON.stringify([place.set, place.member]), place);
  }
  return places;
}

export interface PlaceInSet {
  readonly set: string;
  readonly member: string;
  readonly score: string;
}

/** Text of a type as a score, which is a double; null for types that have none. */
function scoreOf(type: ColumnType): ((text: string) => string | null) | null {
  const { kind } = baseType(type);
  switch (kind) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'float4':
    case 'float8':
    case 'numeric':
      return (text) => (text === 'NaN' ? null : /^-?Infinity$/.test(text) ? text.replace('Infinity', 'inf') : String(Number(text)));
    case 'date':
    case 'timestamp':
    case 'timestamptz': {
      const { parse } = textCodec(type);
      return (text) => {
        if (/^-?infinity$/.test(text)) return text.replace('infinity', 'inf');
        const iso = String(parse(text));
        const at = Date.parse(kind === 'timestamp' ? `${iso}Z` : iso);
        return String(Number.isNaN(at) ? farMs(iso) : at);
      };
    }
    default:
      return null;
  }
}

const dayMs = 86_400_000;
/** 400 years have the same days, wherever they begin. */
const era = { years: 400, ms: 146_097 * dayMs };

/** Milliseconds since 1970 of a moment before Christ, or beyond what a Date holds: `4713-01-01 00:00:00+00 BC`. */
function farMs(text: string): number {
  const [, year = '', month = '', day = '', clock = '', fraction = '', before] =
    /^(\d+)-(\d\d)-(\d\d)(?:[ T](\d\d:\d\d:\d\d)(\.\d+)?)?(?:Z|\+00(?::00)?)?( BC)?$/.exec(text) ?? [];
  const astronomical = before ? 1 - Number(year) : Number(year);
  const eras = Math.floor((astronomical - 2000) / era.years);
  const near = Date.parse(`${astronomical - eras * era.years}-${month}-${day}T${clock || '00:00:00'}Z`);
  const at = near + eras * era.ms + Number(fraction || 0) * 1_000;
  if (!Number.isNaN(at)) return at;
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `${JSON.stringify(text)} is no moment that a sorted set can be sorted by.`,
    remedy: 'Take another column as the score.',
  });
}
