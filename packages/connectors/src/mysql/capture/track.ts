import type { Position } from '@millrace/core/runtime';
import { unfollowable } from '../binlog/corrupt.ts';
import type { MariaGtid } from '../binlog/maria-gtid.ts';
import type { MysqlGtid } from '../binlog/mysql-gtid.ts';
import { commitAt, mariaGtidText, mysqlGtidText, positionAt, type StreamPlace } from './stream-position.ts';

/** Names a transaction in the log: what the server calls it, or where it begins. */
export type GroupName =
  | { readonly by: 'maria-gtid'; readonly gtid: MariaGtid }
  | { readonly by: 'mysql-gtid'; readonly gtid: Pick<MysqlGtid, 'server' | 'tag' | 'number'> }
  | { readonly by: 'file'; readonly file: number; readonly offset: number };

/** How far a reader has come in its stream. */
export class Track {
  #place: StreamPlace;

  /** Changes `place`: hand over a copy. */
  constructor(place: StreamPlace) {
    this.#place = place;
  }

  get position(): Position {
    return positionAt(this.#place);
  }

  /** True where it has been read already, which a server may send again. @throws RESYNC_REQUIRED where numbers of MariaDB go back */
  has(group: GroupName): boolean {
    const place = this.#place;
    if (group.by === 'mysql-gtid' && place.by === 'mysql-gtid') return place.set.has(group.gtid);
    if (group.by === 'maria-gtid' && place.by === 'maria-gtid') {
      if (!place.position.has(group.gtid)) return false;
      const { domain, server, sequence } = group.gtid;
      throw unfollowable(
        `Transaction ${domain}-${server}-${sequence} comes after ${domain}-…-${place.position.sequenceOf(domain)}: its numbers do not rise, so nobody can say what has been read.`,
        'Set gtid_strict_mode = ON, and let only one server write in each domain.',
        { domain, sequence },
      );
    }
    return group.by === 'file' && place.by === 'file' && before(group, place);
  }

  /** Of a transaction that comes next. */
  commit(group: GroupName): Position {
    switch (group.by) {
      case 'maria-gtid':
        return commitAt(this.#place, mariaGtidText(group.gtid));
      case 'mysql-gtid':
        return commitAt(this.#place, mysqlGtidText(group.gtid));
      case 'file':
        return commitAt(group, 'f');
      default:
        return group satisfies never;
    }
  }

  /** It has been read to its end, which is at `end` in the log's files. */
  pass(group: GroupName, end: { readonly file: number; readonly offset: number }): void {
    const place = this.#place;
    if (group.by === 'maria-gtid' && place.by === 'maria-gtid') place.position.add(group.gtid);
    else if (group.by === 'mysql-gtid' && place.by === 'mysql-gtid') place.set.add(group.gtid);
    else if (place.by === 'file') this.#place = { by: 'file', ...end };
    else throw otherKind(place, group);
  }

  /** Between transactions the log goes on in another file, or with what is nobody's. */
  moveTo(end: { readonly file: number; readonly offset: number }): void {
    if (this.#place.by === 'file') this.#place = { by: 'file', ...end };
  }
}

const before = (a: { readonly file: number; readonly offset: number }, b: { readonly file: number; readonly offset: number }): boolean =>
  a.file < b.file || (a.file === b.file && a.offset < b.offset);

const otherKind = (place: StreamPlace, group: GroupName): Error =>
  place.by === 'mysql-gtid'
    ? unfollowable('The log has a transaction without a GTID, and the stream counts by GTIDs.', 'Set gtid_mode = ON and leave it so.')
    : unfollowable(`The stream counts by ${place.by}, and the log by ${group.by}.`, 'The server has become another one.');
