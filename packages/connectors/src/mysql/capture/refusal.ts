import { isMillraceError, MillraceError } from '@millrace/core/runtime';
import type { BinlogStream } from '../binlog/stream.ts';
import { ServerRefusal } from '../wire/refusal.ts';

/** ER_MASTER_FATAL_ERROR_READING_BINLOG: whatever is wrong with the log or with the place in it that was asked for. */
const cannotRead = 1236;

/** What ended a stream, in our words. */
export function refusal(
  error: unknown,
  { label, pipeline, stream }: { readonly label: string; readonly pipeline: string; readonly stream: Pick<BinlogStream, 'error'> },
): unknown {
  if (isMillraceError(error) || !(error instanceof ServerRefusal) || error.errno !== cannotRead) return stream.error(error);
  const text = error.message;
  if (/same server_uuid|same server_id|same server-id|same server id/i.test(text)) {
    return new MillraceError('SLOT_BUSY', {
      message: `${label}: another reader of the log has the same server id, or the server took it for one: ${text}`,
      remedy:
        'Nothing to do if that is an attempt that is going away: it is tried again. Else give capture() a serverId that no replica of the source has.',
      facts: { errno: error.errno },
    });
  }
  if (/max_allowed_packet|event too big/i.test(text)) {
    return new MillraceError('STATEMENT_FAILED', {
      message: `${label}: an event of the log is larger than the server sends: ${text}`,
      remedy: 'SET GLOBAL max_allowed_packet = 1073741824, and start again. Nothing was skipped.',
      facts: { errno: error.errno },
    });
  }
  return lost(label, pipeline, text, { errno: error.errno });
}

/** For a log that has not got what comes next. */
export const lost = (label: string, pipeline: string, why: string, facts: Readonly<Record<string, unknown>>): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `${label}: the log cannot be read on from where the targets are: ${why}${/[.!?]$/.test(why) ? '' : '.'}`,
    remedy: `Run "millrace resync ${pipeline}" to copy the tables again, and let the server keep its logs for longer (binlog_expire_logs_seconds; on RDS CALL mysql.rds_set_configuration('binlog retention hours', 168)). Nothing was skipped.`,
    facts: { pipeline, ...facts },
  });
