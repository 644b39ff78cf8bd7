import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { inSession, openTo, recordStream } from '../../../test/replicate.ts';

describe.for([14, 16, 18] as const)('version %i', (version) => {
  let server: LogicalServer;
  let database: TestDatabase;
  beforeAll(async () => {
    server = await logicalServer({
      version,
      settings: { max_slot_wal_keep_size: '2MB', max_replication_slots: 3, max_wal_senders: 3, max_wal_size: '4MB', min_wal_size: '2MB' },
    });
    database = await server.database();
    await database.sql('create table t (id int8); create publication p for table t');
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  test('a slot that is not there needs a resync', async () => {
    await using connection = await openTo(database.url);
    await expect(recordStream(connection, 'nowhere')).rejects.toMatchObject({
      code: 'RESYNC_REQUIRED',
      message: expect.stringContaining('"nowhere" does not exist'),
      facts: { slot: 'nowhere', reason: 'missing' },
    });
  });

  test('a slot that another process reads is busy, and free once that is gone', async () => {
    await using one = await openTo(database.url);
    await using two = await openTo(database.url);
    await one.createSlot({ name: 'shared' });
    const { stream } = await recordStream(one, 'shared');
    const busy = { code: 'SLOT_BUSY', facts: { slot: 'shared', reason: 'active' } };
    await expect(recordStream(two, 'shared')).rejects.toMatchObject(busy);
    await expect(two.dropSlot('shared')).rejects.toMatchObject(busy);
    await expect(two.createSlot({ name: 'shared' })).rejects.toMatchObject({ code: 'SLOT_BUSY', facts: { reason: 'exists' } });
    await stream.end();
    const again = await recordStream(two, 'shared');
    await again.stream.end();
    expect(await two.dropSlot('shared')).toBe(true);
  });

  test('a slot whose log the server has thrown away needs a resync, while it is read and afterwards', async () => {
    await using connection = await openTo(database.url);
    await connection.createSlot({ name: 'lost' });
    await using reader = await openTo(database.url);
    const { stream } = await recordStream(reader, 'lost');
    stream.pause();
    for (let n = 0; n < 8; n++) {
      await inSession(server.url, `select pg_logical_emit_message(false, 'fill', repeat('x', 900000)), pg_switch_wal()`);
    }
    await inSession(server.url, 'checkpoint');
    stream.resume();
    await expect(stream.done).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION_FAILED|RESYNC_REQUIRED/) });
    const lost = { code: 'RESYNC_REQUIRED', facts: { slot: 'lost', reason: 'invalidated' } };
    await expect(recordStream(connection, 'lost')).rejects.toMatchObject(lost);
    expect(await connection.dropSlot('lost')).toBe(true);
  });

  test('a publication that is not there is told as such', async () => {
    await using connection = await openTo(database.url);
    await connection.createSlot({ name: 'unpublished', temporary: true });
    const start = async () => {
      const { stream } = await recordStream(connection, 'unpublished', { publications: ['nothing'] });
      await database.sql('insert into t values (1)'); // it is looked for at the first change
      await stream.done;
    };
    await expect(start()).rejects.toMatchObject({ code: 'TABLE_MISSING', facts: { reason: 'publication' } });
  });

  test('a user without the privilege is told which one', async () => {
    await database.sql(`create role plain login password 'not so plain'`);
    const url = new URL(database.url);
    url.username = 'plain';
    url.password = 'not so plain';
    await expect(openTo(url.href)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      remedy: expect.stringContaining('ALTER ROLE plain REPLICATION'),
    });
  });

  test('a server without a free slot, or a free walsender, says which setting to raise', async () => {
    await using connection = await openTo(database.url);
    for (const name of ['a', 'b', 'c']) await connection.createSlot({ name, temporary: true });
    await expect(connection.createSlot({ name: 'd' })).rejects.toMatchObject({
      code: 'SLOT_LIMIT',
      remedy: expect.stringContaining('max_replication_slots'),
    });
    await using two = await openTo(database.url);
    await using three = await openTo(database.url);
    await expect(openTo(database.url)).rejects.toMatchObject({
      code: 'CONNECTION_LIMIT',
      remedy: expect.stringContaining('max_wal_senders'),
    });
    expect([two.ended, three.ended]).toEqual([false, false]);
  });

  test('a slot does not wait for ever for a transaction that somebody left open', async () => {
    await using connection = await openTo(database.url);
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const { rows } = await client
      .query<{ pid: number }>('begin; insert into t values (1); select pg_backend_pid() as pid')
      .then((results) => (results as unknown as { rows: { pid: number }[] }[]).at(-1)!);
    await expect(connection.createSlot({ name: 'patient', patienceMs: 300 })).rejects.toMatchObject({
      code: 'SLOT_WAITS',
      message: expect.stringContaining(`process ${rows[0]!.pid} of postgres`),
      facts: { pids: [rows[0]!.pid] },
    });
    await client.query('commit');
    await client.end();
    expect(await database.sql('select 1 from pg_replication_slots')).toEqual([]);
    await connection.createSlot({ name: 'patient', temporary: true, patienceMs: 10_000 });
  });

  test('standbys keep a failover slot where the version can, and prepared transactions are asked for where it can', async () => {
    await using connection = await openTo(database.url);
    const slot = await connection.createSlot({ name: 'kept', failover: true });
    expect(slot.failover).toBe(version >= 17);
    if (version >= 17) expect(await database.sql('select failover from pg_replication_slots')).toEqual([{ failover: true }]);
    await connection.dropSlot('kept');
    const phases = connection.createSlot({ name: 'phases', temporary: true, twoPhase: true });
    if (version >= 15) expect((await phases).name).toBe('phases');
    else await expect(phases).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

test.for([14, 18] as const)('a server of version %i that does not send changes says which setting to change', async (version) => {
  await using server = await logicalServer({ version, settings: { wal_level: 'replica' } });
  await using connection = await openTo(server.url);
  await expect(connection.createSlot({ name: 'early' })).rejects.toMatchObject({
    code: 'REPLICATION_OFF',
    remedy: expect.stringContaining('rds.logical_replication'),
  });
  await server.stop();
  await server.start({ wal_level: 'logical', max_replication_slots: 0 });
  await using again = await openTo(server.url);
  await expect(again.createSlot({ name: 'early' })).rejects.toMatchObject({
    code: 'REPLICATION_OFF',
    facts: { reason: 'max_replication_slots' },
  });
});
