import { quoteIdentifier } from '../identifier.ts';
import { type StagedRows, written } from './staged-rows.ts';
import { hasUniqueKey, type RealTable } from './table-columns.ts';

/** How rows are found and told apart. */
export interface MergePlan {
  /** Statements that run in order; the last one answers `inserted` and `updated`. */
  readonly statements: readonly string[];
}

const all = (names: readonly string[], show: (name: string) => string, between: string): string => names.map(show).join(between);

/**
 * Writes the newest staged row of each key: inserts what is not there, updates what has changed, leaves what is equal alone.
 *
 * Equal means equal to the last bit (`*<>` compares records as they are stored), so `1.0` and `1.00` differ, NULL equals NULL,
 * and types without an equality of their own (json, point) are no exception.
 */
export function mergeStatements(
  table: RealTable,
  target: string,
  key: readonly string[],
  rows: StagedRows,
  fresh: string,
): readonly string[] {
  const { columns, into, values } = written(rows.landing);
  const data = columns.filter((column) => !key.includes(column));
  const newest = `SELECT DISTINCT ON (${all(key, (name) => `s.${quoteIdentifier(name)}`, ', ')}) ${values} FROM ${rows.from} AS s ORDER BY ${all(key, (name) => `s.${quoteIdentifier(name)}`, ', ')}, ${rows.newestFirst}`;
  if (hasUniqueKey(table, key) && !table.partitioned) {
    const action =
      data.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${assignments(data, 'excluded')} WHERE ${changed(data, 't', 'excluded')}`;
    const same = all(key, (name) => `x.${quoteIdentifier(name)} = n.${quoteIdentifier(name)}`, ' AND ');
    const [first = ''] = key;
    // ON CONFLICT locks each row that it finds, which writes it; a look before it leaves those alone that are equal.
    const differing = landsAsStored(table, rows)
      ? `SELECT ${all(columns, (name) => `n.${quoteIdentifier(name)}`, ', ')} FROM (${newest}) AS n (${into}) LEFT JOIN ${target} AS x ON ${same} WHERE x.${quoteIdentifier(first)} IS NULL OR ${data.length === 0 ? 'false' : changed(data, 'x', 'n')}`
      : newest;
    return [
      // A row that this statement inserted has no xmax; one that it updated carries the lock that ON CONFLICT took.
      `WITH written AS (INSERT INTO ${target} AS t (${into}) OVERRIDING SYSTEM VALUE ${differing} ON CONFLICT (${all(key, quoteIdentifier, ', ')}) ${action} RETURNING (t.xmax = 0) AS inserted)
       SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated FROM written`,
    ];
  }
  // Without an index that holds keys apart, only the lock keeps another writer from inserting the same key.
  const same = all(key, (name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`, ' AND ');
  const update =
    data.length === 0
      ? 'SELECT 0 WHERE false'
      : `UPDATE ${target} AS t SET ${assignments(data, 'f')} FROM ${fresh} AS f WHERE ${same} AND ${changed(data, 't', 'f')} RETURNING 1`;
  return [
    `LOCK TABLE ${target} IN SHARE ROW EXCLUSIVE MODE`,
    `CREATE TEMP TABLE ${fresh} ON COMMIT DROP AS SELECT ${into} FROM ${target} WITH NO DATA`,
    `INSERT INTO ${fresh} (${into}) ${newest}`,
    `ANALYZE ${fresh}`,
    `WITH changed AS (${update}),
     added AS (INSERT INTO ${target} (${into}) OVERRIDING SYSTEM VALUE SELECT ${into} FROM ${fresh} AS f WHERE NOT EXISTS (SELECT FROM ${target} AS t WHERE ${same}) RETURNING 1)
     SELECT (SELECT count(*) FROM added) AS inserted, (SELECT count(*) FROM changed) AS updated`,
  ];
}

/** Records can be compared only where their columns are of the same types. */
function landsAsStored(table: RealTable, { landing }: StagedRows): boolean {
  const stored = new Map(table.columns.map(({ name, sqlType }) => [name, sqlType]));
  return landing.columns.every(({ name, sqlType, value }) => value === null || stored.get(name) === sqlType);
}

const assignments = (columns: readonly string[], from: string): string =>
  all(columns, (name) => `${quoteIdentifier(name)} = ${from}.${quoteIdentifier(name)}`, ', ');

/** Without the casts the parser would take the two for a comparison column by column, which json and its like do not have. */
export function changed(columns: readonly string[], left: string, right: string): string {
  const record = (alias: string): string => `ROW(${all(columns, (name) => `${alias}.${quoteIdentifier(name)}`, ', ')})::record`;
  return `${record(left)} *<> ${record(right)}`;
}
