import { readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { int4, json, table, text, varchar } from '@millrace/core';
import type { CaptureSource, ChangeSource, Position } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, readToEnd, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';
import { placeOf, positionAt } from './stream-position.ts';

const items = table('items', { id: int4(), note: text().orNull() }, { key: ['id'] });

let server: MariaDbServer;
let database: MariaDbDatabase;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());
beforeEach(async () => {
  await server.sql('drop database if exists _millrace');
  database = await server.database();
  await database.sql('create table items (id int primary key, note longtext)', 'create table other (id int primary key, note longtext)');
});

const captured = (options = {}): CaptureSource => mariadb({ url: database.url }).capture({ items }, options);
const opened = () => begin(captured(), testContext());
const rowsOf = async (source: ChangeSource, from: Position): Promise<unknown[]> => {
  const groups = await readToEnd(source, from);
  return brief(groups.flatMap(({ changes }) => changes)).map((change) => (change as { row?: unknown }).row ?? change);
};

test('what is in the log only since another file was begun, and what came before, is read as one stream', async () => {
  const { source, position } = await opened();
  await using _source = source;
  for (let id = 1; id <= 4; id++) await database.sql(`insert into items values (${id}, 'x')`, 'flush binary logs');
  expect(await rowsOf(source, position)).toEqual([1, 2, 3, 4].map((id) => ({ id, note: 'x' })));
});

test('a stream goes on after its server was restarted, or killed', async () => {
  const { source, position } = await opened();
  await database.sql(`insert into items values (1, 'a')`);
  await source[Symbol.asyncDispose]();
  await server.restart();
  await database.sql(`insert into items values (2, 'b')`);
  await server.kill();
  await server.start();
  await database.sql(`insert into items values (3, 'c')`);
  await using again = await captured().open(testContext(), stream);
  expect(await rowsOf(again, position)).toEqual([
    { id: 1, note: 'a' },
    { id: 2, note: 'b' },
    { id: 3, note: 'c' },
  ]);
});

test('a server that goes away ends the stream with an error that is tried again', async () => {
  const { source, position } = await opened();
  await using _source = source;
  const reading = (async () => {
    for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000) })) for await (const _ of group.parts);
  })();
  const ended = expect(reading).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await server.kill();
  await ended;
  await server.start();
});

test('logs that were purged before they were read ask for a new copy', async () => {
  const { source, position } = await opened();
  await using _source = source;
  await database.sql(`insert into items values (1, 'a')`, 'flush binary logs', `insert into items values (2, 'b')`);
  await server.purge();
  await expect(readToEnd(source, position)).rejects.toMatchObject({
    code: 'RESYNC_REQUIRED',
    remedy: expect.stringContaining('millrace resync shop'),
  });
});

test('a server that lacks what was read was restored, and asks for a new copy', async () => {
  const { source, position } = await opened();
  await using _source = source;
  const place = placeOf(position);
  if (place.by === 'maria-gtid') place.position.add({ domain: 0, server: 1, sequence: 1_000_000 });
  else if (place.by === 'mysql-gtid') place.set.add({ server: '0123456789ab4cde8f0123456789abcd', tag: '', number: 1 });
  const ahead = positionAt(place);
  await expect(readToEnd(source, ahead)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining('restored') });
});

test('events that are compressed, columns that are left out of images, and logs without checksums', async () => {
  const { source, position } = await opened();
  await using _source = source;
  const [on, off] =
    server.flavour === 'mariadb'
      ? [['set global log_bin_compress = on', 'set global log_bin_compress_min_len = 10'], ['set global log_bin_compress = off']]
      : [['set global binlog_transaction_compression = on'], ['set global binlog_transaction_compression = off']];
  await server.sql(...on);
  await database.sql(
    `insert into items values (1, repeat('compress ', 1000))`,
    `update items set note = repeat('again ', 1000)`,
    'begin',
    'update items set note = null',
    `insert into items values (9, 'nine')`,
    'delete from items where id = 9',
    'commit',
  );
  await server.sql(...off, 'set global binlog_checksum = none');
  await database.sql(`insert into items values (2, 'plain')`);
  await server.sql('set global binlog_checksum = crc32');
  await database.sql(`set session binlog_row_image = noblob`, `update items set id = 3 where id = 2`);
  expect(await rowsOf(source, position)).toEqual([
    { id: 1, note: 'compress '.repeat(1000) },
    { id: 1, note: 'again '.repeat(1000) },
    { id: 1, note: null },
    { id: 9, note: 'nine' },
    expect.anything(),
    { id: 2, note: 'plain' },
    { id: 3 },
  ]);
});

