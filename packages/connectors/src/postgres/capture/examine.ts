import { type Context, type Finding, isMillraceError, type StreamName } from '@millrace/core/runtime';
import { openSession, type Session } from '../client.ts';
import { quoteIdentifier, quoteName } from '../identifier.ts';
import { openReplication } from '../replication/transport.ts';
import { type CatalogTable, readCatalogTable } from './catalog-table.ts';
import type { SourceParts } from './change-source.ts';
import { hasTrigger } from './ddl-trigger.ts';
import { examineOverlap } from './examine-overlap.ts';
import { examineTables } from './examine-tables.ts';
import { publicationProblems, publicationStatements, readPublication } from './publication.ts';
import { publicationName } from './slot-name.ts';
import { readSlots, type SlotState } from './slot-state.ts';
import { readSystem } from './system.ts';

type Parts = Pick<SourceParts, 'settings' | 'capture' | 'tables'>;

/** The oldest version whose plugin and catalogs are known to work, and the newest. */
const versions = { oldest: 130_000, newest: 190_000 };

/** What a stream depends on, one finding for each thing that was looked at. Changes nothing. */
export async function examineCapture(parts: Parts, label: string, context: Context, stream: StreamName): Promise<Finding[]> {
  try {
    await using session = await openSession(parts.settings, context, { purpose: 'doctor' });
    const say = speaker(label);
    const slot = (await readSlots(session, stream)).at(-1);
    const [place] = await session.query('select pg_is_in_recovery() as standby');
    const isStandby = place?.['standby'] === 't';
    const findings = [
      version(session, say),
      ...(await server(session, say, slot)),
      ...(await privileges(session, say)),
      ...(isStandby ? standby(session, say, parts) : []),
    ];
    const catalogs = new Map<string, CatalogTable>();
    for (const [table, { name }] of Object.entries(parts.tables)) {
      try {
        catalogs.set(table, await readCatalogTable(session, name));
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        findings.push(say('problem', error.message, error.remedy));
      }
    }
    findings.push(...(await publication(session, say, parts, catalogs, stream, isStandby, slot !== undefined)));
    findings.push(...(await examineTables(session, say, parts.tables, catalogs, slot !== undefined)));
    findings.push(...(await examineOverlap(session, say, catalogs)));
    findings.push(await announcements(session, say, parts, isStandby));
    if (!findings.some(({ level }) => level === 'problem')) findings.push(await oneInstance(parts, say, context));
    return findings;
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy, error }];
  }
}

export type Say = (level: Finding['level'], message: string, remedy?: string) => Finding;

const speaker =
  (subject: string): Say =>
  (level, message, remedy) => ({ subject, level, message, ...(remedy !== undefined && { remedy }) });

function version({ version: number }: Session, say: Say): Finding {
  const shown = `PostgreSQL ${Math.floor(number / 10_000)}`;
  if (number < versions.oldest) return say('problem', `${shown} cannot be captured`, 'Upgrade the server to PostgreSQL 13 or later.');
  if (number >= versions.newest)
    return say('warning', `${shown} is newer than this version of Millrace knows`, 'Look for a newer version of Millrace.');
  return say('ok', `${shown} can be captured`);
}

