import { expect, test } from 'vitest';
import { type LogicalServer, logicalServer } from '../logical-server.ts';
import { following } from './following.ts';
import { inSession } from './in-session.ts';
import { contents } from './live-mirror.ts';

/* 001_rep_changes, 010_truncate, 021_twophase, 038_walsnd_shutdown_timeout: servers that stop and crash in between, and commits that wait for the target. */
const servers = async (): Promise<{ readonly at: LogicalServer; readonly to: LogicalServer } & AsyncDisposable> => {
  const settings = { synchronous_commit: 'on' };
  const [at, to] = await Promise.all([logicalServer({ settings }), logicalServer({ settings })]);
  return {
    at,
    to,
    async [Symbol.asyncDispose]() {
      await at[Symbol.asyncDispose]();
      await to[Symbol.asyncDispose]();
    },
  };
};

test('021_twophase: prepared transactions outlive crashes of the source, of the target and of both, and are committed or rolled back after them', {
  timeout: 120_000,
}, async () => {
  await using both = await servers();
  const { at, to } = both;
  const target = await to.database();
  await following(
    at,
    { target, before: 'create table two (a int primary key); insert into two select generate_series(1, 10)' },
    async ({ does, source, equal, finds, mirror }) => {
      const crash = async (...crashed: readonly LogicalServer[]): Promise<void> => {
        for (const server of crashed) await server.stop('immediate');
        for (const server of crashed) await server.start();
      };
      const goOn = async (): Promise<void> => {
        await mirror.stop();
        await mirror.start();
        await does();
      };
      await does('insert into two values (11)');
      for (const [number, crashed, end] of [
        [20, [to, at], 'rollback'],
        [30, [to, at], 'commit'],
        [40, [to], 'commit'],
        [50, [at], 'commit'],
      ] as const) {
        await source.sql(`begin; insert into two values (${number}), (${number + 1}); prepare transaction 'test'`);
        await crash(...crashed);
        await source.sql(`${end} prepared 'test'`);
        await goOn();
        await equal('two');
      }
      await finds('select a from two where a > 11 order by a', ['30', '31', '40', '41', '50', '51']);
    },
  );
});

test('001_rep_changes, 038_walsnd_shutdown_timeout: a source that is asked to stop does so while the target is locked, and nothing is missing afterwards', {
  timeout: 60_000,
}, async () => {
  await using both = await servers();
  const { at, to } = both;
  const target = await to.database();
  await following(at, { target, before: 'create table stopped (id int primary key)' }, async ({ does, source, equal, mirror }) => {
    await does('insert into stopped values (0)');
    const locking = inSession(target.url);
    await locking('begin', 'lock table stopped in exclusive mode');
    await source.sql('insert into stopped select generate_series(1, 2000)');
    const stopped = at.stop('fast');
    const first = await Promise.race([stopped.then(() => 'stopped'), new Promise((resolve) => setTimeout(resolve, 8_000, 'waits'))]);
    await locking('rollback');
    await stopped;
    expect(first).toBe('stopped');
    await locking.end();
    await at.start();
    await mirror.stop();
    await mirror.start();
    await does('insert into stopped values (-1)');
    await equal('stopped');
  });
});

test('010_truncate: where commits of the source wait for a stream that is under way, they wait until the target has them', {
  timeout: 60_000,
}, async () => {
  await using both = await servers();
  const { at, to } = both;
  const target = await to.database();
  await following(at, { target, before: 'create table waited (a int primary key)' }, async ({ does, source }) => {
    const streams = async (state: string): Promise<void> => {
      const found = async () =>
        (await source.sql(`select from pg_stat_replication where state = 'streaming' and sync_state = '${state}'`)).length;
      await expect.poll(found).toBe(1);
    };
    const waits = async (names: string): Promise<void> => {
      await source.sql(`alter system set synchronous_standby_names = '${names}'`);
      await source.sql('select pg_reload_conf()');
    };
    await does('insert into waited values (1)');
    await streams('async');
    await waits('*');
    await streams('sync');
    await source.sql('insert into waited values (2), (3)');
    const inserted = await contents(target, 'waited');
    await source.sql('truncate waited');
    const emptied = await contents(target, 'waited');
    await waits('');
    expect([inserted, emptied]).toEqual([['(1)', '(2)', '(3)'], []]);
  });
});

test('columns keep their values where a name goes from one to another and the stream begins again', { timeout: 60_000 }, async () => {
  await using server = await logicalServer({ settings: { synchronous_commit: 'on' } });
  const before = `create table reused (id int primary key, a text); insert into reused values (1, 'a');
    create table remade (id int primary key, a text); insert into remade values (1, 'a');
    create table swapped (id int primary key, a text, b text); insert into swapped values (1, 'a', 'b')`;
  await following(server, { before, capture: { schemaChanges: { drop: 'apply' } } }, async ({ does, source, target, equal, mirror }) => {
    const again = async (): Promise<void> => {
      await mirror.stop();
      await mirror.start();
    };
    await does();
    await does(`alter table reused rename a to was; alter table reused add a text default 'new'`, 'insert into reused values (2)');
    await equal('reused');
    for (const id of [3, 4]) {
      await again();
      await does(`insert into reused (id) values (${id})`);
      await equal('reused');
    }
    await does('alter table remade drop a', 'alter table remade add a text', `update remade set a = 'n'`);
    await equal('remade');
    await again();
    await source.sql('insert into remade (id) values (2)');
    expect(await mirror.failure()).toMatchObject({ code: 'SCHEMA_CHANGED', remedy: expect.stringContaining('resync') });
    expect(await target.sql('select * from remade')).toEqual([{ id: 1, a: 'n' }]);
  });
  await following(server, { before }, async ({ does, source, target, equal, mirror }) => {
    await does();
    await does('alter table swapped rename a to c; alter table swapped rename b to a; alter table swapped rename c to b');
    await does(`insert into swapped values (2, 'is b', 'is a')`);
    await equal('swapped');
    const followed = await contents(target, 'swapped');
    await mirror.stop();
    await source.sql('insert into swapped values (3)');
    await mirror.start();
    expect(await mirror.failure()).toMatchObject({
      code: 'RESYNC_REQUIRED',
      message: expect.stringContaining("taken one another's names"),
    });
    expect(await contents(target, 'swapped')).toEqual(followed);
  });
});
