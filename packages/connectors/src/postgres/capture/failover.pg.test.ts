import { int4, table } from '@millrace/core';
import type { Position } from '@millrace/core/runtime';
import pg from 'pg';
import { expect, test } from 'vitest';
import { logicalServer } from '../../../../../test/logical-server.ts';
import { begin, readToEnd, seeGroup, stream } from '../../../test/changes.ts';
import { testContext } from '../../../test/load.ts';
import { readPlan, wholeTable } from '../../../test/read.ts';
import { postgres } from '../index.ts';
import type { PostgresCaptureOptions } from './options.ts';

const items = table('items', { id: int4() }, { key: ['id'] });

test('a failover slot goes on at the promoted standby from what both servers have, and not from what only the old one had', async () => {
  await using primary = await logicalServer({ version: 18 });
  const database = await primary.database();
  await database.sql('create table items (id int4 primary key)');
  await database.sql(`select pg_create_physical_replication_slot('standby')`);
  const from = await primary.backup();
  const name = database.name;
  await using standby = await logicalServer({
    version: 18,
    from,
    standby: true,
    settings: {
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres password=millrace dbname=postgres`,
      primary_slot_name: 'standby',
      hot_standby_feedback: 'on',
      sync_replication_slots: 'on',
    },
  });
  const captured = postgres({ url: database.url }).capture({ items }, { failover: true });
  const { source, position } = await begin(captured, testContext());
  const identity = (await source.stream())?.identity;
  const at = standby.url.replace(/\/postgres$/, `/${name}`);
  const client = new pg.Client(at);
  client.on('error', () => {});
  await client.connect();
  const one = async (text: string): Promise<unknown> => Object.values((await client.query(text)).rows[0] ?? {})[0];

  // A standby keeps a slot once the slot has come to what the standby has: so the stream has to move.
  await database.sql('insert into items values (1)');
  let both = position;
  const stop = new AbortController();
  const reading = (async () => {
    for await (const group of source.read(position, { signal: stop.signal })) {
      await seeGroup(group);
      both = group.position();
      source.release(both);
    }
  })();
  const isKept = async (): Promise<unknown> => {
    await database.sql('select pg_log_standby_snapshot()');
    await source.nudge();
    return one('select synced and not temporary from pg_replication_slots where failover');
  };
  await expect.poll(isKept, { timeout: 30_000, interval: 300 }).toBe(true);
  stop.abort();
  await reading;
  await source[Symbol.asyncDispose]();
  const end = (await database.sql<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn'))[0]?.lsn ?? '';
  await expect.poll(() => one(`select pg_last_wal_replay_lsn() >= '${end}'`)).toBe(true);

  // The standby stops following; what the primary does now is known to its readers and lost.
  await client.query(`alter system set primary_conninfo = ''`);
  await client.query('select pg_reload_conf()');
  await expect.poll(() => one('select count(*)::int from pg_stat_wal_receiver')).toBe(0);
  await database.sql('insert into items values (2)');
  await using ahead = await captured.open(testContext(), stream);
  const lost = (await readToEnd(ahead, both)).at(-1)?.position as Position;
  await ahead[Symbol.asyncDispose]();
  await primary.stop('immediate');
  await client.query('select pg_promote()');
  await client.query('insert into items values (3)');
  await client.query('insert into items select n from generate_series(10, 3000) n');
  await client.end();

  const promoted = postgres({ url: at }).capture({ items }, { failover: true });
  await using wrong = await promoted.open(testContext(), stream);
  await expect(
    wrong
      .read(lost, { signal: AbortSignal.timeout(5_000) })
      [Symbol.asyncIterator]()
      .next(),
  ).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('timeline 2'),
  });
  await using right = await promoted.open(testContext(), stream);
  const status = await right.stream();
  expect(status?.identity).toEqual(identity);
  expect((status?.confirmed ?? '') <= both).toBe(true);
  const groups = await readToEnd(right, both);
  const ids = groups.flatMap(({ changes }) => changes.flatMap((change) => ('row' in change ? [change.row['id']] : [])));
  expect(ids.slice(0, 2)).toEqual([3, 10]);
  expect(groups.at(-1)?.position.startsWith('00000002')).toBe(true);
});

test('a standby that is promoted without the slot has no stream', async () => {
  await using primary = await logicalServer({ version: 16 });
  await using database = await primary.database();
  await database.sql('create table items (id int4 primary key)');
  const { source } = await begin(postgres({ url: database.url }).capture({ items }), testContext());
  await source[Symbol.asyncDispose]();
  await using restored = await logicalServer({ version: 16, from: await primary.backup() });
  await using again = await postgres({ url: restored.url.replace(/\/postgres$/, `/${database.name}`) })
    .capture({ items })
    .open(testContext(), stream);
  expect(await again.stream()).toBeNull();
});

test('a standby can be captured, with a publication that its primary made', async () => {
  await using primary = await logicalServer({ version: 18 });
  const database = await primary.database();
  await database.sql('create table items (id int4 primary key); insert into items values (1); create publication ours for table items');
  await database.sql(`select pg_create_physical_replication_slot('standby')`);
  await using standby = await logicalServer({
    version: 18,
    from: await primary.backup(),
    standby: true,
    settings: {
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres password=millrace`,
      primary_slot_name: 'standby',
      hot_standby_feedback: 'on',
    },
  });
  const url = standby.url.replace(/\/postgres$/, `/${database.name}`);
  expect(await problemsOf(url, {})).toEqual([expect.stringContaining('no publication can be made at a standby'), expect.anything()]);
  expect(await problemsOf(url, { publication: 'ours' })).toEqual([]);
  const captured = postgres({ url }).capture({ items }, { publication: 'ours' });
  await using source = await captured.open(testContext(), stream);
  // A slot at a standby waits for the primary to write which transactions run.
  const writes = setInterval(() => void database.sql('select pg_log_standby_snapshot()').catch(() => {}), 200);
  try {
    const { snapshot } = await source.create();
    await using rows = await snapshot.table('items');
    expect((await readPlan(rows, await rows.plan(wholeTable))).rows).toEqual([{ id: 1 }]);
    await snapshot[Symbol.asyncDispose]();
    await database.sql('insert into items values (2)');
    const stop = new AbortController();
    const ids: unknown[] = [];
    for await (const group of source.read(snapshot.position, { signal: stop.signal })) {
      for (const change of (await seeGroup(group)).changes) ids.push('row' in change ? change.row['id'] : null);
      source.release(group.position());
      if (ids.length > 0) stop.abort();
    }
    expect(ids).toEqual([2]);
    expect(await source.health()).toMatchObject({ state: 'reserved', warnings: [] });
  } finally {
    clearInterval(writes);
  }
});

async function problemsOf(url: string, options: PostgresCaptureOptions): Promise<string[]> {
  const findings = await postgres({ url }).capture({ items }, options).examine(testContext(), stream);
  return findings.filter(({ level }) => level === 'problem').map(({ message }) => message);
}
