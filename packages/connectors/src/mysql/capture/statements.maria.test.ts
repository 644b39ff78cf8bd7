import { int4, table, varchar } from '@millrace/core';
import type { ChangeSource, Position, Table } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbDatabase, type MariaDbServer, mariaDbServer, testedServer } from '../../../../../test/mariadb-server.ts';
import { begin, brief, readToEnd } from '../../../test/changes.ts';
import { mariadb } from '../index.ts';

const { flavour } = testedServer();
let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer({ binlog: true });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const people = table('people', { id: int4(), name: varchar(100).orNull() }, { key: ['id'] });

async function opened(): Promise<{ database: MariaDbDatabase; source: ChangeSource; position: Position }> {
  await server.sql('drop database if exists _millrace');
  const database = await server.database();
  await database.sql('create table people (id int primary key, name varchar(100))');
  return { database, ...(await begin(mariadb({ url: database.url }).capture({ people }), testContext())) };
}

const all = async (source: ChangeSource, after: Position) => brief((await readToEnd(source, after)).flatMap(({ changes }) => changes));
const insert = (id: number) => ({ op: 'insert', table: 'people', row: { id, name: null } });

test.runIf(flavour === 'mariadb')('SET STATEMENT … FOR is what stands behind it', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql(
    'insert into people (id) values (1)',
    'set statement lock_wait_timeout = 1, max_statement_time = (select 0) for truncate table people',
    'insert into people (id) values (2)',
    '/*M!100000 set statement lock_wait_timeout = 1 for */ truncate people',
  );
  expect(await all(source, position)).toEqual([
    insert(1),
    { op: 'truncate', tables: ['people'] },
    insert(2),
    { op: 'truncate', tables: ['people'] },
  ]);
  await database.sql(`set statement binlog_format = 'statement' for insert into people (id) values (3)`);
  await expect(readToEnd(source, position)).rejects.toMatchObject({ code: 'RESYNC_REQUIRED', message: expect.stringContaining('INSERT') });
});

test.each([
  ['LATIN1_SWEDISH_CI', 'größe'],
  ['SJIS_JAPANESE_CI', '表能'],
  ['BIG5_CHINESE_CI', '功許'],
  ['GBK_CHINESE_CI', '乗乪'],
] as const)('statements of a client that speaks %s are read in its character set', async (charset, name) => {
  const { database, source, position } = await opened();
  await using _source = source;
  const client = await createConnection({ host: '127.0.0.1', port: server.port, user: 'root', database: database.name, charset });
  try {
    await client.query(`alter table people add seen varchar(20) default '${name}', rename column name to \`${name}\``);
    await client.query('insert into people (id) values (1)');
  } finally {
    client.destroy();
  }
  expect(await all(source, position)).toEqual([
    { op: 'schema', table: 'people', changes: [{ change: 'rename', from: 'name', to: name }] },
    {
      op: 'schema',
      table: 'people',
      changes: [{ change: 'add', column: { name: 'seen', type: { kind: 'varchar', length: 20 }, nullable: true }, fill: name }],
    },
    { op: 'insert', table: 'people', row: { id: 1, [name]: null, seen: name } },
  ]);
});

test('a backslash is no escape to a session with NO_BACKSLASH_ESCAPES', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql(
    `set sql_mode = 'NO_BACKSLASH_ESCAPES'`,
    `alter table people add sep char(1) default '\\', drop column name, comment = ''`,
    'insert into people (id) values (1)',
  );
  expect(await all(source, position)).toEqual([
    { op: 'schema', table: 'people', changes: [{ change: 'drop', name: 'name' }] },
    {
      op: 'schema',
      table: 'people',
      changes: [{ change: 'add', column: { name: 'sep', type: { kind: 'varchar', length: 1 }, nullable: true }, fill: '\\' }],
    },
    { op: 'insert', table: 'people', row: { id: 1, sep: '\\' } },
  ]);
});

test('a table in memory that the server has emptied after a restart ends no stream', async () => {
  const { database, source, position } = await opened();
  await using _source = source;
  await database.sql('create table kept (id int) engine = memory', 'insert into kept values (1)');
  await server.restart();
  await database.sql('select * from kept', 'insert into people (id) values (1)');
  expect(await all(source, position)).toEqual([insert(1)]);
});

test.runIf(flavour === 'mariadb')('types that the log does not tell apart are those of their place in the stream', async () => {
  const { database } = await opened();
  await database.sql('create table things (id int primary key, a binary(16), b uuid, c inet6, j longtext)');
  const connection = mariadb({ url: database.url });
  const [things] = (await connection.introspect(testContext(), { tables: ['things'] })) as [Table];
  await server.sql('drop database if exists _millrace');
  const { source, position } = await begin(connection.capture({ things }), testContext());
  await using _source = source;
  const id = '123e4567-e89b-12d3-a456-426614174000';
  await database.sql(
    `insert into things values (1, x'${id.replaceAll('-', '')}', '${id}', '::1', '[]')`,
    'alter table things modify a uuid, change b bytes binary(16), modify c binary(16), add u uuid',
    `insert into things values (2, '${id}', x'${id.replaceAll('-', '')}', x'${'0'.repeat(31)}1', '[]', '${id}')`,
    'alter table things rename column a to renamed',
    `insert into things values (3, '${id}', null, null, '[]', null)`,
  );
  const rows = (await readToEnd(source, position)).flatMap(({ changes }) =>
    changes.flatMap((change) => ('row' in change ? change.row : [])),
  );
  const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll('-', ''), 'hex'));
  expect(rows).toEqual([
    { id: 1, a: bytes(id), b: id, c: '::1', j: '[]' },
    { id: 2, a: id, bytes: id, c: bytes(`${'0'.repeat(31)}1`), j: '[]', u: id },
    { id: 3, renamed: id, bytes: null, c: null, j: '[]', u: null },
  ]);
});
