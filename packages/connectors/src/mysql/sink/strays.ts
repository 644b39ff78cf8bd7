import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { Relation } from '../catalog.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import type { Session, TextRow } from '../session.ts';
import type { Landing } from './landing.ts';
import { ordinal } from './ordinal.ts';

/** A row that a constraint of the table refuses: its place among those that came since the last look. */
export interface Stray {
  readonly place: number;
  readonly error: MillraceError;
}

/** Takes such rows out of the staging table. */
export type StrayFinder = () => Promise<Stray[]>;

/**
 * Rows in a staging table that break a foreign key or a check of the target: it has none of them, and the INSERT at the end could only fail
 * as a whole. A table that points at itself may get what is missing with the same load, so that is left to the end. Null where there is
 * nothing to look at.
 */
export async function strayFinder(session: Session, staging: string, table: Relation, landing: Landing): Promise<StrayFinder | null> {
  const loaded = new Set(landing.columns.map(({ name }) => name));
  const rules = [...(await foreignKeys(session, table, staging)), ...(await checks(session, table))].filter(({ columns }) =>
    columns.every((column) => loaded.has(column)),
  );
  if (rules.length === 0) return null;
  let after = '0';
  return async () => {
    const since = `FROM ${staging} WHERE ${ordinal} > ${after}`;
    const found = new Map<string, MillraceError>();
    for (const { broken, error } of rules) {
      for (const row of await seen(session, `SELECT ${ordinal} AS ordinal ${since} AND ${broken}`)) found.set(row['ordinal'] ?? '', error);
    }
    const strays: Stray[] = [];
    if (found.size > 0) {
      const rows = await session.query(`SELECT ${ordinal} AS ordinal ${since} ORDER BY ${ordinal}`);
      for (const [place, row] of rows.entries()) {
        const error = found.get(row['ordinal'] ?? '');
        if (error) strays.push({ place, error });
      }
    }
    const [last] = await session.query(`SELECT COALESCE(MAX(${ordinal}), ${after}) AS ordinal FROM ${staging}`);
    after = last?.['ordinal'] ?? after;
    if (found.size > 0) await session.execute(`DELETE FROM ${staging} WHERE ${ordinal} IN (${[...found.keys()].join(', ')})`);
    return strays;
  };
}

/** Nothing, where this user may not read what the rows point at: then the end tells. */
async function seen(session: Session, query: string): Promise<TextRow[]> {
  try {
    return await session.query(query);
  } catch (error) {
    if (session.ended || !isMillraceError(error) || error.code !== 'ACCESS_DENIED') throw error;
    return [];
  }
}

interface Rule {
  readonly columns: readonly string[];
  /** A condition on columns of the staging table that holds for rows which break the rule. */
  readonly broken: string;
  readonly error: MillraceError;
}

/** A row with a NULL in its key points nowhere and is let in. */
async function foreignKeys(session: Session, { database, name: table }: Relation, staging: string): Promise<Rule[]> {
  const rows = await session.query(
    `SELECT constraint_name AS name, column_name AS column_, referenced_table_schema AS db, referenced_table_name AS other, referenced_column_name AS theirs
     FROM information_schema.key_column_usage WHERE table_schema = ${literal(database)} AND table_name = ${literal(table)} AND referenced_table_name IS NOT NULL
     ORDER BY constraint_name, ordinal_position`,
  );
  const names = [...new Set(rows.map((row) => row['name'] ?? ''))];
  return names.flatMap((name): Rule[] => {
    const parts = rows.filter((row) => row['name'] === name);
    const refersTo = { database: parts[0]?.['db'] ?? null, name: parts[0]?.['other'] ?? '' };
    if (refersTo.database === database && refersTo.name === table) return [];
    const columns = parts.map((row) => row['column_'] ?? '');
    const there = columns.map((column) => `${quoteIdentifier(column)} IS NOT NULL`).join(' AND ');
    const same = parts
      .map((row) => `\`__millrace_theirs\`.${quoteIdentifier(row['theirs'] ?? '')} = ${staging}.${quoteIdentifier(row['column_'] ?? '')}`)
      .join(' AND ');
    const broken = `${there} AND NOT EXISTS (SELECT 1 FROM ${quoteName(refersTo)} AS \`__millrace_theirs\` WHERE ${same})`;
    const error = refused(
      name,
      `breaks the foreign key "${name}" of ${database}.${table}: what it points at in ${refersTo.database}.${refersTo.name} is not there`,
    );
    return [{ columns, broken, error }];
  });
}

async function checks(session: Session, { database, name: table }: Relation): Promise<Rule[]> {
  const clauses =
    session.server.flavour === 'mariadb'
      ? await clausesOfMariaDb(session, database, table)
      : await clausesOfMysql(session, { database, name: table });
  return clauses.map(({ name, clause }) => ({
    columns: [...clause.matchAll(/`((?:[^`]|``)+)`/g)].map(([, column = '']) => column.replaceAll('``', '`')),
    broken: `NOT (${clause})`,
    error: refused(name, `breaks the check "${name}" of ${database}.${table}: ${clause}`),
  }));
}

interface Clause {
  readonly name: string;
  readonly clause: string;
}

async function clausesOfMariaDb(session: Session, database: string, table: string): Promise<Clause[]> {
  const rows = await session.query(
    `SELECT constraint_name AS name, check_clause AS clause FROM information_schema.check_constraints WHERE constraint_schema = ${literal(database)} AND table_name = ${literal(table)}`,
  );
  return rows.map((row) => ({ name: row['name'] ?? '', clause: row['clause'] ?? '' }));
}

/** Its catalog has the clauses with their quotes escaped, SHOW CREATE as they are: each on a line of its own. */
async function clausesOfMysql(session: Session, table: { readonly database: string; readonly name: string }): Promise<Clause[]> {
  const [row] = await session.query(`SHOW CREATE TABLE ${quoteName(table)}`);
  const found = (row?.['Create Table'] ?? '').matchAll(
    /^ {2}CONSTRAINT `((?:[^`]|``)+)` CHECK \((.*?)\)( \/\*!80016 NOT ENFORCED \*\/)?,?$/gm,
  );
  return [...found].flatMap(([, name = '', clause = '', off]) => (off ? [] : [{ name: name.replaceAll('``', '`'), clause }]));
}

const refused = (constraint: string, what: string): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: `The row ${what}.`,
    remedy: 'Correct the row, or load what it points at first; with onBadRow such rows can be set aside.',
    facts: { constraint },
  });