async function server(session: Session, say: Say, slot: SlotState | undefined): Promise<Finding[]> {
  const [row] = await session.query(
    `select current_setting('wal_level') as level, current_setting('max_replication_slots')::int as slots, current_setting('max_wal_senders')::int as senders,
       (select count(*) from pg_replication_slots) as used_slots, (select count(*) from pg_stat_activity where backend_type = 'walsender') as used_senders,
       current_setting('wal_sender_timeout') as timeout, (select setting::int8 from pg_settings where name = 'wal_sender_timeout') as timeout_ms,
       current_setting('max_slot_wal_keep_size') as keep, (select setting::int8 from pg_settings where name = 'max_slot_wal_keep_size') as keep_mb`,
  );
  const of = (name: string): number => Number(row?.[name]);
  const findings: Finding[] = [];
  findings.push(
    row?.['level'] === 'logical'
      ? say('ok', 'wal_level is logical')
      : say(
          'problem',
          `wal_level is ${row?.['level']}; changes can be read where it is logical`,
          'ALTER SYSTEM SET wal_level = logical; and restart the server. On RDS and Aurora set rds.logical_replication = 1 in the parameter group and reboot.',
        ),
  );
  // One for the stream, another one while a table is copied beside it.
  const freeSlots = of('slots') - of('used_slots');
  const needed = slot ? 1 : 2;
  findings.push(
    freeSlots >= needed
      ? say('ok', `${freeSlots} of ${of('slots')} replication slots are free`)
      : say(
          freeSlots > 0 || slot ? 'warning' : 'problem',
          `${freeSlots} of ${of('slots')} replication slots are free; the stream needs one, and another while a table is copied beside it`,
          'Drop slots that nobody reads (SELECT slot_name FROM pg_replication_slots WHERE NOT active;), or raise max_replication_slots and restart the server.',
        ),
  );
  const freeSenders = of('senders') - of('used_senders');
  findings.push(
    freeSenders >= 2
      ? say('ok', `${freeSenders} of ${of('senders')} walsenders are free`)
      : say('warning', `${freeSenders} of ${of('senders')} walsenders are free`, 'Raise max_wal_senders and restart the server.'),
  );
  findings.push(
    of('timeout_ms') === 0
      ? say(
          'warning',
          'wal_sender_timeout is off: a reader that dies without a word holds its slot until TCP gives up',
          "ALTER SYSTEM SET wal_sender_timeout = '60s'; and reload.",
        )
      : of('timeout_ms') < 5_000
        ? say(
            'warning',
            `wal_sender_timeout is ${row?.['timeout']}: a short stall ends the stream`,
            "ALTER SYSTEM SET wal_sender_timeout = '60s'; and reload.",
          )
        : say('ok', `wal_sender_timeout is ${row?.['timeout']}`),
  );
  findings.push(
    of('keep_mb') < 0
      ? say(
          'warning',
          'max_slot_wal_keep_size is not set: while a pipeline is stopped, the log it still needs can fill the disk of the source',
          "ALTER SYSTEM SET max_slot_wal_keep_size = '100GB'; and reload: more than what is written in the longest stop, less than the disk holds. A stream that falls behind further must be copied again.",
        )
      : say('ok', `max_slot_wal_keep_size is ${row?.['keep']}: a stream that falls behind further must be copied again`),
  );
  // No problem of the source: it is told when the stream is read, and a new stream can be made.
  if (slot?.invalid)
    findings.push(
      say(
        'warning',
        `replication slot "${slot.name}" cannot be read any more (${slot.invalid})`,
        'Run "millrace resync" to copy the tables again.',
      ),
    );
  return findings;
}

async function privileges(session: Session, say: Say): Promise<Finding[]> {
  const [row] = await session.query(
    `select rolreplication or rolsuper as replication, rolsuper as super,
       (select pg_has_role(oid, 'member') from pg_roles where rolname = 'rds_replication') as rds
     from pg_roles where rolname = current_user`,
  );
  const user = quoteIdentifier(session.place.user ?? 'user');
  if (row?.['replication'] === 't' || row?.['rds'] === 't') return [say('ok', `"${session.place.user}" may replicate`)];
  const onRds = row?.['rds'] === 'f';
  return [
    say(
      'problem',
      `"${session.place.user}" may not replicate`,
      onRds ? `GRANT rds_replication TO ${user};` : `ALTER ROLE ${user} REPLICATION;`,
    ),
  ];
}

function standby(session: Session, say: Say, { capture }: Parts): Finding[] {
  if (session.version < 160_000)
    return [
      say('problem', 'this is a standby, and PostgreSQL 16 is the first whose standbys can be captured', 'Name the primary in the URL.'),
    ];
  return [
    say(
      'warning',
      'this is a standby: a new stream begins only when the primary writes, and no heartbeat can be written',
      'On a quiet primary run SELECT pg_log_standby_snapshot(); there when a stream begins. hot_standby_feedback should be on.',
    ),
    ...(capture.publication === null
      ? [say('problem', 'no publication can be made at a standby', 'Make one at the primary and name it: publication: "…" of the capture.')]
      : []),
  ];
}

