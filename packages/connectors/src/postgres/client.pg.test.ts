import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MillraceError } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { startTcpProxy } from '../../../../test/tcp-proxy.ts';
import { testContext } from '../../test/load.ts';
import { openSession, type Session } from './client.ts';
import { unframe } from './copy-out.ts';
import { importSnapshot } from './snapshot.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db?.[Symbol.asyncDispose]());

const open = (signal = new AbortController().signal): Promise<Session> =>
  openSession({ url: db.url }, testContext(undefined, { signal }), { purpose: 'test' });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const backends = async () =>
  Number(
    (await db.sql(`select count(*) from pg_stat_activity where application_name = 'millrace test' and state = 'active'`))[0]?.['count'],
  );

test('a session prints values the same way on every server', async () => {
  await db.sql(
    `alter database ${db.name} set timezone = 'Asia/Tokyo'; alter database ${db.name} set datestyle = 'SQL, DMY'; alter database ${db.name} set bytea_output = 'escape'; alter database ${db.name} set intervalstyle = 'postgres'; alter database ${db.name} set statement_timeout = '1s'; alter database ${db.name} set extra_float_digits = '-5'`,
  );
  await using session = await open();
  expect(session.version).toBeGreaterThan(130_000);
  expect(
    await session.query(
      `select '2024-02-29 12:00:00+00'::timestamptz as at, '\\x00ff'::bytea as b, '1 day 2 hours'::interval as i, 0.1::float8 + 0.2::float8 as f, current_setting('statement_timeout') as t, true as yes, null as none`,
    ),
  ).toEqual([{ at: '2024-02-29 12:00:00+00', b: '\\x00ff', i: 'P1DT2H', f: '0.30000000000000004', t: '0', yes: 't', none: null }]);
  await db.sql(`alter database ${db.name} reset all`);
});

test('an aborted signal cancels the statement at the server and rejects with its reason', async () => {
  const stop = new AbortController();
  await using session = await open(stop.signal);
  const sleeping = session.query('select pg_sleep(600)');
  const queued = session.query('select 1');
  await pause(200);
  expect(await backends()).toBe(1);
  stop.abort(new MillraceError('STAGE_TIMEOUT', { message: 'too long', remedy: '' }));
  await expect(sleeping).rejects.toMatchObject({ code: 'STAGE_TIMEOUT' });
  await expect(queued).rejects.toMatchObject({ code: 'STAGE_TIMEOUT' });
  await expect.poll(backends).toBe(0);
});