test.runIf(testedServer().flavour === 'mysql')('a compressed transaction is unpacked no faster than it is taken', async () => {
  const source = await captured({ memoryBytes: 8 * 1024 * 1024 }).open(testContext(), stream);
  const { snapshot } = await source.create();
  await snapshot[Symbol.asyncDispose]();
  await using _source = source;
  await database.sql(
    'set session binlog_transaction_compression = on',
    `insert into items select seq, repeat('x', 20000) from seq_1_to_8000`,
  );
  const end = (await source.stream())?.end as Position;
  const before = process.memoryUsage().arrayBuffers;
  let rows = 0;
  let most = 0;
  for await (const group of source.read(snapshot.position, { signal: AbortSignal.timeout(60_000), until: end })) {
    for await (const part of group.parts) {
      rows += part.kind === 'changes' ? part.kinds.length : 0;
      await new Promise((resolve) => setTimeout(resolve, 5));
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
  }
  expect(rows).toBe(8000);
  expect(most).toBeLessThan(80 * 1024 * 1024);
});

test.runIf(testedServer().flavour === 'mysql')('transactions may have tags, and a stream goes on behind them', async () => {
  const { source, position } = await opened();
  await database.sql(
    `insert into items values (1, 'a')`,
    `set gtid_next = 'automatic:shop_1'`,
    `insert into items values (2, 'b')`,
    `set gtid_next = 'automatic:another'`,
    `insert into items values (3, 'c')`,
    `set gtid_next = 'automatic'`,
    `insert into items values (4, 'd')`,
  );
  const groups = await readToEnd(source, position);
  expect(brief(groups.flatMap(({ changes }) => changes))).toHaveLength(4);
  const end = groups.at(-1)?.position as Position;
  expect(end).toContain('shop_1');
  await source[Symbol.asyncDispose]();
  await database.sql(`set gtid_next = 'automatic:shop_1'`, `insert into items values (5, 'e')`);
  await using again = await captured().open(testContext(), stream);
  expect(await rowsOf(again, end)).toEqual([{ id: 5, note: 'e' }]);
});

test('a transaction that a crash has cut off has never been, and its number may come again', async () => {
  const { source, position } = await opened();
  await database.sql(`insert into items values (1, 'a')`);
  await source[Symbol.asyncDispose]();
  // The second one adds a column that no statement in the log has told of.
  await database.sql(
    'set sql_log_bin = 0',
    'alter table items add extra int',
    'set sql_log_bin = 1',
    `insert into items values (2, 'b', 2)`,
  );
  await server.kill();
  const files = readdirSync(server.data).filter((name) => /^log-bin\.\d+$/.test(name));
  const last = join(server.data, files.sort().at(-1) as string);
  // Its end is an event of 31 bytes, which says that it commits.
  truncateSync(last, statSync(last).size - 31);
  await server.start();
  await database.sql(`insert into items values (3, 'c', 3)`);
  await using again = await captured().open(testContext(), stream);
  const changes = brief((await readToEnd(again, position)).flatMap(({ changes }) => changes));
  expect(changes).toEqual([
    { op: 'insert', table: 'items', row: { id: 1, note: 'a' } },
    expect.objectContaining({ op: 'schema' }),
    { op: 'insert', table: 'items', row: { id: 3, note: 'c', extra: 3 } },
  ]);
});

test('a row of more than 16 MiB, and a transaction of many megabytes', async () => {
  const { source, position } = await opened();
  await using _source = source;
  await server.sql('set global max_allowed_packet = 268435456');
  await database.sql(
    `insert into items values (1, repeat('é', 10000000))`,
    `insert into items select seq, repeat('x', 10000) from seq_2_to_3000`,
  );
  const groups = await readToEnd(source, position);
  const changes = groups.flatMap(({ changes: all }) => all) as unknown as { row: { id: number; note: string } }[];
  expect(changes).toHaveLength(3000);
  expect(changes[0]?.row.note === 'é'.repeat(10_000_000)).toBe(true);
  expect(changes.slice(1).every(({ row }) => row.note.length === 10_000)).toBe(true);
});

test('whoever is slow holds up the log, not memory', async () => {
  const source = await captured({ memoryBytes: 1024 * 1024 }).open(testContext(), stream);
  const { snapshot } = await source.create();
  await snapshot[Symbol.asyncDispose]();
  await using _source = source;
  for (let from = 1; from < 4000; from += 400)
    await database.sql(`insert into items select seq, repeat('x', 10000) from seq_${from}_to_${from + 399}`);
  const end = (await source.stream())?.end as Position;
  let rows = 0;
  let most = 0;
  for await (const group of source.read(snapshot.position, { signal: AbortSignal.timeout(30_000), until: end })) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    most = Math.max(most, process.memoryUsage().arrayBuffers);
    for await (const part of group.parts) rows += part.kind === 'changes' ? part.kinds.length : 0;
  }
  expect(rows).toBe(4000);
});

