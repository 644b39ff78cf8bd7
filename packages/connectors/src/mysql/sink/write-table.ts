import { type LoadMode, MillraceError } from '@millrace/core/runtime';
import type { Relation } from '../catalog.ts';
import { quoteIdentifier } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session } from '../session.ts';
import type { HistoryColumns } from './history.ts';
import type { Landing, LandingColumn } from './landing.ts';
import { ordinal } from './ordinal.ts';

/** What brings staged rows into the table, within the transaction that commits them. */
export interface Writing {
  readonly session: Session;
  readonly table: Relation;
  /** Quoted. */
  readonly target: string;
  readonly mode: LoadMode;
  readonly key: readonly string[];
  readonly history: HistoryColumns | null;
  /** End the current version of keys that a load of all rows did not bring. */
  readonly closeMissing: boolean;
  /** The run's logical time. */
  readonly time: string;
}

/** Rows that wait in staging tables. */
export interface StagedRows {
  /** Quoted, in the order of the splits. */
  readonly tables: readonly string[];
  readonly landing: Landing;
  /** The column that says which of two rows of one key is newer; then the split and the place in it do. */
  readonly cursor: string | null;
}

export type Changed = Readonly<Record<string, number>>;

/** What a merge or a history uses to hold the newest row of each key: a temporary table of the session. */
const fresh = '`_millrace_fresh`';

const list = (columns: readonly LandingColumn[], show: (quoted: string) => string, between = ', '): string =>
  columns.map(({ quoted }) => show(quoted)).join(between);
const itself = (quoted: string): string => quoted;

/** @throws UNSUPPORTED where the database inserted another number of rows than were staged */
export async function insertRows(
  session: Session,
  target: string,
  { tables, landing: { columns } }: StagedRows,
  staged: number,
): Promise<Changed> {
  let inserted = 0;
  for (const table of tables) {
    const { affected } = await session.execute(
      `INSERT INTO ${target} (${list(columns, itself)}) SELECT ${list(columns, (name) => `s.${name}`)} FROM ${table} AS s ORDER BY s.${ordinal}`,
      target,
    );
    inserted += affected;
  }
  if (inserted === staged) return { inserted };
  throw new MillraceError('UNSUPPORTED', {
    message: `${staged} rows were staged for ${target}, and it took ${inserted}.`,
    remedy: 'Look for a trigger on the table that swallows rows.',
    facts: { staged, inserted },
  });
}

/**
 * Outside the transaction, for it makes a table: the newest staged row of each key, keys compared as the target compares them.
 *
 * @throws TYPE_MISMATCH where the target takes two keys for one
 */
export async function prepareFresh(session: Session, rows: StagedRows, key: readonly string[], target: string): Promise<void> {
  const { tables, landing } = rows;
  const { columns } = landing;
  await session.execute(`DROP TEMPORARY TABLE IF EXISTS ${fresh}`);
  // What is part of a primary key must not be NULL, and a timestamp then has a default that all servers take.
  const definitions = columns.map(({ name, quoted, definition, target: { dataType, sqlType } }) =>
    dataType === 'timestamp' && key.includes(name) ? `${quoted} ${sqlType} NOT NULL DEFAULT '1970-01-01 00:00:01'` : definition,
  );
  await session.execute(
    `CREATE TEMPORARY TABLE ${fresh} (${definitions.join(', ')}, PRIMARY KEY (${key.map(quoteIdentifier).join(', ')})) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
  );
  if (tables.length === 0) return;
  const all = tables
    .map((table, part) => `SELECT ${part} AS \`__millrace_part\`, ${ordinal}, ${list(columns, itself)} FROM ${table}`)
    .join(' UNION ALL ');
  await assertKeysApart(
    session,
    target,
    looseKeys(columns, key),
    (loose) =>
      `SELECT ${loose.map(({ quoted }, at) => `HEX(MIN(${bytes(quoted)})) AS key_${at}`).join(', ')} FROM (${all}) AS staged GROUP BY ${key.map(quoteIdentifier).join(', ')}
       HAVING ${list(loose, (name) => `MIN(${bytes(name)}) <> MAX(${bytes(name)})`, ' OR ')} LIMIT 1`,
  );
  // A function may have left the cursor out of its rows.
  const cursor = columns.find(({ name }) => name === rows.cursor);
  const newest = [...(cursor ? [`${cursor.quoted} IS NULL`, `${cursor.quoted} DESC`] : []), '`__millrace_part` DESC', `${ordinal} DESC`];
  await session.execute(
    `INSERT INTO ${fresh} (${list(columns, itself)}) SELECT ${list(columns, itself)} FROM (
       SELECT ${list(columns, itself)}, ROW_NUMBER() OVER (PARTITION BY ${key.map(quoteIdentifier).join(', ')} ORDER BY ${newest.join(', ')}) AS \`__millrace_place\` FROM (${all}) AS staged
     ) AS placed WHERE \`__millrace_place\` = 1`,
  );
}

