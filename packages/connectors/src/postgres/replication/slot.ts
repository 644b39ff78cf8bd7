import { MillraceError } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { quoteIdentifier } from '../identifier.ts';
import { literal } from '../literal.ts';
import { parseLsn } from './lsn.ts';
import { replicationError } from './refusal.ts';

export interface SlotOptions {
  readonly name: string;
  /** Goes with the connection that made it. */
  readonly temporary?: boolean;
  /** `export`: other sessions may look at the database as it is where the slot begins, until this connection does anything else. */
  readonly snapshot?: 'export' | 'nothing';
  /** Kept on standbys too, so that it outlives a failover. Left out on servers before 17, and for temporary slots, which cannot. */
  readonly failover?: boolean;
  /** Prepared transactions can be decoded when they are prepared. Needs 15. */
  readonly twoPhase?: boolean;
  /** How long to wait for the transactions that are open at the source, which a slot has to. 60 s by default. */
  readonly patienceMs?: number;
}

export interface Slot {
  readonly name: string;
  /** What commits from here on comes in its stream. The snapshot holds what committed before. */
  readonly consistentPoint: bigint;
  /** For SET TRANSACTION SNAPSHOT. Null unless it was asked for. */
  readonly snapshotName: string | null;
  /** Whether standbys will keep it. */
  readonly failover: boolean;
}

/** The names Postgres takes. @throws IDENTIFIER_INVALID */
export function slotName(name: string): string {
  if (/^[a-z0-9_]{1,63}$/.test(name)) return name;
  throw new MillraceError('IDENTIFIER_INVALID', {
    message: `${JSON.stringify(name.slice(0, 80))} is no name for a replication slot.`,
    remedy: 'Use 1 to 63 lower-case letters, digits and underscores.',
    facts: { name: name.slice(0, 200) },
  });
}

/**
 * A lock timeout bounds the wait, for statement_timeout does not count here: without one, a forgotten transaction at the source would
 * hold this command for ever, and the half-made slot would keep all WAL meanwhile.
 *
 * @throws SLOT_WAITS, SLOT_BUSY where the name is taken, SLOT_LIMIT, REPLICATION_OFF, ACCESS_DENIED
 */
export async function createSlot(session: Session, options: SlotOptions): Promise<Slot> {
  const { temporary = false, snapshot = 'nothing', twoPhase = false, patienceMs = 60_000 } = options;
  const name = slotName(options.name);
  const failover = (options.failover ?? false) && !temporary && session.version >= 170_000;
  if (twoPhase && session.version < 150_000) {
    throw new MillraceError('UNSUPPORTED', {
      message: 'This server has no two-phase transactions in its change stream.',
      remedy: 'Leave the option out, or use PostgreSQL 15 or newer.',
    });
  }
  const list = [`SNAPSHOT '${snapshot}'`, ...(twoPhase ? ['TWO_PHASE'] : []), ...(failover ? ['FAILOVER'] : [])].join(', ');
  // Before 15 the options had no parentheses.
  const how = session.version >= 150_000 ? `(${list})` : snapshot === 'export' ? 'EXPORT_SNAPSHOT' : 'NOEXPORT_SNAPSHOT';
  try {
    await session.execute(`SET lock_timeout = ${literal(patienceMs)}`);
    const command = `CREATE_REPLICATION_SLOT ${quoteIdentifier(name)} ${temporary ? 'TEMPORARY ' : ''}LOGICAL pgoutput ${how}`;
    const { rows } = await session.execute(command, [], `slot "${name}"`);
    const made = rows[0] ?? {};
    return { name, consistentPoint: parseLsn(made['consistent_point'] ?? ''), snapshotName: made['snapshot_name'] || null, failover };
  } catch (error) {
    const told = replicationError(error, { slot: name });
    throw told.code === 'SLOT_WAITS' && !session.ended ? await waitedFor(session, told) : told;
  }
}

/** Answers whether there was one. @throws SLOT_BUSY while somebody reads it, ACCESS_DENIED */
export async function dropSlot(session: Session, name: string): Promise<boolean> {
  try {
    await session.execute(`DROP_REPLICATION_SLOT ${quoteIdentifier(slotName(name))}`, [], `slot "${name}"`);
    return true;
  } catch (error) {
    const told = replicationError(error, { slot: name });
    if (told.facts['reason'] === 'missing') return false;
    throw told;
  }
}

/** With the transactions that stood in the way, as far as this user may see them. */
async function waitedFor(session: Session, error: MillraceError): Promise<MillraceError> {
  const text = `SELECT pid, usename, round(extract(epoch FROM now() - xact_start)) AS seconds FROM pg_stat_activity
    WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 5`;
  const rows = await session.query(text).catch(() => []);
  if (rows.length === 0) return error;
  const who = rows.map(({ pid, usename, seconds }) => `process ${pid} of ${usename} for ${seconds} s`).join(', ');
  return new MillraceError(error.code, {
    message: `${error.message} Open now: ${who}.`,
    remedy: error.remedy,
    facts: { ...error.facts, pids: rows.map(({ pid }) => Number(pid)) },
    cause: error,
  });
}
