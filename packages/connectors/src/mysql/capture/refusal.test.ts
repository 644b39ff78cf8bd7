import { MillraceError } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { ServerRefusal } from '../wire/refusal.ts';
import { refusal } from './refusal.ts';

const other = new MillraceError('STATEMENT_FAILED', { message: 'another one', remedy: '' });
const codeOf = (text: string): string =>
  (refusal(new ServerRefusal(1236, 'HY000', text), { label: 'shop', pipeline: 'p', stream: { error: () => other } }) as MillraceError).code;

// As MySQL 5.7 to 9.7 and MariaDB 10.11 have them.
test.each([
  'Could not find first log file name in binary log index file',
  'Client requested source to start replication from position > file size',
  'Client requested master to start replication from impossible position',
  'Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere, or provision a new replica from backup.',
  'The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but the master has purged binary logs containing GTIDs that the slave requires.',
  "Replica has more GTIDs than the source has, using the source's SERVER_UUID.",
  'The replication sender thread cannot start in AUTO_POSITION mode: this server has GTID_MODE = OFF instead of ON.',
  'Found old binary log without GTIDs while looking for the oldest binary log that contains any GTID that is not in the given gtid set',
  'Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.',
  "Error: connecting slave requested to start from GTID 0-1-5, which is not in the master's binlog",
])('what is gone asks for a new copy: %s', (text) => {
  expect(codeOf(text)).toBe('RESYNC_REQUIRED');
});

test.each([
  'Could not open log file',
  'could not find next log',
  'I/O error reading log event',
  'I/O error reading the header from the binary log, errno=24, io cache code=0',
  'binlog truncated in the middle of event; consider out of disk space on source',
  'event read from binlog did not pass crc check',
  'bogus data in log event',
])('what may pass is tried again: %s', (text) => {
  expect(codeOf(text)).toBe('CONNECTION_FAILED');
});

test.each([
  'A slave with the same server_uuid/server_id as this slave has connected to the master',
  'A replica with the same server_uuid/server_id as this replica has connected to the source',
  'Could not start dump thread for slave: 7 as it has already a running dump thread',
])('another reader with the same number: %s', (text) => {
  expect(codeOf(text)).toBe('SLOT_BUSY');
});
