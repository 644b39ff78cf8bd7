import { type Context, type Finding, isMillraceError } from '@millrace/core/runtime';
import { amazonBehind } from '../aws/alias.ts';
import { amazonEndpoint } from '../aws/endpoint.ts';
import { openSession, type Session, type SessionSettings } from './client.ts';

/** The oldest version whose protocol and catalogs are known to work. */
const oldest = 130_000;

/** What `doctor` says of a connection: one finding for each thing that was looked at. */
export async function examine(settings: SessionSettings, label: string, context: Context): Promise<Finding[]> {
  const at = performance.now();
  try {
    await using session = await openSession(settings, context, { purpose: 'doctor' });
    const reached: Finding = {
      subject: label,
      level: 'ok',
      message: `connected as "${session.place.user}" to "${session.place.database}" in ${Math.round(performance.now() - at)} ms`,
    };
    return [
      reached,
      ...(await Promise.all([
        version(session),
        encryption(session, label),
        role(session, label),
        statistics(session, label),
        room(session, label),
      ])),
      ...(await proxy(session, label)),
    ];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return [{ subject: label, level: 'problem', message: error.message, remedy: error.remedy }];
  }
}

async function version(session: Session): Promise<Finding> {
  const [row] = await session.query('select version() as version');
  const subject = session.place.label;
  const message = (row?.['version'] ?? '').split(/ on |, compiled/, 1)[0] ?? '';
  if (session.version >= oldest) return { subject, level: 'ok', message };
  return {
    subject,
    level: 'problem',
    message: `${message} is older than Millrace supports`,
    remedy: 'Upgrade the server to PostgreSQL 13 or later.',
  };
}

async function encryption(session: Session, subject: string): Promise<Finding> {
  if (session.secure) return { subject, level: 'ok', message: 'the connection is encrypted (TLS)' };
  const [row] = await session.query('select inet_server_addr() as address');
  const local = row?.['address'] == null || /^(127\.|::1)/.test(row['address']);
  if (local) return { subject, level: 'ok', message: 'the server is on this machine; no TLS' };
  return {
    subject,
    level: 'warning',
    message: 'the connection is not encrypted',
    remedy: 'Switch TLS on at the server and add sslmode=verify-full to the URL.',
  };
}

async function role(session: Session, subject: string): Promise<Finding> {
  const [row] = await session.query(`select pg_is_in_recovery() as standby, current_setting('transaction_read_only') as read_only`);
  if (row?.['standby'] === 't') return { subject, level: 'ok', message: 'a read replica: it can be read from and not loaded' };
  if (row?.['read_only'] === 'on')
    return {
      subject,
      level: 'warning',
      message: 'transactions are read-only by default',
      remedy: 'Set default_transaction_read_only = off for this user if tables are to be loaded.',
    };
  return { subject, level: 'ok', message: 'a writer: it can be read from and loaded' };
}

/** Settings, temporary tables, COPY and advisory locks each tie a connection of the proxy to one session. */
async function proxy({ place: { endpoint, host }, certified }: Session, subject: string): Promise<Finding[]> {
  const kinds = [endpoint, ...certified.map((name) => amazonEndpoint(name)?.kind), endpoint ?? (host && (await amazonBehind(host))?.kind)];
  if (!kinds.includes('proxy')) return [];
  return [
    {
      subject,
      level: 'warning',
      message:
        'this is RDS Proxy, which gives each session of a load a connection for itself (pinning), so it saves none and can run out of them',
      remedy: 'Name the endpoint of the cluster or instance in the URL; captures need it in any case.',
    },
  ];
}

/** Windows of `since` look at the transactions of others. */
async function statistics(session: Session, subject: string): Promise<Finding> {
  const [row] = await session.query(
    `select pg_has_role('pg_read_all_stats', 'usage') or (select rolsuper from pg_roles where rolname = current_user) as sees,
       (select count(distinct usename) from pg_stat_activity where datname = current_database() and usename <> current_user) as others`,
  );
  if (row?.['sees'] === 't' || row?.['others'] === '0')
    return { subject, level: 'ok', message: 'transactions of other users are visible, so incremental windows wait for them' };
  return {
    subject,
    level: 'warning',
    message: `this user cannot see since when other users have had a transaction open; an incremental window may close before their rows come`,
    remedy: `GRANT pg_read_all_stats TO "${session.place.user}"; or give the extract a lag longer than the longest transaction.`,
  };
}

async function room(session: Session, subject: string): Promise<Finding> {
  const [row] = await session.query(
    `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*) as free, current_setting('max_connections') as most
     from pg_stat_activity where backend_type = 'client backend'`,
  );
  const free = Number(row?.['free']);
  if (free >= 10) return { subject, level: 'ok', message: `${free} of ${row?.['most']} connections are free` };
  return {
    subject,
    level: 'warning',
    message: `only ${free} of ${row?.['most']} connections are free`,
    remedy: 'Lower maxConnections of this connection, or raise max_connections of the server.',
  };
}