const bytes = (expression: string): string => `CAST(${expression} AS BINARY)`;

/** Columns of the key that compare otherwise than by their bytes: `a` may be `A` there, or `a` with a blank at its end. */
const looseKeys = (columns: readonly LandingColumn[], key: readonly string[]): LandingColumn[] =>
  columns.filter(
    ({ name, target: { charset, collation } }) => key.includes(name) && charset !== null && !/_(0900|nopad)_bin$/.test(collation ?? ''),
  );

/** `clash` finds a row whose key has other bytes than one that it is equal to, its columns in hex. */
async function assertKeysApart(
  session: Session,
  target: string,
  loose: readonly LandingColumn[],
  clash: (loose: readonly LandingColumn[]) => string,
): Promise<void> {
  if (loose.length === 0) return;
  const [found] = await session.query(clash(loose), target);
  if (!found) return;
  const shown = loose.map((_, at) => JSON.stringify(Buffer.from(found[`key_${at}`] ?? '', 'hex').toString())).join(', ');
  const collations = loose.map(({ name, target: { collation } }) => `"${name}" by ${collation}`).join(', ');
  throw new MillraceError('TYPE_MISMATCH', {
    message: `${target} compares ${collations}, so it takes the key ${shown} and another one of other letters or blanks for one and the same.`,
    remedy: `Give the columns of the key a collation that tells all texts apart: ${session.server.flavour === 'mysql' ? 'utf8mb4_0900_bin' : 'utf8mb4_nopad_bin'}.`,
    facts: { object: target, columns: loose.map(({ name }) => name) },
  });
}

/** Before rows of `prepareFresh` are written over those that they are equal to by the key. @throws TYPE_MISMATCH */
async function assertSameKeys(session: Session, target: string, columns: readonly LandingColumn[], key: readonly string[]): Promise<void> {
  const same = key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ');
  await assertKeysApart(
    session,
    target,
    looseKeys(columns, key),
    (loose) =>
      `SELECT ${loose.map(({ quoted }, at) => `HEX(f.${quoted}) AS key_${at}`).join(', ')} FROM ${fresh} AS f JOIN ${target} AS t ON ${same}
       WHERE ${list(loose, (name) => `${bytes(`t.${name}`)} <> ${bytes(`f.${name}`)}`, ' OR ')} LIMIT 1 FOR UPDATE`,
  );
}

/**
 * Writes the rows of `prepareFresh`: inserts what is not there, updates what has changed; a row that is equal to the last bit is left
 * alone by the server. Where a unique index beside the key could catch a row, it is not allowed to choose which row is updated.
 */
export async function mergeRows({ session, table, target, key }: Writing, { landing: { columns } }: StagedRows): Promise<Changed> {
  const data = columns.filter(({ name }) => !key.includes(name));
  await assertSameKeys(session, target, columns, key);
  const [counted] = await session.query(`SELECT COUNT(*) AS total FROM ${fresh}`);
  const total = Number(counted?.['total']);
  const [only] = table.uniqueKeys;
  if (only && table.uniqueIndexes === 1 && sameColumns(only, key)) {
    const columnOf = (quoted: string): string => `${target}.${quoted}`;
    const first = quoteIdentifier(key[0] ?? '');
    const set = data.length === 0 ? `${columnOf(first)} = ${columnOf(first)}` : list(data, (name) => `${columnOf(name)} = f.${name}`);
    const { affected, info } = await session.execute(
      `INSERT INTO ${target} (${list(columns, itself)}) SELECT ${list(columns, (name) => `f.${name}`)} FROM ${fresh} AS f ON DUPLICATE KEY UPDATE ${set}`,
      target,
    );
    const updated = Number(/Duplicates: (\d+)/.exec(info)?.[1] ?? 0);
    const inserted = affected - 2 * updated;
    return { inserted, updated, unchanged: total - inserted - updated };
  }
  const same = key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ');
  const updated =
    data.length === 0
      ? 0
      : (
          await session.execute(
            `UPDATE ${target} AS t JOIN ${fresh} AS f ON ${same} SET ${list(data, (name) => `t.${name} = f.${name}`)}`,
            target,
          )
        ).affected;
  const { affected: inserted } = await session.execute(
    `INSERT INTO ${target} (${list(columns, itself)}) SELECT ${list(columns, (name) => `f.${name}`)} FROM ${fresh} AS f LEFT JOIN ${target} AS t ON ${same} WHERE t.${quoteIdentifier(key[0] ?? '')} IS NULL`,
    target,
  );
  return { inserted, updated, unchanged: total - inserted - updated };
}

