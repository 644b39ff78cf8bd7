import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import type { Heard } from '../../../test/record-pgoutput.ts';
import { inSession, openTo, recordStream } from '../../../test/replicate.ts';
import type { Relation } from './relation.ts';

describe.for([14, 16, 18] as const)('a stream of version %i', (version) => {
  let server: LogicalServer;
  let database: TestDatabase;
  beforeAll(async () => {
    server = await logicalServer({ version, settings: { logical_decoding_work_mem: '64kB', wal_sender_timeout: '6s' } });
    database = await server.database();
    // Values are the same text whatever the database is set to.
    await database.sql(`
      alter database ${database.name} set datestyle = 'SQL, DMY';
      alter database ${database.name} set timezone = 'Asia/Tokyo';
      alter database ${database.name} set bytea_output = 'escape';
      alter database ${database.name} set intervalstyle = 'postgres_verbose';
      alter database ${database.name} set extra_float_digits = 0`);
    await database.sql(`
      create type mood as enum ('good', 'bad');
      create domain amount as numeric(10, 2);
      create table t (id int8 primary key, v text);
      create table wide (id int4 primary key, big text, n int4);
      alter table wide alter column big set storage external;
      create table whole (a int4, b text);
      alter table whole replica identity full;
      create table kinds (id int4 primary key, m mood, a amount, at timestamptz, d date, i interval, f float8, y bytea);
      create table heap (n int4);
      create publication p for all tables`);
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  /** What a stream says of some statements, each in a transaction of its own, without begins, commits and relations. */
  async function changesOf(
    statements: string | readonly string[],
    commits: number,
    options: Parameters<typeof recordStream>[2] = {},
  ): Promise<Heard[]> {
    await using connection = await openTo(database.url);
    await connection.createSlot({ name: 'changes', temporary: true });
    await inSession(database.url, ...[statements].flat());
    const recording = await recordStream(connection, 'changes', options);
    await recording.commits(commits);
    await recording.stream.end();
    return recording.heard;
  }
  const rowsOf = (heard: readonly Heard[]): unknown[] =>
    heard.filter(([what]) => /insert|update|delete/.test(what)).map(([what, , ...told]) => [what, ...told]);

  test('inserts, updates, changes of the key and deletes', async () => {
    const heard = await changesOf(
      `insert into t values (1, 'one'), (2, null); update t set v = 'two' where id = 2; update t set id = 3 where id = 2; delete from t`,
      1,
    );
    expect(heard.map(([what]) => what)).toEqual([
      'begin',
      'relation',
      'insert',
      'insert',
      'update',
      'update',
      'delete',
      'delete',
      'commit',
    ]);
    expect(rowsOf(heard)).toEqual([
      ['insert', ['1', 'one'], 0],
      ['insert', ['2', null], 0],
      ['update', null, null, ['2', 'two'], 0],
      ['update', ['2', null], 'key', ['3', 'two'], 0],
      ['delete', ['1', null], 'key', 0],
      ['delete', ['3', null], 'key', 0],
    ]);
    const [, relation] = heard.find(([what]) => what === 'relation') as [string, Relation];
    expect(relation).toEqual({
      oid: expect.any(Number),
      namespace: 'public',
      name: 't',
      identity: 'default',
      columns: [
        { name: 'id', key: true, typeOid: 20, typmod: -1 },
        { name: 'v', key: false, typeOid: 25, typmod: -1 },
      ],
    });
    const [begin, commit] = [heard[0]!, heard.at(-1)!] as [Heard, [string, { lsn: bigint; end: bigint; at: bigint }]];
    expect(begin.slice(2)).toEqual([commit[1].lsn, commit[1].at]);
    expect(commit[1].end).toBeGreaterThan(commit[1].lsn);
    expect(Math.abs(Number(commit[1].at / 1000n) - Date.now())).toBeLessThan(60_000);
  });

  test('an unchanged large value is told from NULL', async () => {
    const big = `repeat(md5('x'), 500)`;
    const heard = await changesOf(`insert into wide values (1, ${big}, 1); update wide set n = 2; update wide set big = null`, 1);
    const [[, inserted], [, , , updated], [, , , nulled]] = rowsOf(heard) as [unknown[], unknown[], unknown[]];
    expect((inserted as string[])[1]).toHaveLength(16_000);
    expect(updated).toEqual(['1', undefined, '2']);
    expect(nulled).toEqual(['1', null, '2']);
  });

  test('with replica identity FULL the whole row before comes too', async () => {
    const heard = await changesOf(`insert into whole values (1, null); update whole set b = 'x'; delete from whole`, 1);
    expect(rowsOf(heard)).toEqual([
      ['insert', ['1', null], 0],
      ['update', ['1', null], 'row', ['1', 'x'], 0],
      ['delete', ['1', 'x'], 'row', 0],
    ]);
  });

  test('truncates name their tables and options', async () => {
    const heard = await changesOf('truncate t, heap restart identity cascade', 1);
    const tables = await database.sql<{ oid: string }>(`select oid from pg_class where relname in ('t', 'heap')`);
    const [, relations, options] = heard.find(([what]) => what === 'truncate')!;
    expect([...(relations as number[])].sort()).toEqual(tables.map(({ oid }) => Number(oid)).sort());
    expect(options).toEqual({ cascade: true, restartIdentity: true });
  });

  test('types are named, and values are the same text whatever the database is set to', async () => {
    const heard = await changesOf(
      String.raw`insert into kinds values (1, 'bad', 1.5, '2026-01-31 23:59:59.123456+01', '2026-01-31', '1 day 02:03:04', 0.1::float8 + 0.2, '\xdeadbeef')`,
      1,
    );
    expect(rowsOf(heard)).toEqual([
      [
        'insert',
        ['1', 'bad', '1.50', '2026-01-31 22:59:59.123456+00', '2026-01-31', 'P1DT2H3M4S', '0.30000000000000004', '\\xdeadbeef'],
        0,
      ],
    ]);
    const types = heard.filter(([what]) => what === 'type').map(([, type]) => (type as { name: string }).name);
    expect(types).toContain('mood');
  });

  test('values come in their binary form when asked for', async () => {
    const heard = await changesOf(`insert into t values (258, 'text')`, 1, { binary: true });
    expect(rowsOf(heard)).toEqual([['insert', ['\0\0\0\0\0\0\x01\x02', 'text'], 0]]);
    await database.sql('delete from t');
  });

  test('messages come within their transaction, or at once', async () => {
    const heard = await changesOf(
      `select pg_logical_emit_message(true, 'inside', 'one'), pg_logical_emit_message(false, 'outside', '\\x0001'::bytea)`,
      1,
    );
    const messages = heard.filter(([what]) => what === 'message');
    expect(messages).toEqual([
      ['message', 'outside', '\0\x01', { transactional: false, lsn: expect.any(BigInt) }, 0],
      ['message', 'inside', 'one', { transactional: true, lsn: expect.any(BigInt) }, 0],
    ]);
    expect(heard.map(([what]) => what)).toEqual(['message', 'begin', 'message', 'commit']);
  });

  test('the origin of a transaction is told', async () => {
    const heard = await changesOf(
      [
        `select pg_replication_origin_create('elsewhere')`,
        `select pg_replication_origin_session_setup('elsewhere')`,
        'begin',
        `select pg_replication_origin_xact_setup('0/1234', '2026-01-01')`,
        'insert into heap values (1)',
        'commit',
        'select pg_replication_origin_session_reset()',
      ],
      1,
    );
    expect(heard.filter(([what]) => what === 'origin')).toEqual([['origin', 'elsewhere', 0x1234n]]);
  });

  test('a large transaction comes while it is open, and what it takes back is told', async () => {
    const client = `do $$ begin
      insert into t select i, repeat('a', 100) from generate_series(1, 2000) i;
      begin
        insert into t select i, repeat('b', 100) from generate_series(2001, 4000) i;
        raise exception 'back';
      exception when raise_exception then null;
      end;
      insert into t select i, repeat('c', 100) from generate_series(4001, 6000) i;
    end $$`;
    const heard = await changesOf(client, 1);
    const started = heard.filter(([what]) => what === 'streamStart');
    expect(started.map(([, , first]) => first)).toEqual([true, ...started.slice(1).map(() => false)]);
    const xid = started[0]![1] as number;
    const aborted = new Set(heard.filter(([what, of, sub]) => what === 'streamAbort' && of === xid && sub !== xid).map(([, , sub]) => sub));
    const kept = new Map<string, string>();
    for (const [what, , row, by] of heard) {
      if (what === 'insert' && !aborted.has(by)) kept.set((row as string[])[0]!, (row as string[])[1]![0]!);
    }
    expect(aborted.size).toBe(1);
    expect(kept.size).toBe(4000);
    expect(new Set(kept.values())).toEqual(new Set(['a', 'c']));
    expect(heard.at(-1)?.slice(0, 2)).toEqual(['streamCommit', xid]);
    await database.sql('truncate t');
  });

  test('a large transaction that is taken back is told as a whole', async () => {
    await using connection = await openTo(database.url);
    await connection.createSlot({ name: 'back', temporary: true });
    const { stream, heard, commits } = await recordStream(connection, 'back');
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query(`begin; insert into t select i, repeat('a', 100) from generate_series(1, 2000) i`);
    await expect.poll(() => heard.at(-1)?.[0], { timeout: 10_000 }).toBe('streamStop');
    await client.query(`rollback; insert into t values (1, 'after')`);
    await client.end();
    await commits(1);
    const xid = heard.find(([what]) => what === 'streamStart')?.[1];
    expect(heard.filter(([what]) => what === 'streamAbort')).toEqual([['streamAbort', xid, xid]]);
    expect(rowsOf(heard).at(-1)).toEqual(['insert', ['1', 'after'], 0]);
    await stream.end();
    await database.sql('truncate t');
  });

  test('without streaming a large transaction comes when it commits', async () => {
    const heard = await changesOf(`insert into t select i, repeat('a', 100) from generate_series(1, 3000) i`, 1, { streaming: false });
    expect(heard[0]?.[0]).toBe('begin');
    expect(rowsOf(heard)).toHaveLength(3000);
    await database.sql('truncate t');
  });

  if (version >= 15)
    test('two-phase transactions come when they are prepared, small ones and streamed ones', async () => {
      await using connection = await openTo(database.url);
      await connection.createSlot({ name: 'phases', temporary: true, twoPhase: true });
      await inSession(
        database.url,
        `begin; insert into t values (1, 'one'); prepare transaction 'first'`,
        `commit prepared 'first'`,
        `begin; insert into t values (2, 'two'); prepare transaction 'second'`,
        `rollback prepared 'second'`,
        `begin; insert into t select i, repeat('a', 100) from generate_series(3, 2000) i; prepare transaction 'third'`,
        `commit prepared 'third'`,
      );
      const { stream, heard } = await recordStream(connection, 'phases', { twoPhase: true });
      const phases = () => heard.filter(([what]) => /prepare/i.test(what)).map(([what, one]) => [what, (one as { gid: string }).gid]);
      await expect.poll(phases, { timeout: 10_000 }).toEqual([
        ['beginPrepare', 'first'],
        ['prepare', 'first'],
        ['commitPrepared', 'first'],
        ['beginPrepare', 'second'],
        ['prepare', 'second'],
        ['rollbackPrepared', 'second'],
        ['streamPrepare', 'third'],
        ['commitPrepared', 'third'],
      ]);
      await stream.end();
      await database.sql('truncate t');
    });

  test('only what was released is confirmed; a keepalive lets go of what was not ours', async () => {
    await using connection = await openTo(database.url);
    await connection.createSlot({ name: 'confirmed' });
    const confirmed = async (): Promise<string> => {
      const [row] = await database.sql<{ lsn: string }>(
        `select (confirmed_flush_lsn - '0/0')::text as lsn from pg_replication_slots where slot_name = 'confirmed'`,
      );
      return row?.lsn ?? '';
    };
    const before = await confirmed();
    const recording = await recordStream(connection, 'confirmed');
    await database.sql(`insert into t values (1, 'one')`);
    await recording.commits(1);
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // at 2 s the server has heard of us by itself
    expect(await confirmed()).toBe(before);

    const { end } = recording.heard.at(-1)![1] as { end: bigint };
    recording.stream.release(end);
    recording.stream.release(1n); // never goes back
    await expect.poll(confirmed, { timeout: 3_000 }).toBe(String(end));

    await database.sql('create unlogged table elsewhere as select generate_series(1, 10000) i; drop table elsewhere');
    const [{ now } = { now: '' }] = await database.sql<{ now: string }>(`select (pg_current_wal_lsn() - '0/0')::text as now`);
    await expect.poll(() => Number(recording.keepalives.at(-1) ?? 0), { timeout: 8_000 }).toBeGreaterThanOrEqual(Number(now));
    recording.stream.release(recording.keepalives.at(-1)!);
    await expect.poll(async () => Number(await confirmed()), { timeout: 3_000 }).toBeGreaterThanOrEqual(Number(now));
    await recording.stream.end();
    expect(await connection.dropSlot('confirmed')).toBe(true);
    expect(await connection.dropSlot('confirmed')).toBe(false);
    await database.sql('truncate t');
  });

  test('the snapshot and the stream of a slot have no gap and no overlap', async () => {
    await using connection = await openTo(database.url);
    await database.sql(`insert into t values (1, 'before')`);
    const slot = await connection.createSlot({ name: 'handoff', temporary: true, snapshot: 'export' });
    await database.sql(`insert into t values (2, 'after')`);
    const begin = `begin isolation level repeatable read; set transaction snapshot '${slot.snapshotName}'`;
    expect(await inSession(database.url, begin, 'select v from t')).toEqual([{ v: 'before' }]);
    const { stream, heard, commits } = await recordStream(connection, 'handoff');
    await commits(1);
    expect(rowsOf(heard)).toEqual([['insert', ['2', 'after'], 0]]);
    expect((heard.at(-1)![1] as { lsn: bigint }).lsn).toBeGreaterThanOrEqual(slot.consistentPoint);
    await stream.end();
    await database.sql('truncate t');
  });
});
