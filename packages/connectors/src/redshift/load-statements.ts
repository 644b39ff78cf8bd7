import type { HistoryColumns } from '../postgres/sink/history.ts';
import { quote } from './name.ts';

/** A table to write to, as these statements need it. */
export interface Written {
  /** Quoted, with its schema. */
  readonly table: string;
  /** Columns that the rows bring, in one order everywhere. */
  readonly columns: readonly string[];
  readonly key: readonly string[];
  /** How a column is compared: types without `<>` go through a function. */
  readonly comparable: (column: string, reference: string) => string;
}

/**
 * What Redshift and Postgres both understand: no ON CONFLICT, no aliases of the table that is written, no TRUNCATE, which commits in
 * Redshift. The rows of the load stand in `fresh`, one for each key.
 */
const list = (columns: readonly string[]): string => columns.map((column) => quote(column)).join(', ');

/** The newest row of each key. `newest` orders those of one key; `rows` is a query. */
export function freshStatement(fresh: string, rows: string, { columns, key }: Written, newest: string): string {
  return `CREATE TEMP TABLE ${fresh} AS SELECT ${list(columns)} FROM (SELECT s.*, row_number() OVER (PARTITION BY ${list(key)} ORDER BY ${newest}) AS millrace_rank FROM (${rows}) AS s) AS ranked WHERE millrace_rank = 1`;
}

export const keylessStatement = (fresh: string, { key }: Written): string =>
  `SELECT count(*) AS keyless FROM ${fresh} WHERE ${key.map((column) => `${quote(column)} IS NULL`).join(' OR ')}`;

export const appendStatement = (rows: string, { table, columns }: Written): string =>
  `INSERT INTO ${table} (${list(columns)}) SELECT ${list(columns)} FROM (${rows}) AS s`;

export const emptyStatement = ({ table }: Written): string => `DELETE FROM ${table}`;

/** The first, where there is one, updates what has changed; the second inserts what is not there. */
export function mergeStatements(fresh: string, written: Written): { readonly update: string | null; readonly insert: string } {
  const { table, columns, key } = written;
  const data = columns.filter((column) => !key.includes(column));
  const same = sameKey(written);
  return {
    update:
      data.length === 0
        ? null
        : `UPDATE ${table} SET ${data.map((column) => `${quote(column)} = f.${quote(column)}`).join(', ')} FROM ${fresh} AS f WHERE ${same} AND (${differs(written, data)})`,
    insert: `INSERT INTO ${table} (${list(columns)}) SELECT ${columns.map((column) => `f.${quote(column)}`).join(', ')} FROM ${fresh} AS f WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE ${same})`,
  };
}

export interface HistoryStatements {
  readonly later: string;
  readonly corrected: string | null;
  readonly closed: string | null;
  readonly opened: string;
  readonly removed: readonly string[];
}

/** Versions by time, as in `postgres/sink/history.ts`. `time` is a literal of the run's logical time. */
export function historyStatements(fresh: string, written: Written, history: HistoryColumns, time: string): HistoryStatements {
  const { table, columns, key } = written;
  const data = columns.filter((column) => !key.includes(column));
  const [from, to, current] = [history.validFrom, history.validTo, history.isCurrent].map((column) => quote(column)) as [
    string,
    string,
    string,
  ];
  const same = sameKey(written);
  const changed = differs(written, data);
  const at = `CAST(${time} AS timestamptz)`;
  const absent = `${table}.${current} AND NOT EXISTS (SELECT 1 FROM ${fresh} AS f WHERE ${same})`;
  return {
    later: `SELECT count(*) AS later FROM ${table} JOIN ${fresh} AS f ON ${same} WHERE ${table}.${current} AND ${table}.${from} > ${at} AND (${changed})`,
    corrected:
      data.length === 0
        ? null
        : `UPDATE ${table} SET ${data.map((column) => `${quote(column)} = f.${quote(column)}`).join(', ')} FROM ${fresh} AS f WHERE ${same} AND ${table}.${current} AND ${table}.${from} = ${at} AND (${changed})`,
    closed:
      data.length === 0
        ? null
        : `UPDATE ${table} SET ${to} = ${at}, ${current} = false FROM ${fresh} AS f WHERE ${same} AND ${table}.${current} AND ${table}.${from} < ${at} AND (${changed})`,
    opened: `INSERT INTO ${table} (${list(columns)}, ${from}, ${to}, ${current}) SELECT ${columns.map((column) => `f.${quote(column)}`).join(', ')}, ${at}, CAST(NULL AS timestamptz), true FROM ${fresh} AS f WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE ${same} AND ${table}.${current})`,
    removed: [
      `DELETE FROM ${table} WHERE ${table}.${from} = ${at} AND ${absent}`,
      `UPDATE ${table} SET ${to} = ${at}, ${current} = false WHERE ${table}.${from} < ${at} AND ${absent}`,
    ],
  };
}

const sameKey = ({ table, key }: Written): string => key.map((column) => `${table}.${quote(column)} = f.${quote(column)}`).join(' AND ');

/** NULL equals NULL here. */
function differs({ table, comparable }: Written, data: readonly string[]): string {
  if (data.length === 0) return 'false';
  return data
    .map((column) => {
      const [left, right] = [`${table}.${quote(column)}`, `f.${quote(column)}`];
      return `${comparable(column, left)} <> ${comparable(column, right)} OR (${left} IS NULL) <> (${right} IS NULL)`;
    })
    .join(' OR ');
}
