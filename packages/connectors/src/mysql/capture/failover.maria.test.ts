import { int4, table, text } from '@millrace/core';
import type { Position } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, readToEnd, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

const items = table('items', { id: int4(), note: text().orNull() }, { key: ['id'] });

async function replicaOf(primary: MariaDbServer, serverId: number): Promise<MariaDbServer> {
  const replica = await mariaDbServer({ binlog: true, serverId });
  const at = `_host = '127.0.0.1', _port = ${primary.port}, _user = 'root'`;
  if (replica.flavour === 'mariadb') {
    const master = at.replaceAll(/(^|, )_/g, '$1master_');
    await replica.sql(`change master to ${master}, master_use_gtid = slave_pos, master_ssl_verify_server_cert = 0`, 'start slave');
    return replica;
  }
  const source = at.replaceAll(/(^|, )_/g, '$1source_');
  await replica.sql(`change replication source to ${source}, source_auto_position = 1, source_ssl = 1`, 'start replica');
  return replica;
}

async function caughtUp(replica: MariaDbServer, primary: MariaDbServer): Promise<void> {
  if (replica.flavour === 'mariadb') {
    const [at] = await primary.sql('select @@gtid_binlog_pos as gtid');
    const [waited] = await replica.sql(`select master_gtid_wait('${at?.['gtid']}', 20) as waited`);
    expect(waited?.['waited']).toBe('0');
    return;
  }
  const [at] = await primary.sql('select @@global.gtid_executed as gtid');
  const [waited] = await replica.sql(`select wait_for_executed_gtid_set('${at?.['gtid']}', 20) as waited`);
  expect(waited?.['waited']).toBe('0');
}

/** It follows nobody any more. */
const promote = (replica: MariaDbServer): Promise<unknown> =>
  replica.flavour === 'mariadb'
    ? replica.sql('stop slave', 'reset slave all', 'flush binary logs')
    : replica.sql('stop replica', 'reset replica all', 'flush binary logs');

test('a replica that takes the place of its primary has the stream, at the same positions; one that lags behind is refused', async () => {
  await using primary = await mariaDbServer({ binlog: true, serverId: 1 });
  await primary.sql('create database shop', 'create table shop.items (id int primary key, note text)');
  await using replica = await replicaOf(primary, 2);
  const at = (server: MariaDbServer) => mariadb({ url: `${server.url}/shop` }).capture({ items });
  const { source, position } = await begin(at(primary), testContext());
  // Transactions that are counted under a tag are another series of the same server.
  const tagged = primary.flavour === 'mysql' ? [`set session gtid_next = 'automatic:web'`] : [];
  for (let id = 1; id <= 3; id++) await primary.sql(...(id === 2 ? tagged : []), `insert into shop.items values (${id}, 'before')`);
  const before = await readToEnd(source, position);
  await source[Symbol.asyncDispose]();
  await caughtUp(replica, primary);
  const middle = before.find(({ changes }) => changes.length > 0)?.position ?? position;
  await promote(replica);
  await primary.sql(`insert into shop.items values (9, 'lost with the old primary')`);
  await using ahead = await at(primary).open(testContext(), stream);
  const beyond = (await readToEnd(ahead, middle)).at(-1)?.position ?? middle;
  await replica.sql(`insert into shop.items values (4, 'after')`);
  await using promoted = await at(replica).open(testContext(), stream);
  expect(await promoted.stream()).toMatchObject({ identity: { origin: position } });
  const after = await readToEnd(promoted, position);
  const changes = (groups: typeof before) => brief(groups.flatMap(({ changes: all }) => all));
  expect(changes(after)).toEqual([...changes(before), { op: 'insert', table: 'items', row: { id: 4, note: 'after' } }]);
  const commits = (groups: typeof before) =>
    groups.flatMap(({ transactions }) => transactions.map(({ commit, xid, committedAt }) => ({ commit, xid, committedAt })));
  expect(commits(after).slice(0, commits(before).length)).toEqual(commits(before));
  await promoted[Symbol.asyncDispose]();
  // What only the old primary had was read by somebody: the new one cannot go on from there.
  await using again = await at(replica).open(testContext(), stream);
  await expect(readToEnd(again, beyond)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
  // Also where both have come equally far.
  const { end } = (await again.stream()) ?? {};
  const other = (
    primary.flavour === 'mariadb'
      ? end?.replace('m0-2-', 'm0-1-')
      : end?.replace(/:1-(\d+)(\..+):1-(\d+)$/, (_, one, between, last) => `:1-${Number(one) + 1}${between}:1-${Number(last) - 1}`)
  ) as Position;
  expect(other).not.toBe(end);
  await expect(readToEnd(again, other)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
});
