import { type CapturedTable, type Context, type Finding, isMillraceError, MillraceError, type StreamName } from '@millrace/core/runtime';
import { databaseOf, type Relation, readRelation } from '../catalog.ts';
import { declaredColumns } from '../expression.ts';
import { parseName, showName } from '../identifier.ts';
import { literal } from '../literal.ts';
import { openSession, type Session } from '../session.ts';
import type { SourceSettings } from '../source.ts';
import { findHome, homeDatabase, homeRemedy, joinedTables, streamKey } from './home.ts';
import { filterProblems, logsReplicated, readLogFilter, readLogVariables, settingProblems, settingWarnings } from './log-settings.ts';

interface Parts {
  readonly settings: SourceSettings;
  readonly stream: StreamName;
  readonly tables: Readonly<Record<string, CapturedTable>>;
}

/** What a stream depends on, one finding for each thing that was looked at. Changes nothing. */
export async function examineCapture({ settings, tables, stream }: Parts, subject: string, context: Context): Promise<Finding[]> {
  try {
    await using session = await openSession(settings, context, { purpose: 'doctor' });
    const variables = await readLogVariables(session);
    const findings = [
      ...settingProblems(subject, variables),
      ...settingWarnings(subject, variables),
      ...(await filtered(session, subject, tables)),
    ];
    if (findings.length === 0)
      findings.push({ subject, level: 'ok', message: 'the binary log has whole rows, with the names of their columns' });
    findings.push(...(await privileges(session, subject)), ...(await replication(session, subject, logsReplicated(variables))));
    const underWay = await joinedTables(session, streamKey(stream));
    for (const [name, table] of Object.entries(tables)) findings.push(...(await examineTable(session, subject, table, underWay.has(name))));
    return findings;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}

/**
 * Before every start. Of tables `underWay` the stream knows what the declared columns are called now, and may have to read first how they came to it.
 *
 * @throws CAPTURE_IMPOSSIBLE with everything that stands against it, RESYNC_REQUIRED where changes of a table under way may have been lost
 */
export async function checkCapture(
  session: Session,
  label: string,
  tables: Readonly<Record<string, CapturedTable>>,
  underWay: ReadonlySet<string>,
): Promise<void> {
  const findings = [...settingProblems(label, await readLogVariables(session)), ...(await filtered(session, label, tables))];
  for (const [name, table] of Object.entries(tables)) findings.push(...(await examineTable(session, label, table, underWay.has(name))));
  const problems = findings.filter(({ level }) => level === 'problem');
  if (problems.length === 0) return;
  for (const { error } of problems) if (error?.code === 'TABLE_MISSING' || error?.code === 'RESYNC_REQUIRED') throw error;
  throw new MillraceError('CAPTURE_IMPOSSIBLE', {
    message: [`${label} cannot be captured as it is:`, ...problems.map(({ message }) => `  ${message}`)].join('\n'),
    remedy: problems.map(({ remedy }) => remedy).join('\n'),
    facts: { problems: problems.map(({ message }) => message) },
  });
}

/** Whether the log leaves databases out; the right to look at it is looked at elsewhere. */
async function filtered(session: Session, subject: string, tables: Parts['tables']): Promise<Finding[]> {
  const databases = Object.values(tables).map(({ name }) => {
    const { database, name: table } = parseName(name);
    return databaseOf(session, database, table);
  });
  try {
    return filterProblems(subject, await readLogFilter(session), [...new Set([...databases, homeDatabase])]);
  } catch (error) {
    if (isMillraceError(error) && error.code === 'ACCESS_DENIED') return [];
    throw error;
  }
}

async function privileges(session: Session, subject: string): Promise<Finding[]> {
  const { user } = session.place;
  const grants = (await session.query('SHOW GRANTS')).map((row) => Object.values(row)[0] ?? '');
  const everywhere = grants.filter((grant) => / ON \*\.\* TO /i.test(grant)).join('\n');
  const has = (...names: string[]): boolean =>
    /\bALL PRIVILEGES\b/i.test(everywhere) || names.some((name) => everywhere.toUpperCase().includes(name));
  const byRole = grants.some((grant) => !/ ON /i.test(grant));
  const findings: Finding[] = [];
  const missing = (what: string, grant: string): void =>
    void findings.push({
      subject,
      level: byRole ? 'warning' : 'problem',
      message: `user "${user}" has no ${what} of its own${byRole ? ', unless a role brings it' : ''}`,
      remedy: `GRANT ${grant} TO '${user}'@'%';`,
    });
  if (!has('REPLICATION SLAVE', 'SUPER')) missing('REPLICATION SLAVE, by which a log is read', 'REPLICATION SLAVE ON *.*');
  if (!has('REPLICATION CLIENT', 'BINLOG MONITOR', 'SUPER'))
    missing('REPLICATION CLIENT, by which one sees which logs there are', 'REPLICATION CLIENT ON *.*');
  if (session.server.flavour === 'mysql' && !grants.some((grant) => /LOCK TABLES|ALL PRIVILEGES/i.test(grant)))
    missing('LOCK TABLES, by which a snapshot is taken', 'LOCK TABLES ON *.*');
  if (findings.length === 0) findings.push({ subject, level: 'ok', message: `user "${user}" may read the log` });
  if ((await findHome(session)) === null && !mayMakeHome(grants)) {
    findings.push({
      subject,
      level: byRole ? 'warning' : 'problem',
      message: `user "${user}" may not make the database "${homeDatabase}", in which a source keeps a few rows about its streams`,
      remedy: homeRemedy(user),
    });
  }
  return findings;
}

const mayMakeHome = (grants: readonly string[]): boolean =>
  grants.some((grant) => {
    const [, what = '', where = ''] = /^GRANT (.+?) ON (\S+) TO /i.exec(grant) ?? [];
    const isHere = where === '*.*' || where.replaceAll(/[`\\]/g, '') === `${homeDatabase}.*`;
    return (
      isHere &&
      (/\bALL PRIVILEGES\b/i.test(what) ||
        ['CREATE', 'INSERT', 'UPDATE', 'DELETE'].every((one) => new RegExp(`\\b${one}\\b`, 'i').test(what)))
    );
  });

/** A server that is itself a replica logs what it gets only with log_replica_updates. */
async function replication(session: Session, subject: string, logsUpdates: boolean): Promise<Finding[]> {
  const { flavour, version } = session.server;
  const statement = flavour === 'mysql' && version >= 80_022 ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS';
  try {
    if ((await session.query(statement)).length === 0 || logsUpdates) return [];
  } catch (error) {
    if (isMillraceError(error) && error.code === 'ACCESS_DENIED') return [];
    throw error;
  }
  return [
    {
      subject,
      level: 'problem',
      message: 'the server is a replica, and what it gets from its primary is not in its log',
      remedy:
        'Set log_replica_updates (log_slave_updates before MySQL 8.0.26 and in MariaDB) in its file of settings and restart it, or capture from the primary.',
    },
  ];
}

async function examineTable(session: Session, subject: string, { name, schema }: CapturedTable, isUnderWay: boolean): Promise<Finding[]> {
  let relation: Relation;
  try {
    relation = await readRelation(session, name);
    if (!isUnderWay) declaredColumns(schema.columns, relation.columns, { object: name, knowsNulls: true });
  } catch (error) {
    if (!isMillraceError(error) || (error.code !== 'TABLE_MISSING' && error.code !== 'SCHEMA_DRIFT')) throw error;
    return [{ subject, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
  const shown = showName(relation);
  const findings: Finding[] = [];
  const problem = (message: string, remedy: string): void => void findings.push({ subject, level: 'problem', message, remedy });
  if (relation.kind === 'view') problem(`${shown} is a view`, 'Capture the tables behind it.');
  else if (relation.engine !== 'InnoDB') {
    problem(`${shown} is kept by ${relation.engine}, which has no transactions and no snapshots`, `ALTER TABLE ${shown} ENGINE = InnoDB;`);
  }
  if (await isVersioned(session, relation))
    problem(
      `the log has rows of ${shown} beside those that are there: its versions of the past`,
      `ALTER TABLE ${shown} DROP SYSTEM VERSIONING;`,
    );
  const { key } = schema;
  if (
    !isUnderWay &&
    key &&
    !relation.uniqueKeys.some((columns) => columns.length === key.length && key.every((column) => columns.includes(column)))
  ) {
    problem(
      `no unique index of ${shown} is over its declared key (${key.join(', ')}), so several rows may have one`,
      `Declare the key that the table has (${relation.primaryKey.join(', ') || 'none'}), or ALTER TABLE ${shown} ADD UNIQUE (${key.join(', ')});`,
    );
  }
  const virtual = await virtualColumns(session, relation);
  const hidden = schema.columns.filter((column) => virtual.has(column.name));
  if (hidden.length > 0) {
    problem(
      `${hidden.map((column) => `"${column.name}"`).join(', ')} of ${shown} is computed when it is read, and is not in the log`,
      'Leave it out of the table() declaration, or make it STORED.',
    );
  }
  findings.push(...(await examineCascades(session, subject, relation, isUnderWay)));
  if (findings.length === 0) findings.push({ subject, level: 'ok', message: `${shown} can be captured` });
  return findings;
}

async function isVersioned(session: Session, { database, name }: Relation): Promise<boolean> {
  const rows = await session.query(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = ${literal(database)} AND table_name = ${literal(name)} AND table_type = 'SYSTEM VERSIONED'`,
  );
  return rows.length > 0;
}

async function virtualColumns(session: Session, { database, name }: Relation): Promise<Set<string>> {
  const rows = await session.query(
    `SELECT column_name AS name FROM information_schema.columns
     WHERE table_schema = ${literal(database)} AND table_name = ${literal(name)} AND extra LIKE '%VIRTUAL%'`,
  );
  return new Set(rows.map((row) => row['name'] ?? ''));
}

/** Rows that InnoDB changes or deletes by itself, since the row that they refer to was, are not in the log: replicas do the same by themselves. */
async function examineCascades(session: Session, subject: string, relation: Relation, isUnderWay: boolean): Promise<Finding[]> {
  const { database, name } = relation;
  const rows = await session.query(
    `SELECT constraint_name AS name, delete_rule AS on_delete, update_rule AS on_update, referenced_table_name AS parent
     FROM information_schema.referential_constraints
     WHERE constraint_schema = ${literal(database)} AND table_name = ${literal(name)}
       AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))`,
  );
  const shown = showName(relation);
  return rows.map((row): Finding => {
    const message = `rows of ${shown} change with those of ${row['parent']} (${row['name']}: ON DELETE ${row['on_delete']}, ON UPDATE ${row['on_update']}), and such changes are not in the log`;
    const remedy = `Let the application do it: ALTER TABLE ${shown} DROP FOREIGN KEY ${row['name']}, ADD CONSTRAINT … FOREIGN KEY … ON DELETE RESTRICT ON UPDATE RESTRICT`;
    if (!isUnderWay) return { subject, level: 'problem', message, remedy };
    // It came while the table was followed, so some may have been missed already.
    const error = new MillraceError('RESYNC_REQUIRED', {
      message: `${subject}: ${message}.`,
      remedy: `${remedy} Then run "millrace resync" to copy the table again.`,
      facts: { table: shown, constraint: row['name'] },
    });
    return { subject, level: 'problem', message, remedy: error.remedy, error };
  });
}
