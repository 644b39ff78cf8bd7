/** A name as DuckDB reads it: `"order id"`. */
export const ident = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text literal. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** `{'c0': 'VARCHAR', …}` as `read_csv` and `read_json` want their columns. */
export function columnMap(columns: readonly (readonly [name: string, type: string])[]): string {
  return `{${columns.map(([name, type]) => `${literal(name)}: ${literal(type)}`).join(', ')}}`;
}

const mark = '\u001f';

/**
 * An expression that stops the statement and names the value: `failure.ts` reads it back. `why` is one of its keys.
 * DuckDB gives `error()` no type, so it stands wherever a value of any type may stand.
 */
export function refuse(why: Refusal, column: string, type: string, value: string): string {
  const head = `millrace${mark}${why}${mark}${column}${mark}${type}${mark}`;
  return `error(concat(${literal(head)}, left(${value}, 100), ${literal(mark)}))`;
}

/**
 * `unrepresentable`: the format cannot hold it. `mismatch`: it is not of the column's type. `missing`: NULL where none may stand. `line`: the whole row is
 * not what it should be. `unlogged`: whoever wrote the file did not have the value.
 */
export type Refusal = 'unrepresentable' | 'mismatch' | 'missing' | 'line' | 'unlogged';

export const refusalPattern = /millrace\u001f([a-z]+)\u001f([^\u001f]*)\u001f([^\u001f]*)\u001f([\s\S]*?)\u001f/;
