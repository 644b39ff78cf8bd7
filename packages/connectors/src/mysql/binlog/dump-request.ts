import { literal } from '../literal.ts';
import type { Server } from '../server.ts';
import type { GtidSet } from './mysql-gtid.ts';

/** Where a log is to begin, and who asks for it. */
export interface DumpFrom {
  readonly place:
    | { readonly by: 'maria-gtid'; readonly position: string }
    | { readonly by: 'mysql-gtid'; readonly set: GtidSet }
    | { readonly by: 'file'; readonly name: string; readonly offset: number };
  /** Of all that read from one server each needs its own: the server ends an older connection with the same one. */
  readonly serverId: number;
  /** The same for MySQL. */
  readonly uuid: string;
}

const comRegister = 0x15;
const comDump = 0x12;
const comDumpGtid = 0x1e;

/** What a replica tells the server about itself before it asks for the log. */
export function sessionVariables(flavour: Server['flavour'], { place, uuid }: DumpFrom, heartbeatSeconds: number): string[] {
  const period = heartbeatSeconds * 1_000_000_000;
  const both = [
    // The checksums that the log has, whatever they are: the format description says.
    '@master_binlog_checksum = @@global.binlog_checksum',
    `@master_heartbeat_period = ${period}`,
    // A reader that is held up for long is not one that has gone.
    'SESSION net_write_timeout = 86400',
  ];
  if (flavour === 'mysql')
    return [
      ...both,
      '@source_binlog_checksum = @@global.binlog_checksum',
      `@source_heartbeat_period = ${period}`,
      `@slave_uuid = ${literal(uuid)}`,
      `@replica_uuid = ${literal(uuid)}`,
    ];
  return [
    ...both,
    // "Understands GTIDs": else the server rewrites its events for clients that do not.
    '@mariadb_slave_capability = 4',
    ...(place.by === 'maria-gtid'
      ? [`@slave_connect_state = ${literal(place.position)}`, '@slave_gtid_strict_mode = 1', '@slave_gtid_ignore_duplicates = 0']
      : []),
  ];
}

/** COM_REGISTER_SLAVE without a host to be called back at. */
export function registration({ serverId }: DumpFrom): Buffer {
  const bytes = Buffer.alloc(18);
  bytes[0] = comRegister;
  bytes.writeUInt32LE(serverId, 1);
  return bytes;
}

/** COM_BINLOG_DUMP, or COM_BINLOG_DUMP_GTID of MySQL; MariaDB has been told its GTID by a variable. */
export function dumpRequest(flavour: Server['flavour'], { place, serverId }: DumpFrom): Buffer {
  if (place.by === 'mysql-gtid' && flavour === 'mysql') {
    const set = place.set.encode();
    const bytes = Buffer.alloc(23);
    bytes[0] = comDumpGtid;
    bytes.writeUInt32LE(serverId, 3);
    bytes.writeBigUInt64LE(4n, 11);
    bytes.writeUInt32LE(set.length, 19);
    return Buffer.concat([bytes, set]);
  }
  const [name, offset] = place.by === 'file' ? [place.name, place.offset] : ['', 4];
  const bytes = Buffer.alloc(11);
  bytes[0] = comDump;
  bytes.writeUInt32LE(offset, 1);
  bytes.writeUInt32LE(serverId, 7);
  return Buffer.concat([bytes, Buffer.from(name, 'utf8')]);
}
