import { MillraceError, type RowSchema, type RunValue, type Table } from '@millrace/core/runtime';
import { type JsonPath, parsePath } from './json/path.ts';
import { type Pages, singlePage } from './pages.ts';
import type { FieldPlace } from './record-reader.ts';
import type { SinceOptions } from './since.ts';
import type { StandardSchema } from './standard-schema.ts';

export type ParameterValue = string | number | boolean | RunValue;

type ColumnOf<T extends Table> = keyof T['declared'] & string;

export interface RowsOptions<T extends Table = Table> {
  /** Parameters of the query: `{ status: 'any', day: run.date }`; a list sends the parameter several times. */
  readonly query?: Readonly<Record<string, ParameterValue | readonly ParameterValue[]>>;
  /** What stands for `{name}` in the path. */
  readonly path?: Readonly<Record<string, ParameterValue>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of an API that is asked by POST: the body, as JSON. Parameters of pages and windows then stand in it, at its first level. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Where in the answer the list of records is: `'data.items'`. The answer itself by default. */
  readonly records?: JsonPath;
  /** An answer without that list has no records; otherwise it is an error, for many APIs report errors so. */
  readonly mayBeAbsent?: boolean;
  /** A list within each record whose elements are the rows: `'lines'`. */
  readonly each?: JsonPath;
  /** Where the value of a column is, where it is not at the first level under the column's name: `{ city: 'address.city' }`; with `each` also in the record around: `{ order_id: '../id' }`. */
  readonly fields?: { readonly [Column in ColumnOf<T>]?: JsonPath };
  /** Validates and shapes each record (each element, with `each`) in place of `fields`: any Standard Schema, such as Zod's. */
  readonly schema?: StandardSchema<{ readonly [Column in ColumnOf<T>]?: unknown }>;
  /** How the listing is read to its end. */
  readonly pages?: Pages;
  /** How the API is told of the window, of a step that reads `since` a column. Without it everything is read, and what is not in the window left out. */
  readonly since?: SinceOptions;
  /** 100,000 by default. */
  readonly maxPages?: number;
  /** Of a page, uncompressed. 1 GB by default. */
  readonly maxPageBytes?: number;
  /** 32 MB by default: memory holds a record as a whole. */
  readonly maxRecordBytes?: number;
}

/** What `RowsOptions` says, settled. */
export interface Reading {
  readonly path: string;
  readonly options: RowsOptions;
  readonly records: readonly string[];
  readonly each: readonly string[] | null;
  readonly fields: readonly FieldPlace[];
  /** Rows that come twice can be told. */
  readonly hasKey: boolean;
  readonly pages: Pages;
}

/** @throws PIPELINE_INVALID */
export function readingOf(path: string, schema: RowSchema, options: RowsOptions): Reading {
  const { each, fields = {}, schema: shape } = options;
  if (shape && Object.keys(fields).length > 0)
    throw invalid(path, 'fields and schema cannot be used together', 'Let the schema name the columns.');
  const alien = Object.keys(fields).find((name) => !schema.columns.some((column) => column.name === name));
  if (alien !== undefined) throw invalid(path, `fields names "${alien}", which is not a column`, 'Use the columns of the table().');
  for (const name of placeholders(path))
    if (!Object.hasOwn(options.path ?? {}, name)) throw invalid(path, `nothing stands for {${name}}`, `Give it with path: { ${name}: … }.`);
  return {
    path,
    options,
    records: parsePath(options.records ?? ''),
    each: each === undefined ? null : parsePath(each),
    fields: schema.columns.map(({ name }) =>
      placeOf(path, (fields as Readonly<Record<string, JsonPath>>)[name] ?? [name], each !== undefined),
    ),
    hasKey: schema.key !== undefined,
    pages: options.pages ?? singlePage(),
  };
}

export const placeholders = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);

function placeOf(path: string, field: JsonPath, hasEach: boolean): FieldPlace {
  const outer = typeof field === 'string' ? field.startsWith('../') : field[0] === '..';
  if (outer && !hasEach) throw invalid(path, `"${String(field)}" leads out of the record`, 'Leave "../" out, or name a list with each.');
  return { path: parsePath(outer ? (typeof field === 'string' ? field.slice(3) : field.slice(1)) : field), outer };
}

const invalid = (path: string, why: string, remedy: string): MillraceError =>
  new MillraceError('PIPELINE_INVALID', { message: `rows of "${path}": ${why}.`, remedy });
