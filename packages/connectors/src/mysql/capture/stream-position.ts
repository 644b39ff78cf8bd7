import { MillraceError, type Position, positionOf } from '@millrace/core/runtime';
import { MariaPosition } from '../binlog/maria-gtid.ts';
import { GtidSet } from '../binlog/mysql-gtid.ts';

/*
 * A position, as text:
 *
 *   how far 24 digits | 0 or 1 | what the server is asked for
 *
 *   000000000000000000000412 0 m0-1-400_5-2-12                 MariaDB: the sum of the sequence numbers; then domain-server-sequence of each domain
 *   000000000000000000000412 0 sPhH6Rx4...Zg:1-400:402-413     MySQL: how many transactions are in the set; then the set, servers in base64
 *   000000017300000000004711 0 f                               without GTIDs: the number of the file (10) and the offset in it (14)
 *
 * How far it is alone decides the order, so a position has the same place on every server that has the same transactions: nothing in it
 * belongs to one server but where there are no GTIDs. 1 marks a commit: it stands behind the position before it and ahead of the one after it.
 */

/** Where a stream has come to. */
export type StreamPlace =
  | { readonly by: 'maria-gtid'; readonly position: MariaPosition }
  | { readonly by: 'mysql-gtid'; readonly set: GtidSet }
  | { readonly by: 'file'; readonly file: number; readonly offset: number };

const farDigits = 24;
const offsetDigits = 14;
/** `positionOf` takes no more. */
const longest = 512;

export const positionAt = (place: StreamPlace): Position => checked(`${far(place)}0${tail(place)}`, place);

/** Whether a reader at `position` need not go on to come to `until`. Two that are equally far and not the same are of servers that parted. */
export const isReached = (position: Position, until: Position): boolean => position === until || farOf(position) > farOf(until);

/** How far a position is, as a number of 24 digits. */
export const farOf = (position: Position): string => position.slice(0, farDigits);

/** As `farOf`, by so many transactions (or bytes of a file) more. */
export const farther = (position: Position, by: number): string => String(BigInt(farOf(position)) + BigInt(by)).padStart(farDigits, '0');

/** Of the transaction that comes at a place; `id` is its own GTID as `gtidText` has it, or empty. */
export const commitAt = (place: StreamPlace, id: string): Position => positionOf(`${far(place)}1${id}`);

function far(place: StreamPlace): string {
  switch (place.by) {
    case 'maria-gtid':
      return String(place.position.sum).padStart(farDigits, '0');
    case 'mysql-gtid':
      return String(place.set.size).padStart(farDigits, '0');
    case 'file':
      return String(place.file).padStart(farDigits - offsetDigits, '0') + String(place.offset).padStart(offsetDigits, '0');
    default:
      return place satisfies never;
  }
}

function tail(place: StreamPlace): string {
  switch (place.by) {
    case 'maria-gtid':
      return `m${place.position
        .entries()
        .map(({ domain, server, sequence }) => `${domain}-${server}-${sequence}`)
        .join('_')}`;
    case 'mysql-gtid':
      return `s${place.set
        .entries()
        .map(({ server, tag, intervals }) =>
          [
            serverText(server),
            ...(tag === '' ? [] : [tag]),
            ...intervals.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)),
          ].join(':'),
        )
        .join('.')}`;
    case 'file':
      return 'f';
    default:
      return place satisfies never;
  }
}

const serverText = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');

/** A transaction's own GTID within a position. */
export const mysqlGtidText = ({
  server,
  tag,
  number,
}: {
  readonly server: string;
  readonly tag: string;
  readonly number: number;
}): string => `s${serverText(server)}:${tag === '' ? '' : `${tag}:`}${number}`;
export const mariaGtidText = ({
  domain,
  server,
  sequence,
}: {
  readonly domain: number;
  readonly server: number;
  readonly sequence: number;
}): string => `m${domain}-${server}-${sequence}`;

/** @throws RESYNC_REQUIRED for what is no position of a binary log */
export function placeOf(position: Position): StreamPlace {
  const [, whole = '', kind = '', rest = ''] = new RegExp(`^(\\d{${farDigits}})0([msf])(.*)$`).exec(position) ?? [];
  switch (kind) {
    case 'm':
      return { by: 'maria-gtid', position: MariaPosition.parse(rest.replaceAll('_', ',')) };
    case 's':
      return { by: 'mysql-gtid', set: setOf(rest) };
    case 'f':
      return { by: 'file', file: Number(whole.slice(0, farDigits - offsetDigits)), offset: Number(whole.slice(farDigits - offsetDigits)) };
    default:
      throw new MillraceError('RESYNC_REQUIRED', {
        message: `${JSON.stringify(position)} is no position in a binary log.`,
        remedy: 'It belongs to another kind of source. Run "millrace resync" to copy the tables again.',
        facts: { position },
      });
  }
}

function setOf(text: string): GtidSet {
  if (text === '') return GtidSet.parse('');
  const blocks = text.split('.').map((block) => {
    const [server = '', ...rest] = block.split(':');
    return [Buffer.from(server, 'base64url').toString('hex'), ...rest].join(':');
  });
  return GtidSet.parse(blocks.join(','));
}

function checked(text: string, place: StreamPlace): Position {
  if (text.length <= longest) return positionOf(text);
  throw new MillraceError('UNSUPPORTED', {
    message: `What this server has executed is from so many servers, or in so many pieces, that it does not fit a position (${text.length} characters of ${longest}).`,
    remedy:
      place.by === 'mysql-gtid'
        ? 'Fill the gaps in gtid_executed (set gtid_next to each that is missing, with an empty transaction), or begin with a server that has a shorter history.'
        : 'Use fewer replication domains.',
    facts: { length: text.length },
  });
}