test('an abort in the middle of a COPY ends its stream and its count', async () => {
  const stop = new AbortController();
  await using session = await open(stop.signal);
  const copy = session.copyOut('copy (select repeat(md5(i::text), 30) from (select generate_series(1, 100000000) as i) s) to stdout');
  let bytes = 0;
  const reading = (async () => {
    for await (const chunk of copy.stream) {
      bytes += chunk.length;
      if (bytes > 1_000_000) stop.abort();
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'RUN_CANCELLED' });
  await expect(copy.done).rejects.toMatchObject({ code: 'RUN_CANCELLED' });
  await expect.poll(backends).toBe(0);
});

test('a COPY out counts its rows, and the session goes on after it', async () => {
  await using session = await open();
  const messages: number[] = [];
  const copy = session.copyOut('copy (select i, repeat(chr(65 + i % 26), i % 3000) from generate_series(1, 5000) i) to stdout', {
    onBytes: (_, rows) => messages.push(rows),
  });
  const text = (await Readable.from(copy.stream).toArray()).join('');
  expect(await copy.done).toEqual({ rows: 5000 });
  expect(text.split('\n')).toHaveLength(5001);
  expect(text.split('\n')[2999]).toBe(`3000\t`);
  expect(messages.reduce((a, b) => a + b)).toBe(5000);
  expect(await session.query('select 1 as one')).toEqual([{ one: '1' }]);
});

test('an error of the server in the middle of a COPY is the error of the stream; the session goes on', async () => {
  await using session = await open();
  const copy = session.copyOut('copy (select 1 / (20000 - i) from generate_series(1, 30000) i) to stdout', { object: 'numbers' });
  await expect(Readable.from(copy.stream).toArray()).rejects.toMatchObject({
    code: 'TYPE_MISMATCH',
    message: expect.stringContaining('division by zero'),
  });
  await expect(copy.done).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
  expect(await session.query('select 1 as one')).toEqual([{ one: '1' }]);
  const missing = session.copyOut('copy no_such_table to stdout');
  await expect(missing.done).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  expect(await session.query('select 2 as two')).toEqual([{ two: '2' }]);
});

test.for([0, 1, 100, 65_536])('a connection that dies after %i bytes of a COPY fails it, wherever the bytes end', async (more) => {
  for (const end of ['cut', 'halfClose'] as const) {
    await using proxy = await startTcpProxy(db.url);
    await using session = await openSession({ url: proxy.through(db.url) }, testContext());
    const copy = session.copyOut('copy (select generate_series(1, 10000000)) to stdout');
    const reading = (async () => {
      let bytes = 0;
      for await (const chunk of copy.stream) {
        bytes += chunk.length;
        if (bytes > more) proxy[end]();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await expect(copy.done).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await expect(session.query('select 1')).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  }
});

test('a server that ends the session in the middle of a COPY fails it', async () => {
  await using session = await open();
  const [{ pid } = { pid: '' }] = await session.query<{ pid: string }>('select pg_backend_pid() as pid');
  const copy = session.copyOut('copy (select generate_series(1, 10000000)) to stdout');
  const reading = (async () => {
    for await (const _ of copy.stream) await db.sql('select pg_terminate_backend($1)', [pid]);
  })();
  await expect(reading).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
});

test('a reader that is slow holds the server back, and memory stays where it is', async () => {
  await using session = await open();
  const copy = session.copyOut(`copy (select repeat('x', 10000) from generate_series(1, 20000)) to stdout`);
  await once(copy.stream, 'readable');
  await pause(300);
  expect(copy.stream.readableLength).toBeLessThan(1_000_000);
  let bytes = 0;
  for await (const chunk of copy.stream) bytes += chunk.length;
  expect(bytes).toBe(20_000 * 10_001);
});

test('a reader that leaves early frees the server', async () => {
  const session = await open();
  const copy = session.copyOut('copy (select generate_series(1, 100000000)) to stdout');
  for await (const _ of copy.stream) break;
  await expect(copy.done).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
  await expect.poll(backends).toBe(0);
  await session[Symbol.asyncDispose]();
});

test('a COPY in counts its rows; one that is broken off leaves nothing, and the session goes on', async () => {
  await db.sql('create table landing (id int4 primary key, note text)');
  await using session = await open();
  const good = session.copyIn('copy landing from stdin');
  await pipeline(Readable.from(['1\ta\n', '2\tb\n']), good.stream);
  expect(await good.done).toEqual({ rows: 2 });

  const broken = session.copyIn('copy landing from stdin');
  async function* half() {
    yield Buffer.from('3\tc\n');
    await pause(50);
    throw new Error('the source died');
  }
  await expect(pipeline(Readable.from(half()), broken.stream)).rejects.toThrow('the source died');
  await expect(broken.done).rejects.toThrow();
  expect(await session.query('select count(*) from landing')).toEqual([{ count: '2' }]);
});

test('a COPY in that the server refuses is told with its code, however much is still coming', async () => {
  await using session = await open();
  await db.sql('create table picky (id int4 primary key)');
  const copy = session.copyIn('copy picky from stdin', 'picky');
  async function* endless() {
    yield Buffer.from('1\n1\n');
    for (let at = 2; ; at++) yield Buffer.from(`${at}\n`.repeat(1000));
  }
  await expect(pipeline(Readable.from(endless()), copy.stream)).rejects.toMatchObject({ code: 'TYPE_MISMATCH' });
  await expect(copy.done).rejects.toMatchObject({
    code: 'TYPE_MISMATCH',
    facts: { sqlstate: expect.stringMatching(/^2/), object: 'picky' },
  });
  expect(await session.query('select count(*) from picky')).toEqual([{ count: '0' }]);
  const missing = session.copyIn('copy no_such_table from stdin');
  await expect(pipeline(Readable.from(endless()), missing.stream)).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  expect(await session.query('select 1 as one')).toEqual([{ one: '1' }]);
});

test('a value of 40 MB goes out and in again', async () => {
  await db.sql('create table large (body text); create table larger (body text)');
  await db.sql(`insert into large select repeat('0123456789', 4000000)`);
  await using from = await open();
  await using to = await open();
  const out = from.copyOut('copy large to stdout (format binary)');
  const into = to.copyIn('copy larger from stdin (format binary)');
  await pipeline(out.stream, into.stream);
  expect([await out.done, await into.done]).toEqual([{ rows: 1 }, { rows: 1 }]);
  expect(await db.sql('select length(body), md5(body) = (select md5(body) from large) as same from larger')).toEqual([
    { length: 40_000_000, same: true },
  ]);
});

test('frames are taken out of the stream wherever the chunks are cut', () => {
  const frame = (type: string, payload: string | Buffer) => {
    const head = Buffer.alloc(5, type);
    head.writeInt32BE(payload.length + 4, 1);
    return Buffer.concat([head, Buffer.from(payload)]);
  };
  const rows = Array.from({ length: 50 }, (_, at) => 'r'.repeat(at * 3) + at);
  const wire = Buffer.concat([
    frame('H', '\0\0\0'),
    ...rows.map((row) => frame('d', row)),
    frame('N', 'notice'),
    frame('d', 'last'),
    frame('c', ''),
    frame('C', 'COPY 51\0'),
    frame('Z', 'I'),
    frame('S', 'after'),
  ]);
  for (let size = 1; size < 200; size += 7) {
    const messages: string[] = [];
    let bytes = '';
    let ended = false;
    const parse = (message: Buffer) => messages.push(message.toString('latin1'));
    const onChunk = unframe(
      parse,
      (chunk) => {
        bytes += chunk.toString();
      },
      () => {
        ended = true;
      },
    );
    for (let at = 0; at < wire.length; at += size) {
      const chunk = Buffer.from(wire.subarray(at, at + size));
      if (ended) parse(chunk);
      else onChunk(chunk);
    }
    expect(bytes).toBe(`${rows.join('')}last`);
    expect(messages.join('')).toBe(
      Buffer.concat([
        frame('H', '\0\0\0'),
        frame('N', 'notice'),
        frame('c', ''),
        frame('C', 'COPY 51\0'),
        frame('Z', 'I'),
        frame('S', 'after'),
      ]).toString('latin1'),
    );
  }
});

test('a snapshot that nobody exports any more is told as lost, which is worth another attempt', async () => {
  await using session = await open();
  await expect(importSnapshot(session, '00000001-00000001-1')).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
});