export const sameColumns = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((column) => other.includes(column));

/** Puts the staged rows in the place of all that are there, row by row in one transaction: readers see the old ones until it ends. */
export async function refillRows(writing: Writing, rows: StagedRows, staged: number): Promise<Changed> {
  const { affected: deleted } = await writing.session.execute(`DELETE FROM ${writing.target}`, writing.target);
  return { ...(await insertRows(writing.session, writing.target, rows, staged)), deleted };
}

/**
 * Slowly changing dimension of type 2: a row that changed ends its version at the run's logical time and begins another. The same load
 * twice changes nothing, and two loads of one logical time leave one version.
 *
 * @throws CHECKPOINT_MOVED where the history already knows a later state of a row
 */
export async function writeHistory(
  { session, target, key, history, closeMissing, time: at }: Writing,
  { landing: { columns } }: StagedRows,
): Promise<Changed> {
  if (!history) throw new Error('A history has columns.');
  const data = columns.filter(({ name }) => !key.includes(name));
  const [from, to, current] = [history.validFrom, history.validTo, history.isCurrent].map(quoteIdentifier) as [string, string, string];
  const same = key.map((name) => `t.${quoteIdentifier(name)} = f.${quoteIdentifier(name)}`).join(' AND ');
  const differs = data.length === 0 ? 'FALSE' : `NOT (${data.map((column) => equal(column)).join(' AND ')})`;
  const time = `CAST(${literal(at.replace('T', ' ').replace(/Z$/, ''))} AS DATETIME(6))`;
  const affected = async (statement: string): Promise<number> => (await session.execute(statement, target)).affected;
  await assertSameKeys(session, target, columns, key);
  const [{ later = '0' } = {}] = await session.query(
    `SELECT COUNT(*) AS later FROM ${target} AS t JOIN ${fresh} AS f ON ${same} WHERE t.${current} AND t.${from} > ${time} AND ${differs}`,
  );
  if (later !== '0') {
    throw new MillraceError('CHECKPOINT_MOVED', {
      message: `${target} already has ${later} versions that began after ${at}, the time this run is for, and that this load would change.`,
      remedy: 'A history only grows at its end. Run the pipeline for a later time, or empty the table and load the history in order.',
      facts: { later: Number(later), time: at },
    });
  }
  const corrected =
    data.length === 0
      ? 0
      : await affected(
          `UPDATE ${target} AS t JOIN ${fresh} AS f ON ${same} SET ${list(data, (name) => `t.${name} = f.${name}`)} WHERE t.${current} AND t.${from} = ${time} AND ${differs}`,
        );
  const closed = await affected(
    `UPDATE ${target} AS t JOIN ${fresh} AS f ON ${same} SET t.${to} = ${time}, t.${current} = 0 WHERE t.${current} AND t.${from} < ${time} AND ${differs}`,
  );
  const inserted = await affected(
    `INSERT INTO ${target} (${list(columns, itself)}, ${from}, ${to}, ${current}) SELECT ${list(columns, (name) => `f.${name}`)}, ${time}, NULL, 1 FROM ${fresh} AS f
     WHERE NOT EXISTS (SELECT 1 FROM ${target} AS t WHERE ${same} AND t.${current})`,
  );
  if (!closeMissing) return { inserted, closed, corrected };
  const absent = `t.${current} AND NOT EXISTS (SELECT 1 FROM ${fresh} AS f WHERE ${same})`;
  // Versions that began at the same time never were.
  const undone = await affected(`DELETE t FROM ${target} AS t WHERE t.${from} = ${time} AND ${absent}`);
  const ended = await affected(`UPDATE ${target} AS t SET t.${to} = ${time}, t.${current} = 0 WHERE t.${from} < ${time} AND ${absent}`);
  return { inserted, closed: closed + undone + ended, corrected };
}

/** NULL equals NULL, and text its bytes: a collation may take `a` for `A`. */
function equal({ quoted, target: { charset, dataType } }: LandingColumn): string {
  const side = (alias: string): string => {
    if (charset !== null) return `CAST(${alias}.${quoted} AS BINARY)`;
    return dataType === 'json' ? `CAST(${alias}.${quoted} AS CHAR)` : `${alias}.${quoted}`;
  };
  return `${side('t')} <=> ${side('f')}`;
}
