import { type ErrorCode, MillraceError } from '@millrace/core/runtime';

/** What a refusal was about, for its words. */
export interface ReplicationPlace {
  readonly slot?: string;
  readonly user?: string;
}

interface Refusal {
  readonly state: RegExp;
  readonly said?: RegExp;
  readonly code: ErrorCode;
  /** Tells refusals of one code apart. */
  readonly reason: string;
  readonly remedy: (place: ReplicationPlace) => string;
}

const resync = 'Run "millrace resync" to make the slot anew and copy the tables again';

/**
 * What a walsender refuses, by SQLSTATE and, where one of these says several things, by the message. The first that fits.
 * Messages differ between versions: the tests ask servers of three of them.
 */
const refusals: readonly Refusal[] = [
  {
    state: /^42704$/,
    said: /replication slot/,
    code: 'RESYNC_REQUIRED',
    reason: 'missing',
    remedy: () => `${resync}. If the source failed over, the slot has to be a failover slot (PostgreSQL 17 and newer) to come along.`,
  },
  {
    state: /^42704$/,
    said: /publication/,
    code: 'TABLE_MISSING',
    reason: 'publication',
    remedy: () => 'Create the publication at the source: CREATE PUBLICATION … FOR TABLE …;',
  },
  {
    state: /^42710$/,
    code: 'SLOT_BUSY',
    reason: 'exists',
    remedy: ({ slot }) => `Drop it if nothing needs it: SELECT pg_drop_replication_slot('${slot ?? ''}');`,
  },
  {
    state: /^55006$/,
    code: 'SLOT_BUSY',
    reason: 'active',
    remedy: () =>
      'Another process reads it, or one that is gone has not been missed yet (wal_sender_timeout). It is tried again; end the other process if it stays.',
  },
  {
    state: /^55000$/,
    said: /synchroni[sz]ed from the primary/,
    code: 'REPLICATION_OFF',
    reason: 'standby',
    remedy: () => 'This server is a standby. Connect to the primary.',
  },
  {
    state: /^(55000|58P01)$/,
    said: /can no longer (get changes|access)|cannot read from logical replication slot|has been invalidated|WAL segment .* has already been removed/,
    code: 'RESYNC_REQUIRED',
    reason: 'invalidated',
    remedy: () => `${resync}, and let the server keep more WAL before that: raise max_slot_wal_keep_size.`,
  },
  {
    state: /^55000$/,
    said: /wal_level/,
    code: 'REPLICATION_OFF',
    reason: 'wal_level',
    remedy: () =>
      'Set wal_level = logical and restart the server; on RDS and Aurora set rds.logical_replication = 1 in the parameter group and reboot.',
  },
  {
    state: /^55000$/,
    said: /max_replication_slots/,
    code: 'REPLICATION_OFF',
    reason: 'max_replication_slots',
    remedy: () => 'Set max_replication_slots above 0 and restart the server.',
  },
  {
    state: /^53400$/,
    said: /replication slots/,
    code: 'SLOT_LIMIT',
    reason: 'max_replication_slots',
    remedy: () =>
      'Drop slots that nobody reads (SELECT slot_name FROM pg_replication_slots WHERE NOT active;), or raise max_replication_slots and restart the server.',
  },
  {
    state: /^53300$/,
    said: /max_wal_senders/,
    code: 'CONNECTION_LIMIT',
    reason: 'max_wal_senders',
    remedy: () => 'Raise max_wal_senders and restart the server, or end streams that nobody needs. It is tried again.',
  },
  {
    state: /^42501$/,
    said: /WAL sender|walsender|replication/i,
    code: 'ACCESS_DENIED',
    reason: 'privilege',
    remedy: ({ user = 'the user' }) => `Run ALTER ROLE ${user} REPLICATION; on RDS and Aurora: GRANT rds_replication TO ${user};`,
  },
  {
    state: /^55P03$/,
    code: 'SLOT_WAITS',
    reason: 'transactions',
    remedy: () => 'End the transactions that are open at the source, or wait for them. It is tried again.',
  },
  {
    state: /^(08P01|0A000)$/,
    said: /replication/,
    code: 'UNSUPPORTED',
    reason: 'pooler',
    remedy: () => 'Connect to the database itself: a connection pooler (PgBouncer, RDS Proxy) does not carry replication.',
  },
];

/** An error of a session in the words of replication. Others stay as they are. */
export function replicationError(error: unknown, place: ReplicationPlace): MillraceError {
  const known = error as MillraceError;
  const state = String(known.facts?.['sqlstate'] ?? '');
  const refusal = refusals.find((one) => one.state.test(state) && (one.said === undefined || one.said.test(known.message)));
  if (!refusal) return known;
  const user = place.user ?? known.facts['user'];
  return new MillraceError(refusal.code, {
    message: known.message,
    remedy: refusal.remedy({ ...place, ...(typeof user === 'string' && { user }) }),
    facts: { ...known.facts, ...(place.slot !== undefined && { slot: place.slot }), reason: refusal.reason },
    cause: known,
  });
}
