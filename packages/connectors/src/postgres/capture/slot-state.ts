import { MillraceError, type StreamName } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import { parseLsn } from '../replication/lsn.ts';
import { slotBirth, slotPrefix } from './slot-name.ts';

/** A slot of ours as `pg_replication_slots` has it. */
export interface SlotState {
  readonly name: string;
  /** Where it began, and in which attempt, as its name says. */
  readonly origin: bigint;
  readonly epoch: number;
  /** Everything before has been released; what comes from here on can be read. */
  readonly confirmed: bigint;
  /** The server keeps its log from here on. */
  readonly restart: bigint;
  readonly activePid: number | null;
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly status: string;
  /** Bytes that may still be written before the slot is lost; null where there is no limit. */
  readonly safeBytes: number | null;
  /** Why it cannot be read any more, where that is so. */
  readonly invalid: string | null;
  readonly failover: boolean;
  /** On a standby: kept in step with the primary's. */
  readonly synced: boolean;
  /** Bytes of log that it holds. */
  readonly retained: number;
}

/**
 * The slots of a stream in this database, that of the latest attempt last: it is the stream's, and what is there beside it was left by
 * attempts that had been taken over from before they had a place at a sink.
 */
export async function readSlots(session: Session, stream: StreamName): Promise<SlotState[]> {
  const slots = slotPrefix(stream);
  const { version } = session;
  // 16 says that it is invalid, and not why.
  const reason =
    version >= 170_000
      ? 's.invalidation_reason'
      : version >= 160_000
        ? "case when s.conflicting then case when pg_is_in_recovery() then 'rows_removed' else 'wal_removed' end end"
        : 'null';
  const rows = await session.query(
    `with now as (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn)
     select s.slot_name as name, s.confirmed_flush_lsn as confirmed, s.restart_lsn as restart, s.active_pid as pid, s.wal_status as status,
       s.safe_wal_size as safe, ${reason} as reason,
       ${version >= 170_000 ? 's.failover, s.synced' : 'false as failover, false as synced'},
       greatest(0, now.lsn - s.restart_lsn)::int8 as retained
     from pg_replication_slots s, now
     where s.database = current_database() and not s.temporary and s.plugin = 'pgoutput' and starts_with(s.slot_name, $1)`,
    [slots],
  );
  const found = rows.flatMap((row) => {
    const name = row['name'] ?? '';
    const birth = slotBirth(slots, name);
    if (birth === null) return [];
    const lost = row['status'] === 'lost' || row['restart'] === null;
    return [
      {
        name,
        ...birth,
        confirmed: row['confirmed'] ? parseLsn(row['confirmed']) : 0n,
        restart: row['restart'] ? parseLsn(row['restart']) : 0n,
        activePid: row['pid'] ? Number(row['pid']) : null,
        status: row['status'] ?? 'lost',
        safeBytes: row['safe'] === null || row['safe'] === undefined ? null : Number(row['safe']),
        invalid: row['reason'] ?? (lost ? 'wal_removed' : null),
        failover: row['failover'] === 't',
        synced: row['synced'] === 't',
        retained: Number(row['retained'] ?? 0),
      },
    ];
  });
  return found.sort((a, b) => a.epoch - b.epoch || Number(a.origin - b.origin));
}

const reasons: Readonly<Record<string, string>> = {
  wal_removed: 'the server needed the space and removed log that the slot still needed (max_slot_wal_keep_size)',
  rows_removed: 'the server removed rows of its catalog that the slot still needed (a conflict on a standby)',
  wal_level_insufficient: 'the log has not had wal_level = logical all the time',
  idle_timeout: 'nobody has read it for longer than idle_replication_slot_timeout',
};

/** @throws RESYNC_REQUIRED where it cannot be read any more */
export function checkReadable(slot: SlotState, stream: StreamName, keep: string): void {
  if (slot.invalid === null) return;
  throw new MillraceError('RESYNC_REQUIRED', {
    message: `Replication slot "${slot.name}" cannot be read any more: ${reasons[slot.invalid] ?? slot.invalid}.`,
    remedy: `Run "millrace resync ${stream.pipeline}" to copy the tables again${slot.invalid === 'wal_removed' ? `, and raise max_slot_wal_keep_size (now ${keep}) before that` : ''}.`,
    facts: { slot: slot.name, reason: slot.invalid, pipeline: stream.pipeline, step: stream.step },
  });
}
