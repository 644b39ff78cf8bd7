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
  if (/same server_uuid|same server_id|same server-id|same server id|already a running dump thread/i.test(text)) {
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
  if (isGone.test(text)) return lost(label, pipeline, text, { errno: error.errno });
  return new MillraceError('CONNECTION_FAILED', {
    message: `${label}: the server could not read its log: ${text}${/[.!?]$/.test(text) ? '' : '.'}`,
    remedy: "Nothing to do where it passes: it is tried again, and nothing was skipped. If it stays, the server's error log says why.",
    facts: { errno: error.errno },
  });
}

/** What servers say of a place in the log that is not there, or not any more. Whatever else they say may pass: no file handle, no end of an event yet. */
const isGone =
  /purged|could not find first log file|position (> file size|beyond)|impossible position|past the end|GTID state requested by slave|not in the (master|source)'s binlog|more GTIDs than the|GTID_MODE|AUTO_POSITION|old binary log without GTIDs|diverged/i;

/** For a log that has not got what comes next. */
export const lost = (label: string, pipeline: string, why: string, facts: Readonly<Record<string, unknown>>): MillraceError =>
  new MillraceError('RESYNC_REQUIRED', {
    message: `${label}: the log cannot be read on from where the targets are: ${why}${/[.!?]$/.test(why) ? '' : '.'}`,
    remedy: `Run "millrace resync ${pipeline}" to copy the tables again, and let the server keep its logs for longer (binlog_expire_logs_seconds; on RDS CALL mysql.rds_set_configuration('binlog retention hours', 168)). Nothing was skipped.`,
    facts: { pipeline, ...facts },
  });
