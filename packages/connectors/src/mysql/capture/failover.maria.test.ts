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
  await replica.sql(
    `change master to master_host = '127.0.0.1', master_port = ${primary.port}, master_user = 'root', master_use_gtid = slave_pos, master_ssl_verify_server_cert = 0`,
    'start slave',
  );
  return replica;
}

async function caughtUp(replica: MariaDbServer, primary: MariaDbServer): Promise<void> {
  const [at] = await primary.sql('select @@gtid_binlog_pos as gtid');
  const [waited] = await replica.sql(`select master_gtid_wait('${at?.['gtid']}', 20) as waited`);
  expect(waited?.['waited']).toBe('0');
}

test('a replica that takes the place of its primary has the stream, at the same positions; one that lags behind is refused', async () => {
  await using primary = await mariaDbServer({ binlog: true, serverId: 1 });
  await primary.sql('create database shop', 'create table shop.items (id int primary key, note text)');
  await using replica = await replicaOf(primary, 2);
  const at = (server: MariaDbServer) => mariadb({ url: `${server.url}/shop` }).capture({ items });
  const { source, position } = await begin(at(primary), testContext());
  for (let id = 1; id <= 3; id++) await primary.sql(`insert into shop.items values (${id}, 'before')`);
  const before = await readToEnd(source, position);
  await source[Symbol.asyncDispose]();
  await caughtUp(replica, primary);
  const middle = before.find(({ changes }) => changes.length > 0)?.position ?? position;
  await replica.sql('stop slave', 'reset slave all', 'flush binary logs');
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
  const other = end?.replace('m0-2-', 'm0-1-') as Position;
  await expect(readToEnd(again, other)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED' });
});
