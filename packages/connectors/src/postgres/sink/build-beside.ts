import { createHash } from 'node:crypto';
import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { dependentsOf } from './dependents.ts';
import { passing } from './failpoints.ts';
import type { RealTable } from './table-columns.ts';

/** A table that is filled beside another one and then takes its place, all in one transaction. */
export interface Beside {
  readonly table: RealTable;
  readonly name: string;
  /** Quoted, with the schema. */
  readonly quoted: string;
}

/** How long a statement of the swap waits for readers of the old table, and how often it asks. Waiting longer would hold up readers behind it. */
const lockWait = '5s';
const lockAttempts = 12;

/** Columns, defaults, checks, comments and storage are there at once; indexes and keys come when the rows are in. */
export async function buildBeside(session: Session, table: RealTable, loadId: string): Promise<Beside> {
  const name = `${cut(table.name, 30)}__load_${short(loadId)}`;
  const quoted = quoteName({ schema: table.schema, name });
  await session.execute(
    `CREATE TABLE ${quoted} (LIKE ${quoteName(table)} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)`,
    [],
    `a table beside ${table.schema}.${table.name}`,
  );
  return { table, name, quoted };
}

/** An index or constraint that the new table has under a name of its own, and the name it is to have. */
export interface Made {
  readonly kind: 'CONSTRAINT' | 'INDEX';
  readonly from: string;
  readonly to: string;
}

/** Makes the table's keys and indexes, those that are `wanted`, on the one beside it. */
export async function makeIndexes(session: Session, beside: Beside, wanted: (one: Carried) => boolean): Promise<Made[]> {
  const { table, quoted } = beside;
  const made: Made[] = [];
  for (const one of (await whatToCarry(session, table.oid)).filter(wanted)) {
    const name = `${cut(one.name, 40)}__${short(`${beside.name} ${one.name}`)}`;
    if (one.kind === 'index')
      await session.execute(`CREATE ${one.unique ? 'UNIQUE ' : ''}INDEX ${quoteIdentifier(name)} ON ${quoted} ${one.definition}`);
    else await session.execute(`ALTER TABLE ${quoted} ADD CONSTRAINT ${quoteIdentifier(name)} ${one.definition}`);
    if (one.comment !== null) {
      const object =
        one.kind === 'index' ? `INDEX ${quoteName({ schema: table.schema, name })}` : `CONSTRAINT ${quoteIdentifier(name)} ON ${quoted}`;
      await session.execute(`COMMENT ON ${object} IS ${literal(one.comment)}`);
    }
    made.push({ kind: one.kind === 'index' ? 'INDEX' : 'CONSTRAINT', from: name, to: one.name });
  }
  return made;
}

/**
 * Makes the filled table the one that everybody sees: keys, indexes, privileges, comments and sequences come along. `early` were made before.
 */
export async function swapIn(
  session: Session,
  beside: Beside,
  pause: (ms: number) => Promise<void>,
  early: readonly Made[] = [],
): Promise<void> {
  const { table, quoted } = beside;
  const old = quoteName(table);
  const carried = await whatToCarry(session, table.oid);
  if (early.some(({ to }) => !carried.some(({ name }) => name === to))) throw altered(table);
  const made = [...early, ...(await makeIndexes(session, beside, ({ name }) => !early.some(({ to }) => to === name)))];
  for (const statement of await ownership(session, table, quoted)) await session.execute(statement);
  await session.execute(`ANALYZE ${quoted}`);
  passing('postgres.replace.indexed');

  await lockOut(session, old, pause);
  await unchanged(session, table, carried);
  const sequences = await sequencesOf(session, table, beside);
  for (const statement of sequences.before) await session.execute(statement);
  await session.execute(`DROP TABLE ${old}`);
  await session.execute(`ALTER TABLE ${quoted} RENAME TO ${quoteIdentifier(table.name)}`);
  for (const { kind, from, to } of made) {
    if (kind === 'INDEX')
      await session.execute(`ALTER INDEX ${quoteName({ schema: table.schema, name: from })} RENAME TO ${quoteIdentifier(to)}`);
    else await session.execute(`ALTER TABLE ${old} RENAME CONSTRAINT ${quoteIdentifier(from)} TO ${quoteIdentifier(to)}`);
  }
  for (const statement of sequences.after) await session.execute(statement);
  passing('postgres.replace.swapped');
}

/** What was read before the lock must still be so under it. @throws LOAD_CONFLICT */
async function unchanged(session: Session, table: RealTable, carried: readonly Carried[]): Promise<void> {
  const { reasons } = await dependentsOf(session, table.oid);
  if (reasons.length === 0 && JSON.stringify(await whatToCarry(session, table.oid)) === JSON.stringify(carried)) return;
  throw altered(table, reasons[0]);
}

const altered = (table: RealTable, how?: string): MillraceError =>
  new MillraceError('LOAD_CONFLICT', {
    message: `${table.schema}.${table.name} was altered while it was being replaced${how ? `: ${how}` : ''}.`,
    remedy: 'Nothing to do: the load is tried again and takes the change along.',
  });

