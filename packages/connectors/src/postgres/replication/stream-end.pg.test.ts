import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../../../../../test/database.ts';
import { type LogicalServer, logicalServer } from '../../../../../test/logical-server.ts';
import { startTcpProxy } from '../../../../../test/tcp-proxy.ts';
import { openTo, recordStream } from '../../../test/replicate.ts';
import { formatLsn } from './lsn.ts';

let server: LogicalServer;
let database: TestDatabase;
beforeAll(async () => {
  server = await logicalServer({ settings: { wal_sender_timeout: '1500ms', logical_decoding_work_mem: '64kB' } });
  database = await server.database();
  await database.sql('create table t (id int8 primary key, v text); create publication p for table t');
});
afterAll(async () => server?.[Symbol.asyncDispose]());

test('a stream that is paused for longer than the server waits goes on where it was', async () => {
  await using connection = await openTo(database.url);
  await connection.createSlot({ name: 'paused', temporary: true });
  const { stream, heard, commits } = await recordStream(connection, 'paused');
  stream.pause();
  await database.sql(`insert into t select i, repeat('x', 1000) from generate_series(1, 20000) i`); // more than all buffers hold
  await sleep(4_000);
  const before = heard.length;
  expect(before).toBeLessThan(20_000);
  stream.resume();
  await commits(1);
  expect(heard.filter(([what]) => what === 'insert').map(([, , row]) => (row as string[])[0])).toEqual(
    Array.from({ length: 20_000 }, (_, n) => String(n + 1)),
  );
  await stream.end();
  await database.sql('truncate t');
});

test('pausing at any moment loses nothing and doubles nothing', async () => {
  await using connection = await openTo(database.url);
  await connection.createSlot({ name: 'stutter', temporary: true });
  const handler = {
    keepalive: () => {
      if (Math.random() < 0.5) stutter();
    },
  };
  const { stream, heard, commits } = await recordStream(connection, 'stutter', { handler, streaming: false });
  function stutter(): void {
    stream.pause();
    setTimeout(() => stream.resume(), Math.random() * 4);
  }
  const timer = setInterval(stutter, 7);
  for (let n = 0; n < 40; n++) await database.sql(`insert into t select $1 * 1000 + i, repeat('y', i) from generate_series(0, 499) i`, [n]);
  await commits(40);
  clearInterval(timer);
  const rows = heard.filter(([what]) => what === 'insert').map(([, , row]) => row as string[]);
  expect(rows.every(([id, v]) => v === 'y'.repeat(Number(id) % 1000))).toBe(true);
  expect(rows.map(([id]) => Number(id))).toEqual(Array.from({ length: 20_000 }, (_, n) => Math.floor(n / 500) * 1000 + (n % 500)));
  await stream.end();
  await database.sql('truncate t');
});

test('a quiet stream lives, for each end asks after the other', async () => {
  await using connection = await openTo(database.url);
  await connection.createSlot({ name: 'quiet', temporary: true });
  const { stream } = await recordStream(connection, 'quiet');
  await sleep(4_000);
  await stream.end();
});

test('a server that has gone silent is given up after twice its own timeout', async () => {
  await using proxy = await startTcpProxy(database.url);
  await using connection = await openTo(proxy.through(database.url));
  await connection.createSlot({ name: 'silent', temporary: true });
  const { stream } = await recordStream(connection, 'silent');
  const start = performance.now();
  proxy.stall();
  await expect(stream.done).rejects.toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringContaining('silent for') });
  expect(performance.now() - start).toBeGreaterThan(2_500);
  expect(performance.now() - start).toBeLessThan(6_000);
});

test.for(['cut', 'halfClose'] as const)('a connection that breaks (%s) ends the stream', async (how) => {
  await using proxy = await startTcpProxy(database.url);
  await using connection = await openTo(proxy.through(database.url));
  await connection.createSlot({ name: `broken_${how.toLowerCase()}`, temporary: true });
  const { stream } = await recordStream(connection, `broken_${how.toLowerCase()}`);
  proxy[how]();
  await expect(stream.done).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await expect.poll(() => connection.ended).toBe(true);
});

test('a walsender that is ended says so, and the slot can be read again', async () => {
  await using keeper = await openTo(database.url);
  await keeper.createSlot({ name: 'ended' });
  {
    await using connection = await openTo(database.url);
    const { stream } = await recordStream(connection, 'ended');
    await database.sql(`select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'ended'`);
    await expect(stream.done).rejects.toMatchObject({ code: 'CONNECTION_FAILED', facts: { sqlstate: '57P01' } });
  }
  // It says that it ends before it lets go of the slot.
  await expect.poll(() => database.sql(`select active from pg_replication_slots where slot_name = 'ended'`)).toEqual([{ active: false }]);
  {
    await using connection = await openTo(database.url);
    const { stream } = await recordStream(connection, 'ended');
    await stream.end();
  }
  await keeper.dropSlot('ended');
});

