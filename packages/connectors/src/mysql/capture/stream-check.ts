import { type Context, MillraceError, type Position, type StreamName } from '@millrace/core/runtime';
import { GtidSet } from '../binlog/mysql-gtid.ts';
import type { Session } from '../session.ts';
import type { SourceSettings } from '../source.ts';
import type { StreamRow } from './home.ts';
import { endOfLog, type LogServer, readLogFiles } from './log-server.ts';
import { lost } from './refusal.ts';
import { farOf, placeOf } from './stream-position.ts';

/** Whose stream it is. */
export interface StreamOwner {
  /** The connection as plans show it. */
  readonly label: string;
  readonly stream: StreamName;
  /** Of this attempt. */
  readonly epoch: number;
  readonly context: Context;
  readonly settings: SourceSettings;
}

export const fenced = ({ stream: { pipeline, step } }: StreamOwner): MillraceError =>
  new MillraceError('ATTEMPT_FENCED', {
    message: `This attempt at "${step}" of "${pipeline}" came too late: a newer one has the stream.`,
    remedy: 'Nothing to do: the newer attempt goes on.',
    facts: { pipeline, step },
  });

/** Whether the log has everything that comes after a position, and what came before it. @throws RESYNC_REQUIRED */
export async function checkPlace(session: Session, owner: StreamOwner, server: LogServer, after: Position, row: StreamRow): Promise<void> {
  const resync = (why: string): MillraceError => lost(owner.label, owner.stream.pipeline, why, { position: after });
  const place = placeOf(after);
  const end = await endOfLog(session, server);
  if (row.origin !== null && after < row.origin) throw resync(`the stream began at ${row.origin}, and was read up to ${after}`);
  if (farOf(after) > row.ceiling)
    throw resync(
      'the source does not know that anybody has read as far as that: it was restored from a backup, and has gone on from there',
    );
  switch (place.by) {
    case 'maria-gtid':
      if (end.by !== 'maria-gtid') throw resync('the server is another one');
      if (!end.position.contains(place.position))
        throw resync(
          `it was read up to ${place.position}, and this server has only come to ${end.position}: it was restored, or is a replica that lacks the rest`,
        );
      return;
    case 'mysql-gtid': {
      if (end.by !== 'mysql-gtid') throw resync('the stream counts by GTIDs, and gtid_mode is not ON any more');
      if (!end.set.contains(place.set))
        throw resync(
          `it was read up to ${place.set}, and this server has executed ${end.set}: it was restored, or is a replica that lacks the rest`,
        );
      const [purged] = await session.query('SELECT @@global.gtid_purged AS purged');
      const gone = GtidSet.parse((purged?.['purged'] ?? '').replace(/\s/g, ''));
      if (!place.set.contains(gone)) throw resync(`it was read up to ${place.set}, and the server has removed its logs of ${gone}`);
      return;
    }
    case 'file': {
      if (end.by !== 'file') throw resync('the stream counts by files, and gtid_mode is ON now');
      const files = await readLogFiles(session);
      const file = files.find((one) => one.file === place.file);
      if (!file) throw resync(`it was read up to file ${place.file}, and the oldest that the server has is ${files[0]?.file ?? 'none'}`);
      if (place.offset > file.bytes)
        throw resync(`it was read up to ${place.offset} in ${file.name}, which has ${file.bytes} bytes: the server was restored`);
      return;
    }
    default:
      place satisfies never;
  }
}
