import { expect, test } from 'vitest';
import { filterProblems, settingProblems } from './log-settings.ts';

const well = {
  log_bin: 'ON',
  server_id: '1',
  binlog_format: 'ROW',
  binlog_row_image: 'FULL',
  binlog_row_metadata: 'FULL',
  read_only: 'OFF',
  wsrep_on: null,
  wsrep_gtid_mode: null,
};
const told = (variables: Readonly<Record<string, string | null>>) =>
  settingProblems('shop', { ...well, ...variables }).map(({ message }) => message);

test('nodes of a cluster are one source only where they number transactions together, and log what they get', () => {
  expect(told({})).toEqual([]);
  expect(told({ wsrep_on: 'OFF', wsrep_gtid_mode: 'OFF' })).toEqual([]);
  expect(told({ wsrep_on: 'ON', wsrep_gtid_mode: 'ON', log_slave_updates: 'ON' })).toEqual([]);
  expect(told({ wsrep_on: 'ON', wsrep_gtid_mode: 'OFF', log_slave_updates: 'ON' })).toEqual([
    expect.stringContaining('wsrep_gtid_mode is OFF'),
  ]);
  expect(told({ wsrep_on: 'ON', wsrep_gtid_mode: 'ON', log_slave_updates: 'OFF' })).toEqual([
    expect.stringContaining('log_slave_updates is OFF'),
  ]);
});

test('databases that the log leaves out', () => {
  const found = (only: string[], without: string[]) =>
    filterProblems('shop', { only, without }, ['shop', '_millrace']).map(({ level, message }) => `${level} ${message}`);
  expect(found([], [])).toEqual([]);
  expect(found(['shop'], [])).toEqual([expect.stringContaining('problem binlog_do_db = shop: what happens in "_millrace"')]);
  expect(found([], ['shop', 'other'])).toEqual([expect.stringContaining('problem binlog_ignore_db = shop, other: what happens in "shop"')]);
  expect(found(['shop', '_millrace'], ['shop'])).toEqual([expect.stringContaining('warning')]);
  expect(found([], ['other'])).toEqual([expect.stringContaining('warning binlog_ignore_db = other: ALTER and TRUNCATE')]);
});
