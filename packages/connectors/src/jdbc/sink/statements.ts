import type { Dialect } from '../dialect.ts';

/** Tables and columns as SQL names them. */
export interface Names {
  readonly target: string;
  readonly staged: string;
  /** Those that the rows bring. */
  readonly columns: readonly string[];
  readonly key: readonly string[];
  /** The column that tells which of two rows is newer; null where the later one is. */
  readonly cursor: string | null;
}

/** Counts the rows of a staging table in the order in which they came; no table of a user has such a column. */
export const ordinal = 'millrace_n';

const list = (names: readonly string[], show: (name: string) => string = (name) => name, between = ', '): string =>
  names.map(show).join(between);
const same = (key: readonly string[], a: string, b: string): string => list(key, (name) => `${a}.${name} = ${b}.${name}`, ' AND ');

export const insertSql = ({ target, staged, columns }: Names): string =>
  `INSERT INTO ${target} (${list(columns)}) SELECT ${list(columns)} FROM ${staged}`;

/** Answers how many keys came more than once. */
export const repeatedSql = ({ staged, key }: Names): string =>
  `SELECT COUNT(*) FROM (SELECT COUNT(*) AS times FROM ${staged} GROUP BY ${list(key)} HAVING COUNT(*) > 1) d`;

/** Leaves of each key the newest row: by the cursor, then by the order in which they came. */
export function newestSql({ staged, key, cursor }: Names): string {
  const newest =
    cursor === null
      ? `SELECT MAX(${ordinal}) AS kept FROM ${staged} GROUP BY ${list(key)}`
      : `SELECT MAX(a.${ordinal}) AS kept FROM ${staged} a INNER JOIN (SELECT ${list(key)}, MAX(${cursor}) AS newest FROM ${staged} GROUP BY ${list(key)}) b ON ${same(key, 'a', 'b')} AND (a.${cursor} = b.newest OR b.newest IS NULL) GROUP BY ${list(key, (name) => `a.${name}`)}`;
  // MySQL does not delete from a table that it reads, unless what it has read is a table of its own.
  return `DELETE FROM ${staged} WHERE ${ordinal} NOT IN (SELECT kept FROM (${newest}) d)`;
}

/** Answer a text of the key that the database takes for another one: of two staged rows, and of a staged row and one of the table. */
export const takenForOneSql = ({ target, staged, key }: Names, texts: readonly string[], exact: (column: string) => string): string[] => [
  `SELECT ${list(texts, (name) => `MIN(${name})`)} FROM ${staged} GROUP BY ${list(key)} HAVING ${list(texts, (name) => `MIN(${exact(name)}) <> MAX(${exact(name)})`, ' OR ')}`,
  `SELECT ${list(texts, (name) => `s.${name}`)} FROM ${staged} s INNER JOIN ${target} t ON ${same(key, 't', 's')} WHERE ${list(texts, (name) => `${exact(`s.${name}`)} <> ${exact(`t.${name}`)}`, ' OR ')}`,
];

/** Answers how many rows are there already. */
export const matchedSql = ({ target, staged, key }: Names): string =>
  `SELECT COUNT(*) FROM ${staged} s WHERE EXISTS (SELECT 1 FROM ${target} t WHERE ${same(key, 't', 's')})`;

/** One row for each key is in the staging table now. */
export function upsertSql(names: Names, { upsert, product }: Dialect): string {
  const { target, staged, columns, key } = names;
  const data = columns.filter((name) => !key.includes(name));
  switch (upsert) {
    case 'on conflict': {
      const action = data.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${list(data, (name) => `${name} = excluded.${name}`)}`;
      return `${insertSql(names)} WHERE 1 = 1 ON CONFLICT (${list(key)}) ${action}`;
    }
    case 'on duplicate key': {
      const set = data.length === 0 ? key.slice(0, 1) : data;
      return `${insertSql(names)} ON DUPLICATE KEY UPDATE ${list(set, (name) => `${name} = VALUES(${name})`)}`;
    }
    case 'merge': {
      const matched = data.length === 0 ? '' : ` WHEN MATCHED THEN UPDATE SET ${list(data, (name) => `${name} = s.${name}`)}`;
      const added = ` WHEN NOT MATCHED THEN INSERT (${list(columns)}) VALUES (${list(columns, (name) => `s.${name}`)})`;
      return `MERGE INTO ${target} t USING ${staged} s ON (${same(key, 't', 's')})${matched}${added}${product === 'sqlserver' ? ';' : ''}`;
    }
    default:
      return upsert satisfies never;
  }
}