test('an ended stream leaves a connection that can do other things, and has confirmed what was released', async () => {
  await database.sql(`select pg_create_logical_replication_slot('good', 'pgoutput')`);
  await database.sql('insert into t values (1)');
  await using connection = await openTo(database.url);
  const { stream, heard, commits } = await recordStream(connection, 'good');
  await commits(1);
  const { end } = heard.at(-1)![1] as { end: bigint };
  stream.release(end);
  await stream.end();
  const { rows } = await connection.execute(`select confirmed_flush_lsn as lsn from pg_replication_slots where slot_name = 'good'`);
  expect(rows).toEqual([{ lsn: formatLsn(end) }]);
  await expect(recordStream(connection, 'good')).rejects.toThrow('one change stream');
  expect(await connection.dropSlot('good')).toBe(true);
  await database.sql('truncate t');
});

test('disposing a connection in the middle of a transaction cuts it at once', async () => {
  await database.sql(`select pg_create_logical_replication_slot('middle', 'pgoutput')`);
  await database.sql(`insert into t select i, repeat('x', 1000) from generate_series(1, 20000) i`);
  const connection = await openTo(database.url);
  const { stream } = await recordStream(connection, 'middle', { handler: { message: () => stream.pause() } });
  await sleep(300);
  const start = performance.now();
  await connection[Symbol.asyncDispose]();
  await stream.done;
  expect(performance.now() - start).toBeLessThan(2_000);
  await using other = await openTo(database.url);
  await expect.poll(() => other.dropSlot('middle').catch(() => false), { timeout: 5_000 }).toBe(true);
  await database.sql('truncate t');
});

test('what the handler throws ends the stream and lets go of the slot', async () => {
  await database.sql(`select pg_create_logical_replication_slot('thrown', 'pgoutput')`);
  await using connection = await openTo(database.url);
  const mine = new MillraceError('WIRE_CORRUPT', { message: 'as the handler says', remedy: '' });
  const message = (): void => {
    throw mine;
  };
  const { stream } = await recordStream(connection, 'thrown', { handler: { message } });
  await database.sql('insert into t values (1)');
  await expect(stream.done).rejects.toBe(mine);
  await using other = await openTo(database.url);
  await expect.poll(() => other.dropSlot('thrown').catch(() => false), { timeout: 5_000 }).toBe(true);
  await database.sql('truncate t');
});

test('an aborted signal ends the stream with its reason, also while it is paused', async () => {
  const controller = new AbortController();
  await using connection = await openTo(database.url, controller.signal);
  await connection.createSlot({ name: 'aborted', temporary: true });
  const { stream } = await recordStream(connection, 'aborted');
  stream.pause();
  const reason = new MillraceError('SHUTDOWN', { message: 'going down', remedy: '' });
  controller.abort(reason);
  await expect(stream.done).rejects.toBe(reason);
});

test('a server that shuts down is not held up by a stream that has released everything', async () => {
  await using other = await logicalServer({ version: 16 });
  await using connection = await openTo(other.url);
  await connection.execute('create table t (id int8); ');
  await connection.execute('create publication p for table t');
  await connection.createSlot({ name: 'stopping' });
  const { stream } = await recordStream(connection, 'stopping', { handler: { keepalive: (end) => stream.release(end) } });
  const start = performance.now();
  await other.stop('fast');
  expect(performance.now() - start).toBeLessThan(3_000);
  await expect(stream.done).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
});

test('a stream comes over TLS too', async (context) => {
  await using secure = await logicalServer();
  const files = ['server.crt', 'server.key'].map((name) => join(secure.data, name)) as [string, string];
  const request = ['req', '-new', '-x509', '-days', '2', '-nodes', '-subj', '/CN=localhost', '-out', files[0], '-keyout', files[1]];
  const made = spawnSync('openssl', request, { stdio: 'ignore' });
  if (made.status !== 0) context.skip('openssl is not installed here');
  const { uid, gid } = statSync(secure.data);
  for (const file of files) chownSync(file, uid, gid);
  chmodSync(files[1], 0o600);
  appendFileSync(join(secure.data, 'postgresql.auto.conf'), 'ssl = on\n');
  await secure.stop();
  await secure.start();
  await using inside = await secure.database();
  await inside.sql('create table t (id int8 primary key, v text); create publication p for table t');
  await using connection = await openTo(`${inside.url}?sslmode=require`);
  await connection.createSlot({ name: 'secure', temporary: true });
  const { stream, heard, commits } = await recordStream(connection, 'secure');
  await inside.sql(`insert into t select i, repeat('z', i % 700) from generate_series(1, 5000) i`);
  await commits(1);
  const rows = heard.filter(([what]) => what === 'insert').map(([, , row]) => row as string[]);
  expect(rows.map(([id]) => Number(id))).toEqual(Array.from({ length: 5000 }, (_, n) => n + 1));
  await stream.end();
});