describe('what the log cannot tell ends the stream, and is named', () => {
  test.runIf(testedServer().flavour === 'mysql')('a part of a JSON value', async () => {
    await database.sql(
      'create table documents (id int primary key, body json)',
      `insert into documents values (1, '{"a": "abc", "b": 2}')`,
    );
    const documents = table('documents', { id: int4(), body: json().orNull() }, { key: ['id'] });
    const { source, position } = await begin(mariadb({ url: database.url }).capture({ documents }), testContext());
    await using _source = source;
    await database.sql(
      `set session binlog_row_value_options = 'PARTIAL_JSON'`,
      `update documents set body = json_replace(body, '$.a', 'x') where id = 1`,
    );
    await expect(readToEnd(source, position)).rejects.toMatchObject({
      code: 'RESYNC_REQUIRED',
      message: expect.stringContaining('part of a JSON value'),
    });
  });

  test.each([
    [
      'a statement in place of rows',
      ['set session binlog_format = statement', `insert into items values (1, 'x')`],
      'INSERT as a statement',
    ],
    [
      'an XA transaction',
      ["xa start 'x'", `insert into items values (1, 'x')`, "xa end 'x'", "xa prepare 'x'", "xa commit 'x'"],
      'XA PREPARE',
    ],
    [
      'rows without the names of their columns',
      ['set global binlog_row_metadata = minimal', `insert into items values (1, 'x')`],
      'without the names of their columns',
    ],
  ])('%s', async (_, statements, message) => {
    const { source, position } = await opened();
    await using _source = source;
    let isOver = false;
    const reading = (async () => {
      for await (const group of source.read(position, { signal: AbortSignal.timeout(20_000) })) {
        if (isOver) return;
        for await (const __ of group.parts);
      }
    })();
    const ended = expect(reading).rejects.toMatchObject({
      code: 'RESYNC_REQUIRED',
      message: expect.stringContaining(message),
      remedy: expect.stringContaining('millrace resync'),
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await database.sql(...statements);
    try {
      await ended;
    } finally {
      isOver = true;
      await server.sql('set global binlog_row_metadata = full');
    }
  });

  test('statements about other tables of the server itself do no harm, nor does what is rolled back', async () => {
    const { source, position } = await opened();
    await using _source = source;
    await database.sql(
      'set session binlog_format = statement',
      'analyze table items',
      'create table another (id int)',
      'drop table another',
      'set session binlog_format = row',
      'begin',
      `insert into items values (1, 'x')`,
      'savepoint s',
      `insert into items values (2, 'x')`,
      'rollback to s',
      `insert into items values (3, 'x')`,
      'commit',
      'begin',
      `insert into items values (4, 'x')`,
      'rollback',
    );
    expect(await rowsOf(source, position)).toEqual([
      { id: 1, note: 'x' },
      { id: 3, note: 'x' },
    ]);
  });
});

describe('attempts', () => {
  test('a later attempt takes the stream over, and the earlier one is fenced', async () => {
    const { source, position } = await opened();
    await using _source = source;
    await database.sql(`insert into items values (1, 'x')`);
    const first = source.read(position, { signal: AbortSignal.timeout(20_000) })[Symbol.asyncIterator]();
    await first.next();
    await using later = await captured().open(testContext(), stream, 2);
    expect(await rowsOf(later, position)).toEqual([{ id: 1, note: 'x' }]);
    await using earlier = await captured().open(testContext(), stream, 1);
    await expect(readToEnd(earlier, position)).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
    await expect(earlier.create()).rejects.toMatchObject({ code: 'ATTEMPT_FENCED' });
  });

  test('columns that were not declared when the stream began are left out', async () => {
    await database.sql('alter table items add secret varchar(10) default "s"');
    const { source, position } = await opened();
    await using _source = source;
    await database.sql(`insert into items (id) values (1)`);
    expect(await rowsOf(source, position)).toEqual([{ id: 1, note: null }]);
  });
});

test('tables without a key have their whole rows before each change', async () => {
  await database.sql('create table log (a int, b varchar(10))');
  const log = table('log', { a: int4().orNull(), b: varchar(10).orNull() });
  const { source, position } = await begin(mariadb({ url: database.url }).capture({ log }), testContext());
  await using _source = source;
  await database.sql(`insert into log values (1, 'x'), (1, null)`, 'update log set a = 2 where b is null', 'delete from log where a = 1');
  const groups = await readToEnd(source, position);
  expect(brief(groups.flatMap(({ changes }) => changes))).toEqual([
    { op: 'insert', table: 'log', row: { a: 1, b: 'x' } },
    { op: 'insert', table: 'log', row: { a: 1, b: null } },
    { op: 'update', table: 'log', row: { a: 2, b: null }, old: { a: 1, b: null }, before: 'row' },
    { op: 'delete', table: 'log', row: { a: 1, b: 'x' }, old: { a: 1, b: 'x' }, before: 'row' },
  ]);
});
