import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDbServer, mariaDbServer } from '../../../../../test/mariadb-server.ts';
import { testContext } from '../../../test/load.ts';
import { mysql } from '../index.ts';

let server: MariaDbServer;
beforeAll(async () => {
  server = await mariaDbServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

const fence = (epoch = 1, key = 'run-1/sql') => ({ key, epoch });
const statement = (text: string, ...values: (string | number | null)[]) => ({ text, values });

test('statements and their note are one act: a second attempt finds it done', async () => {
  const db = await server.database();
  await db.sql('create table counter (n int not null, word varchar(20))', 'insert into counter (n) values (0)');
  const runner = mysql({ url: db.url }).sql();
  const request = {
    id: 'once',
    statements: [statement('update counter set n = n + ?, word = ?', 5, `it's \\ "x"`), statement('select 1')],
    transaction: true,
  };
  expect(await runner.execute({ ...request, fence: fence(1) }, testContext())).toEqual({
    alreadyDone: false,
    rowsAffected: [1, null],
    notices: [],
  });
  expect(await runner.execute({ ...request, fence: fence(2) }, testContext())).toMatchObject({
    alreadyDone: true,
    rowsAffected: [1, null],
  });
  expect(await db.sql('select * from counter')).toEqual([{ n: '5', word: `it's \\ "x"` }]);
  await expect(runner.execute({ ...request, id: 'late', fence: fence(1) }, testContext())).rejects.toMatchObject({
    code: 'ATTEMPT_FENCED',
  });
});

test('a statement that fails leaves nothing of those before it', async () => {
  const db = await server.database();
  await db.sql('create table counter (n int not null)', 'insert into counter values (0)');
  const runner = mysql({ url: db.url }).sql();
  const request = {
    id: 'bad',
    fence: fence(),
    statements: [statement('update counter set n = 1'), statement('update nowhere set n = 1')],
    transaction: true,
  };
  await expect(runner.execute(request, testContext())).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  expect(await db.sql('select * from counter')).toEqual([{ n: '0' }]);
});

test('what commits by itself is refused in a transaction, and runs without one', async () => {
  const db = await server.database();
  const runner = mysql({ url: db.url }).sql();
  const request = { id: 'ddl', fence: fence(), statements: [statement('create table made (n int)')] };
  await expect(runner.execute({ ...request, transaction: true }, testContext())).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringMatching(/ended the transaction/),
  });
  await db.sql('drop table made');
  expect(await runner.execute({ ...request, transaction: false }, testContext())).toMatchObject({ alreadyDone: false });
  expect(await db.sql('show tables like "made"')).toHaveLength(1);
});

test('a procedure answers with its last result and what it warned of; checks read and do not write', async () => {
  const db = await server.database();
  await db.sql(
    'create table seen (n int)',
    `create procedure look(a int) begin select a; insert into seen values (a); signal sqlstate '01000' set message_text = 'a word of warning'; end`,
  );
  const runner = mysql({ url: db.url }).sql();
  const done = await runner.execute(
    { id: 'call', fence: fence(), statements: [statement('call look(?)', 7)], transaction: true },
    testContext(),
  );
  expect(done.notices).toEqual([expect.stringMatching(/a word of warning/)]);
  expect(await runner.query('select n, null as nothing from seen where n = ?', ['7'], testContext())).toEqual([{ n: '7', nothing: null }]);
  await expect(runner.query('delete from seen', [], testContext())).rejects.toMatchObject({ code: 'STATEMENT_FAILED' });
});

test('statements run under the modes of the server, not under ours', async () => {
  const db = await server.database();
  const runner = mysql({ url: db.url }).sql();
  expect(await runner.query(`select 'a\\\\b' as text, @@time_zone as zone`, [], testContext())).toEqual([{ text: 'a\\b', zone: '+00:00' }]);
});
