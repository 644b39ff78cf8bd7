import { expect, test } from 'vitest';
import { testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const request = (
  id: string,
  statements: readonly (string | readonly [string, readonly (string | number | null)[]])[],
  more: object = {},
) => ({
  id,
  fence: { key: 'run/sql', epoch: 1 },
  statements: statements.map((one) => (typeof one === 'string' ? { text: one, values: [] } : { text: one[0], values: one[1] })),
  transaction: true,
  ...more,
});

test('statements run once: a repeated attempt finds the note of the first', async () => {
  await using db = await testDatabase();
  const runner = postgres({ url: db.url }).sql();
  await db.sql('create table t (n int4)');
  const statements = [
    ['insert into t select generate_series(1, $1::int4)', [3]],
    'update t set n = n + 1 where n > 1',
    'select 1',
  ] as const;
  expect(await runner.execute(request('a', statements), testContext())).toEqual({
    alreadyDone: false,
    rowsAffected: [3, 2, null],
    notices: [],
  });
  expect(await runner.execute(request('a', statements, { fence: { key: 'run/sql', epoch: 2 } }), testContext())).toEqual({
    alreadyDone: true,
    rowsAffected: [3, 2, null],
    notices: [],
  });
  expect(await db.sql('select count(*)::int as n from t')).toEqual([{ n: 3 }]);
});

test('a procedure gets its arguments bound, and what it says is kept', async () => {
  await using db = await testDatabase();
  await db.sql(
    `create table said (what text); create procedure say(what text, day date) language plpgsql as $$ begin raise notice 'on %: %', day, what; insert into said values (what); end $$`,
  );
  const done = await postgres({ url: db.url })
    .sql()
    .execute(request('p', [['call say($1, $2)', [`it's "$1"`, '2026-03-29']]]), testContext());
  expect(done).toMatchObject({ alreadyDone: false, notices: [`on 2026-03-29: it's "$1"`] });
  expect(await db.sql('select what from said')).toEqual([{ what: `it's "$1"` }]);
});

test('a procedure that commits by itself runs outside a transaction, and its note follows', async () => {
  await using db = await testDatabase();
  await db.sql(
    `create table t (n int4); create procedure fill() language plpgsql as $$ begin for i in 1..3 loop insert into t values (i); commit; end loop; end $$`,
  );
  const runner = postgres({ url: db.url }).sql();
  await expect(runner.execute(request('f', ['call fill()']), testContext())).rejects.toMatchObject({ code: 'STATEMENT_FAILED' });
  expect(await db.sql('select count(*)::int as n from t')).toEqual([{ n: 0 }]);
  await runner.execute(request('f', ['call fill()'], { transaction: false }), testContext());
  expect(await runner.execute(request('f', ['call fill()'], { transaction: false }), testContext())).toMatchObject({ alreadyDone: true });
  expect(await db.sql('select count(*)::int as n from t')).toEqual([{ n: 3 }]);
});

test('a statement that fails leaves nothing of those before it', async () => {
  await using db = await testDatabase();
  await db.sql('create table t (n int4)');
  const failing = postgres({ url: db.url })
    .sql()
    .execute(request('x', ['insert into t values (1)', 'insert into missing values (1)']), testContext());
  await expect(failing).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  expect(await db.sql('select count(*)::int as n from t')).toEqual([{ n: 0 }]);
});

test('a statement that ends the transaction is refused', async () => {
  await using db = await testDatabase();
  await db.sql('create table t (n int4)');
  await expect(
    postgres({ url: db.url })
      .sql()
      .execute(request('c', ['insert into t values (1)', 'commit', 'begin']), testContext()),
  ).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('an older attempt is refused', async () => {
  await using db = await testDatabase();
  const runner = postgres({ url: db.url }).sql();
  await runner.execute(request('1', ['select 1'], { fence: { key: 'k', epoch: 5 } }), testContext());
  await expect(runner.execute(request('2', ['select 1'], { fence: { key: 'k', epoch: 4 } }), testContext())).rejects.toMatchObject({
    code: 'ATTEMPT_FENCED',
  });
});

test('a query for a check reads, and cannot write', async () => {
  await using db = await testDatabase();
  const runner = postgres({ url: db.url }).sql();
  expect(await runner.query('select $1::int4 + 1 as n, null as nothing, now() is not null as t', ['41'], testContext())).toEqual([
    { n: '42', nothing: null, t: 't' },
  ]);
  await expect(runner.query('create table t (n int4)', [], testContext())).rejects.toMatchObject({ code: 'STATEMENT_FAILED' });
});
