import { int4, table, text, varchar } from '@millrace/core';
import type { Finding } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { begin, readToEnd, stream } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

// Known before the server is there.
const isMariaDb = !process.env['MILLRACE_TEST_MYSQLD'];
const items = table('items', { id: int4(), note: text().orNull() }, { key: ['id'] });

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true, settings: isMariaDb ? { 'gtid-strict-mode': '0' } : {} });
  await server.sql(
    'create database shop',
    'create table shop.items (id int primary key, note text)',
    'create table shop.lines (id int primary key, item int, constraint held foreign key (item) references shop.items (id) on delete cascade)',
    'create table shop.myisam (id int primary key) engine = MyISAM',
    'create table shop.virtual_one (id int primary key, twice int as (id * 2) virtual)',
    'create table shop.keyless (id int not null, note text)',
    `create user limited@'%'`,
    `grant select on shop.* to limited@'%'`,
  );
});
afterAll(() => server?.[Symbol.asyncDispose]());

const found = (findings: readonly Finding[], level: Finding['level']) =>
  findings.filter((finding) => finding.level === level).map(({ message }) => message);
const examined = (tables: Record<string, ReturnType<typeof table>>, user = 'root') =>
  mariadb({ url: `mysql://${user}@127.0.0.1:${server.port}/shop` })
    .capture(tables)
    .examine(testContext(), stream);

test('a server that is set up well has nothing but a word about its GTIDs', async () => {
  const findings = await examined({ items });
  expect(found(findings, 'problem')).toEqual([]);
  expect(found(findings, 'warning')).toEqual(isMariaDb ? [expect.stringContaining('gtid_strict_mode is OFF')] : []);
});

test.each([
  ['binlog_format', 'statement', 'row', 'statements in place of rows'],
  ['binlog_row_image', 'minimal', 'full', 'leaves out columns of changed rows'],
  ['binlog_row_metadata', 'minimal', 'full', 'does not name the columns of rows'],
  ['read_only', '1', '0', 'takes no writes'],
])('%s = %s is a problem, before a stream begins too', async (name, wrong, right, message) => {
  await server.sql(`set global ${name} = ${wrong}`);
  try {
    const problems = (await examined({ items })).filter(({ level }) => level === 'problem');
    expect(problems).toEqual([
      expect.objectContaining({ message: expect.stringContaining(message), remedy: expect.stringMatching(/SET GLOBAL|primary/) }),
    ]);
    await using source = await mariadb({ url: `${server.url}/shop` })
      .capture({ items })
      .open(testContext(), stream);
    await expect(source.create()).rejects.toMatchObject({ code: 'CAPTURE_IMPOSSIBLE', message: expect.stringContaining(message) });
  } finally {
    await server.sql(`set global ${name} = ${right}`);
  }
});

test('tables that the log does not tell all about', async () => {
  const lines = table('lines', { id: int4(), item: int4().orNull() }, { key: ['id'] });
  const myisam = table('myisam', { id: int4() }, { key: ['id'] });
  const virtual = table('virtual_one', { id: int4(), twice: int4().orNull() }, { key: ['id'] });
  const keyless = table('keyless', { id: int4(), note: text().orNull() }, { key: ['id'] });
  const drifted = table('items', { id: int4(), note: varchar(10).orNull() }, { key: ['id'] });
  const nowhere = table('nowhere', { id: int4() }, { key: ['id'] });
  expect(found(await examined({ lines, myisam, virtual, keyless, drifted, nowhere }), 'problem')).toEqual([
    expect.stringContaining('ON DELETE CASCADE'),
    expect.stringContaining('kept by MyISAM'),
    expect.stringContaining('"twice" of shop.virtual_one is computed'),
    expect.stringContaining('no unique index of shop.keyless'),
    expect.stringContaining('items is not as it is declared'),
    expect.stringContaining('no table or view "nowhere"'),
  ]);
});

test('privileges that are missing, each with its GRANT', async () => {
  const problems = (await examined({ items }, 'limited')).filter(({ level }) => level === 'problem');
  expect(problems.map(({ remedy }) => remedy)).toEqual([
    expect.stringContaining('GRANT REPLICATION SLAVE'),
    expect.stringContaining('GRANT REPLICATION CLIENT'),
    ...(isMariaDb ? [] : [expect.stringContaining('GRANT LOCK TABLES')]),
    expect.stringContaining('ON _millrace.*'),
  ]);
});

test.runIf(isMariaDb)('a table with versions is refused', async () => {
  await server.sql('create table shop.versions (id int primary key) with system versioning');
  const versions = table('versions', { id: int4() }, { key: ['id'] });
  expect(found(await examined({ versions }), 'problem')).toEqual([expect.stringContaining('its versions of the past')]);
});

test('a foreign key that came while its table was followed asks for a new copy, for changes may have been missed', async () => {
  await server.sql('drop database if exists _millrace', 'create table shop.followed (id int primary key, item int)');
  const followed = table('followed', { id: int4(), item: int4().orNull() }, { key: ['id'] });
  const captured = mariadb({ url: `${server.url}/shop` }).capture({ followed });
  const { source, position } = await begin(captured, testContext());
  await using _source = source;
  await server.sql(
    'set sql_log_bin = 0',
    'alter table shop.followed add constraint late foreign key (item) references shop.items (id) on delete set null',
  );
  const lost = {
    code: 'RESYNC_REQUIRED',
    message: expect.stringContaining('ON DELETE SET NULL'),
    remedy: expect.stringContaining('DROP FOREIGN KEY late'),
  };
  await expect(readToEnd(source, position)).rejects.toMatchObject(lost);
  expect((await captured.examine(testContext(), stream)).find(({ error }) => error)?.error).toMatchObject(lost);
});

test('a log that leaves out the database of a table, or our own', async () => {
  await using filtered = await mariaDbServer({ binlog: true, settings: { 'binlog-do-db': 'shop' } });
  await filtered.sql('create database shop', 'create table shop.items (id int primary key, note text)');
  const captured = mariadb({ url: `${filtered.url}/shop` }).capture({ items });
  expect(found(await captured.examine(testContext(), stream), 'problem')).toEqual([
    expect.stringContaining('"_millrace" is not in the log'),
  ]);
  await using source = await captured.open(testContext(), stream);
  await expect(source.create()).rejects.toMatchObject({
    code: 'CAPTURE_IMPOSSIBLE',
    message: expect.stringContaining('binlog_do_db = shop'),
  });
});