export interface Carried {
  readonly kind: 'constraint' | 'index';
  readonly name: string;
  readonly unique: boolean;
  /** What follows the name of the constraint, or of the table in CREATE INDEX. */
  readonly definition: string;
  readonly comment: string | null;
}

/** Keys, exclusions and foreign keys, then the indexes that belong to none of them. Checks came with LIKE. */
async function whatToCarry(session: Session, oid: string): Promise<Carried[]> {
  const rows = await session.query(
    `SELECT 'constraint' AS kind, conname AS name, false AS is_unique, pg_get_constraintdef(oid) AS definition, obj_description(oid, 'pg_constraint') AS comment,
            CASE contype WHEN 'p' THEN 1 WHEN 'f' THEN 4 ELSE 2 END AS at
       FROM pg_constraint WHERE conrelid = $1 AND contype IN ('p', 'u', 'x', 'f')
     UNION ALL
     SELECT 'index', i.relname, x.indisunique,
            substr(pg_get_indexdef(x.indexrelid), length(format('CREATE %sINDEX %I ON %I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END, i.relname, n.nspname, t.relname)) + 1),
            obj_description(x.indexrelid, 'pg_class'), 3
       FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
       WHERE x.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x'))
     ORDER BY at, name`,
    [oid],
  );
  return rows.map((row) => ({
    kind: row['kind'] as Carried['kind'],
    name: row['name'] as string,
    unique: row['is_unique'] === 't',
    definition: row['definition'] as string,
    comment: row['comment'] ?? null,
  }));
}

/** Owner, privileges, storage parameters and the table's comment. */
async function ownership(session: Session, table: RealTable, quoted: string): Promise<string[]> {
  const rows = await session.query(
    `WITH t AS (SELECT * FROM pg_class WHERE oid = $1)
     SELECT 1 AS at, format('ALTER TABLE %s OWNER TO %s', $2::text, relowner::regrole) AS statement FROM t WHERE relowner <> current_user::regrole
     UNION ALL SELECT 2, format('ALTER TABLE %s SET (%s)', $2::text, (SELECT string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(reloptions) o)) FROM t WHERE reloptions IS NOT NULL
     UNION ALL SELECT 3, format('COMMENT ON TABLE %s IS %L', $2::text, obj_description(oid, 'pg_class')) FROM t WHERE obj_description(oid, 'pg_class') IS NOT NULL
     UNION ALL SELECT 4, format('REVOKE ALL ON %s FROM %s', $2::text, g) FROM t, (SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS g FROM pg_class n, aclexplode(n.relacl) WHERE n.oid = to_regclass($2)) granted
     UNION ALL SELECT 5, format('GRANT %s ON %s TO %s%s', privilege_type, $2::text, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, CASE WHEN is_grantable AND grantee <> relowner THEN ' WITH GRANT OPTION' END)
       FROM t, aclexplode(coalesce(relacl, acldefault('r', relowner)))
     ORDER BY at, statement`,
    [table.oid, quoted],
  );
  return rows.map(({ statement }) => statement as string);
}

/** Identity sequences go on where the old ones stand, under their names; sequences of serial columns change hands. */
async function sequencesOf(session: Session, table: RealTable, beside: Beside): Promise<{ before: string[]; after: string[] }> {
  const rows = await session.query(
    `SELECT s.relname AS name, n.nspname AS schema, a.attname AS column, d.deptype AS how
       FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
       JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
       WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('a', 'i')`,
    [table.oid],
  );
  const before: string[] = [];
  const after: string[] = [];
  for (const row of rows) {
    const { name, schema, column, how } = row as { name: string; schema: string; column: string; how: string };
    const old = quoteName({ schema, name });
    if (how === 'a') {
      before.push(`ALTER SEQUENCE ${old} OWNED BY ${beside.quoted}.${quoteIdentifier(column)}`);
      continue;
    }
    const [made] = await session.query('SELECT pg_get_serial_sequence($1, $2) AS sequence', [beside.quoted, column]);
    const next = made?.['sequence'] as string;
    before.push(`SELECT setval('${next.replaceAll("'", "''")}', last_value, is_called) FROM ${old}`);
    after.push(`ALTER SEQUENCE ${next} RENAME TO ${quoteIdentifier(name)}`);
  }
  return { before, after };
}

/** Asks for the lock in short waits: everybody who comes after a waiting lock waits as well. */
export async function lockOut(session: Session, table: string, pause: (ms: number) => Promise<void>): Promise<void> {
  await session.execute(`SET LOCAL lock_timeout = '${lockWait}'`);
  for (let attempt = 1; ; attempt++) {
    await session.execute('SAVEPOINT swap');
    try {
      await session.execute(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      return;
    } catch (error) {
      if (attempt === lockAttempts || !isMillraceError(error) || error.facts['sqlstate'] !== '55P03') throw error;
      await session.execute('ROLLBACK TO SAVEPOINT swap');
      await pause(Math.min(250 * 2 ** attempt, 10_000));
    }
  }
}

/** As many whole characters as fit in so many bytes. */
function cut(name: string, bytes: number): string {
  let text = name;
  while (Buffer.byteLength(text) > bytes) text = [...text].slice(0, -1).join('');
  return text;
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
