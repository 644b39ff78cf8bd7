import { setTimeout as sleep } from 'node:timers/promises';
import { isMillraceError, type Log } from '@millrace/core/runtime';
import { literal } from './literal.ts';
import type { Session } from './session.ts';

/**
 * Between the moment that becomes the bound and the look at who is at work, and from there to the look at who has a transaction open: what
 * `innodb_trx` shows may be a tenth of a second old, and a statement is stamped a little before its transaction begins.
 */
export const settleMs = 200;

export interface HeldBack {
  /** The server's clock, UTC, as a literal. */
  readonly now: string;
  /** Since when the oldest of those who may yet commit has been at it. */
  readonly seconds: number;
  readonly by: string;
}

/** Statements and transactions that may yet add rows with an earlier stamp. Sessions of ours that only read are none. */
export async function heldBack(session: Session, log: Log): Promise<HeldBack> {
  const [clock] = await session.query('SELECT UTC_TIMESTAMP(6) AS now');
  const now = literal(clock?.['now'] ?? '');
  await sleep(settleMs);
  try {
    // Statements first: one that ends between the two looks is a transaction that has modified rows, or is committed and will be seen.
    const [statement] = await session.query(
      `SELECT MAX(time) AS seconds, MIN(id) AS thread FROM information_schema.processlist WHERE ${writes}`,
    );
    await sleep(settleMs);
    // The times of innodb_trx are in the time zone of the machine.
    await session.execute("SET SESSION time_zone = 'SYSTEM'");
    const [transaction] = await session.query(
      `SELECT TIMESTAMPDIFF(SECOND, MIN(trx_started), NOW()) AS seconds, MIN(trx_mysql_thread_id) AS thread FROM information_schema.innodb_trx
       WHERE trx_is_read_only = 0 AND trx_rows_modified > 0 AND trx_mysql_thread_id <> CONNECTION_ID()`,
    );
    const repeated = transaction?.['seconds'] == null ? 0 : await repeatedSeconds(session, Number(transaction['seconds']));
    const ages = [
      { row: transaction, more: repeated },
      { row: statement, more: 0 },
    ].flatMap(({ row, more }) =>
      row?.['seconds'] == null ? [] : [{ seconds: Math.max(0, Number(row['seconds']) + more) + 1, by: `connection ${row['thread']}` }],
    );
    return { now, ...ages.reduce((one, other) => (other.seconds > one.seconds ? other : one), { seconds: 0, by: '' }) };
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'ACCESS_DENIED') throw error;
    log.warn(hidden(session));
    return { now, seconds: 0, by: '' };
  } finally {
    if (!session.ended) await session.execute("SET SESSION time_zone = '+00:00'");
  }
}

/**
 * By how much a clock on the wall that says `seconds` may be wrong, where it was set back in autumn since then. In the time zone of the
 * machine.
 */
export async function repeatedSeconds(session: Session, seconds: number): Promise<number> {
  const offset = (at: string): string => `TIMESTAMPDIFF(SECOND, DATE '1970-01-01' + INTERVAL ${at} SECOND, FROM_UNIXTIME(${at}))`;
  const [row] = await session.query(
    `SELECT GREATEST(0, ${offset(`(UNIX_TIMESTAMP() - ${seconds} - 3600)`)} - ${offset('UNIX_TIMESTAMP()')}) AS seconds`,
  );
  return Number(row?.['seconds'] ?? 0);
}

/** A transaction or a statement that may yet add rows. */
export interface OpenWriter {
  readonly id: string;
  readonly thread: string;
  /** How long a statement has been running; null for a transaction, which its id tells from the next one. */
  readonly seconds: number | null;
}

export async function openWriters(session: Session, log: Log): Promise<OpenWriter[]> {
  try {
    // In this order, and apart, as in `heldBack`: a statement that waits for a lock may not show as a transaction yet.
    const statements = await session.query(
      `SELECT CONCAT('statement ', id) AS id, id AS thread, time AS seconds FROM information_schema.processlist WHERE ${writes}`,
    );
    await sleep(settleMs);
    const transactions = await session.query(
      `SELECT CONCAT('transaction ', trx_mysql_thread_id, ' ', trx_started) AS id, trx_mysql_thread_id AS thread, NULL AS seconds FROM information_schema.innodb_trx
         WHERE trx_is_read_only = 0 AND trx_mysql_thread_id <> CONNECTION_ID()`,
    );
    return [...transactions, ...statements].map((row) => ({
      id: row['id'] ?? '',
      thread: row['thread'] ?? '',
      seconds: row['seconds'] == null ? null : Number(row['seconds']),
    }));
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'ACCESS_DENIED') throw error;
    log.warn(hidden(session));
    return [];
  }
}

/** Statements that may write; those of events run on a connection that only connects. */
const writes = `(command IN ('Query', 'Execute') OR command = 'Connect' AND info IS NOT NULL) AND id <> CONNECTION_ID()
         AND (info IS NULL OR info NOT REGEXP '^[[:space:]]*(select|show|explain|describe)')`;

const hidden = ({ place }: Session): string =>
  `This user cannot see the transactions of others, so rows of one that is still open may be missed: GRANT PROCESS ON *.* TO '${place.user}', or set a lag longer than the longest.`;
