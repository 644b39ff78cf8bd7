import { quoteIdentifier } from '../identifier.ts';
import { changed } from './merge.ts';
import { type StagedRows, written } from './staged-rows.ts';

/** The columns that a history keeps beside those of the rows. */
export interface HistoryColumns {
  readonly validFrom: string;
  readonly validTo: string;
  readonly isCurrent: string;
}

/**
 * Slowly changing dimension of type 2, in statements that take the run's logical time as `$1`: a row that changed ends its version at
 * that time and begins another. The same load twice changes nothing, and two loads of one logical time leave one version.
 */
export interface HistoryStatements {
  /** Takes no parameter. */
  readonly prepare: readonly string[];
  /** Answers `later`: rows whose current version began after the logical time, and which this load would change. */
  readonly later: string;
  readonly corrected: string;
  readonly closed: string;
  readonly opened: string;
  /** Of keys that the load does not bring: their versions end. Versions that began at the same time never were. */
  readonly removed: readonly string[];
}

export function historyStatements(
  target: string,
  key: readonly string[],
  history: HistoryColumns,
  rows: StagedRows,
  fresh: string,
): HistoryStatements {
  const { columns, into, values } = written(rows.landing);
  const data = columns.filter((column) => !key.includes(column));
  const [from, to, current] = [history.validFrom, history.validTo, history.isCurrent].map((name) => quoteIdentifier(name)) as [
    string,
    string,
    string,
  ];
  const keys = (alias: string): string => key.map((name) => `${alias}.${quoteIdentifier(name)}`).join(', ');
  const same = key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ');
  const differs = data.length === 0 ? 'false' : changed(data, 't', 'f');
  const time = '$1::timestamptz';
  const absent = `t.${current} AND NOT EXISTS (SELECT FROM ${fresh} AS f WHERE ${same})`;
  return {
    prepare: [
      `LOCK TABLE ${target} IN SHARE ROW EXCLUSIVE MODE`,
      `CREATE TEMP TABLE ${fresh} ON COMMIT DROP AS SELECT ${into} FROM ${target} WITH NO DATA`,
      `INSERT INTO ${fresh} (${into}) SELECT DISTINCT ON (${keys('s')}) ${values} FROM ${rows.from} AS s ORDER BY ${keys('s')}, ${rows.newestFirst}`,
      `ANALYZE ${fresh}`,
    ],
    later: `SELECT count(*) AS later FROM ${target} AS t JOIN ${fresh} AS f ON ${same} WHERE t.${current} AND t.${from} > ${time} AND ${differs}`,
    corrected:
      data.length === 0
        ? `SELECT ${time} WHERE false`
        : `UPDATE ${target} AS t SET ${data.map((name) => `${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(', ')} FROM ${fresh} AS f WHERE ${same} AND t.${current} AND t.${from} = ${time} AND ${differs}`,
    closed: `UPDATE ${target} AS t SET ${to} = ${time}, ${current} = false FROM ${fresh} AS f WHERE ${same} AND t.${current} AND t.${from} < ${time} AND ${differs}`,
    opened: `INSERT INTO ${target} (${into}, ${from}, ${to}, ${current}) OVERRIDING SYSTEM VALUE SELECT ${into}, ${time}, NULL, true FROM ${fresh} AS f WHERE NOT EXISTS (SELECT FROM ${target} AS t WHERE ${same} AND t.${current})`,
    removed: [
      `DELETE FROM ${target} AS t WHERE t.${from} = ${time} AND ${absent}`,
      `UPDATE ${target} AS t SET ${to} = ${time}, ${current} = false WHERE t.${from} < ${time} AND ${absent}`,
    ],
  };
}
