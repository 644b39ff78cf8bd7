import { type Context, type Finding, isMillraceError } from '@millrace/core/runtime';
import type { SessionSettings } from './credentials.ts';
import { quoteIdentifier } from './identifier.ts';
import { openSession, type Session } from './session.ts';
import { grantsOf } from './sink/grants.ts';

/** The oldest versions with window functions and READ ONLY snapshots. */
const oldest = { mysql: 80_000, mariadb: 100_300 };

/** What `doctor` says of a connection: one finding for each thing that was looked at. */
export async function examine(settings: SessionSettings, label: string, context: Context): Promise<Finding[]> {
  const at = performance.now();
  try {
    await using session = await openSession(settings, context, { purpose: 'doctor' });
    const { user, database } = session.place;
    const reached: Finding = {
      subject: label,
      level: 'ok',
      message: `connected as "${user}" to ${database === '' ? 'no database' : `"${database}"`} in ${Math.round(performance.now() - at)} ms`,
    };
    return [
      reached,
      version(session),
      encryption(session),
      role(session),
      loading(session),
      ...(await swapping(session)),
      await transactions(session),
      await room(session),
    ];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy }];
  }
}

function version({ server, place: { label: subject } }: Session): Finding {
  const message = server.flavour === 'mariadb' ? server.versionText : `MySQL ${server.versionText}`;
  if (server.version >= oldest[server.flavour]) return { subject, level: 'ok', message };
  return {
    subject,
    level: 'problem',
    message: `${message} is older than Millrace supports`,
    remedy: 'Upgrade the server to MySQL 8.0 or MariaDB 10.3, or later.',
  };
}

function encryption({ secure, place: { label: subject } }: Session): Finding {
  if (secure) return { subject, level: 'ok', message: 'the connection is encrypted (TLS)' };
  if (/^(localhost|127\.|::1|\[::1)/.test(subject)) return { subject, level: 'ok', message: 'the server is on this machine; no TLS' };
  return {
    subject,
    level: 'warning',
    message: 'the connection is not encrypted',
    remedy: 'Switch TLS on at the server and add ssl-mode=VERIFY_IDENTITY to the URL.',
  };
}

function role({ server, place: { label: subject } }: Session): Finding {
  if (server.readOnly) return { subject, level: 'ok', message: 'read-only, as replicas are: it can be read from and not loaded' };
  return { subject, level: 'ok', message: 'a writer: it can be read from and loaded' };
}

function loading({ server, place: { label: subject } }: Session): Finding {
  if (server.readOnly || server.localInfile) return { subject, level: 'ok', message: 'loads go through LOAD DATA LOCAL' };
  return {
    subject,
    level: 'warning',
    message: 'local_infile is off: loads go through INSERT, which takes several times as long',
    remedy: 'SET GLOBAL local_infile = 1; on RDS in the parameter group.',
  };
}

/** `replace` swaps only tables of which the user can see that nothing hangs on them. */
async function swapping(session: Session): Promise<Finding[]> {
  const { label: subject, user, database } = session.place;
  if (session.server.readOnly || database === '') return [];
  const grants = await grantsOf(session);
  const missing = [
    ...(grants.on('TRIGGER', { database }) ? [] : [`GRANT TRIGGER ON ${quoteIdentifier(database)}.* TO '${user}'`]),
    ...(grants.everywhere('SELECT') || grants.everywhere('PROCESS') ? [] : [`GRANT PROCESS ON *.* TO '${user}'`]),
  ];
  if (missing.length === 0) return [];
  return [
    {
      subject,
      level: 'warning',
      message:
        'this user cannot see all triggers and foreign keys, so loads with mode "replace" empty and fill their tables instead of swapping them, which takes longer',
      remedy: `${missing.join('; ')}. Nothing, where nothing is replaced.`,
    },
  ];
}

/** Windows of `since` look at the transactions of others. */
async function transactions(session: Session): Promise<Finding> {
  const { label: subject, user } = session.place;
  try {
    await session.query('SELECT 1 FROM information_schema.innodb_trx LIMIT 1');
    return { subject, level: 'ok', message: 'transactions of other users are visible, so incremental windows wait for them' };
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'ACCESS_DENIED') throw error;
    return {
      subject,
      level: 'warning',
      message: 'this user cannot see the transactions of others; an incremental window may close before their rows come',
      remedy: `GRANT PROCESS ON *.* TO '${user}'; or give the extract a lag longer than the longest transaction.`,
    };
  }
}

async function room(session: Session): Promise<Finding> {
  const { label: subject } = session.place;
  const [most] = await session.query('SELECT @@max_connections AS most');
  const [used] = await session.query(`SHOW GLOBAL STATUS LIKE 'Threads_connected'`);
  const free = Number(most?.['most']) - Number(used?.['Value'] ?? 0);
  if (free >= 10) return { subject, level: 'ok', message: `${free} of ${most?.['most']} connections are free` };
  return {
    subject,
    level: 'warning',
    message: `only ${free} of ${most?.['most']} connections are free`,
    remedy: 'Lower maxConnections of this connection, or raise max_connections of the server.',
  };
}