async function publication(
  session: Session,
  say: Say,
  { capture, tables }: Parts,
  catalogs: ReadonlyMap<string, CatalogTable>,
  stream: StreamName,
  isStandby: boolean,
  isStreaming: boolean,
): Promise<Finding[]> {
  const name = capture.publication ?? publicationName(stream);
  const found = await readPublication(session, name);
  const all = [...catalogs.values()];
  if (capture.publication === null && !isStandby) {
    const statements = publicationStatements(name, found, all, session.version);
    if (statements.length === 0) return [say('ok', `publication "${name}" has the tables of the stream`)];
    const [row] = await session.query(
      `select (select rolsuper from pg_roles where rolname = current_user) as super, has_database_privilege(current_database(), 'create') as may_create,
         (select bool_and(pg_has_role(c.relowner, 'usage')) from pg_class c where c.oid = any($1::oid[])) as owns,
         (select pg_has_role(p.pubowner, 'usage') from pg_publication p where p.pubname = $2) as owns_publication`,
      [`{${all.map(({ oid }) => oid).join(',')}}`, name],
    );
    const may = row?.['super'] === 't' || (row?.['owns'] === 't' && (found ? row['owns_publication'] === 't' : row['may_create'] === 't'));
    return may
      ? [say('ok', `publication "${name}" will be ${found ? 'brought up to date' : 'made'} when the stream starts`)]
      : [
          say(
            'problem',
            `publication "${name}" is not as the stream needs it, and "${session.place.user}" may not ${found ? 'change' : 'make'} it`,
            `As the owner of the tables: ${statements.join('; ')};`,
          ),
        ];
  }
  if (!found)
    return [
      say(
        'problem',
        `there is no publication "${name}"`,
        `CREATE PUBLICATION ${quoteIdentifier(name)} FOR TABLE ${all.map(quoteName).join(', ')} WITH (publish_via_partition_root = true);`,
      ),
    ];
  const problems = publicationProblems(
    found,
    [...catalogs].map(([table, catalog]) => ({
      table: catalog,
      columns: tables[table]?.schema.columns.map((column) => column.name) ?? [],
    })),
  );
  return problems.length === 0
    ? [say('ok', `publication "${name}" has the tables of the stream`)]
    : problems.map(({ message, remedy }) => say('problem', message, isStreaming ? `${remedy} ${thenResync(stream)}` : remedy));
}

const thenResync = ({ pipeline }: StreamName): string =>
  `Then run "millrace resync ${pipeline}": what it has left out since the stream began is not in the stream.`;

async function announcements(session: Session, say: Say, { capture }: Parts, isStandby: boolean): Promise<Finding> {
  if (await hasTrigger(session)) return say('ok', 'changes of columns are announced by an event trigger');
  const [row] = await session.query(
    `select rolsuper or coalesce((select pg_has_role(oid, 'member') from pg_roles where rolname = 'rds_superuser'), false) as may from pg_roles where rolname = current_user`,
  );
  if (capture.announceColumns && !isStandby && row?.['may'] === 't')
    return say('ok', 'an event trigger that announces changes of columns will be made when the stream starts');
  return say(
    'warning',
    'changes of columns are not announced by an event trigger, so a renamed column can be taken for a dropped and an added one',
    'Start the pipeline once as a superuser (on RDS a member of rds_superuser), who may make the trigger.',
  );
}

/** Two connections must come to the same server: snapshots and slots of one are nothing to another. */
async function oneInstance(parts: Parts, say: Say, context: Context): Promise<Finding> {
  const look = async (): Promise<string> => {
    await using connection = await openReplication(parts.settings, context, { purpose: 'doctor' });
    const { systemId } = await readSystem(connection);
    const { rows } = await connection.execute('select pg_postmaster_start_time()::text as started, inet_server_addr()::text as address');
    return `${systemId} ${rows[0]?.['started']} ${rows[0]?.['address']}`;
  };
  const [first, second] = [await look(), await look()];
  return first === second
    ? say('ok', 'there is one server behind the address')
    : say('problem', 'two connections came to two servers', 'Name one server in the URL: the writer, and no balancer or reader endpoint.');
}
