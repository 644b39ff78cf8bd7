import type { RefreshTask } from '@millrace/core/runtime';
import pg from 'pg';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { redshift } from '../../redshift/index.ts';
import { postgres } from '../index.ts';

let runs = 0;

function refresh(
  db: TestDatabase,
  views: readonly string[],
  more: Partial<RefreshTask> = {},
  id = `run-${++runs}`,
  connect: typeof postgres | typeof redshift = postgres,
) {
  return connect({ url: db.url })
    .tasks()
    .perform(
      { kind: 'refresh', views, concurrently: false, ...more },
      { id, fence: { key: id, epoch: 1 }, owner: { pipeline: 'nightly', step: 'fresh' } },
      testContext(),
    );
}

const preview = (db: TestDatabase, views: readonly string[], concurrently = false) =>
  postgres({ url: db.url })
    .tasks()
    .preview({ kind: 'refresh', views, concurrently }, { pipeline: 'nightly', step: 'fresh' }, testContext());

const sales = `create table sale (day date, amount int4); insert into sale values ('2026-03-28', 1), ('2026-03-29', 2);
  create schema a; create materialized view a.daily as select day, sum(amount) as total from sale group by day;
  create view a.between as select * from a.daily; create materialized view a.total as select sum(total) as total from a.between`;

test('views are refreshed with those that they read before them, whatever the order of the list', async () => {
  await using db = await testDatabase();
  await db.sql(`${sales}; insert into sale values ('2026-03-30', 4)`);
  expect(await preview(db, ['a.total', 'a.daily'])).toMatchObject([
    { subject: 'a.daily' },
    { subject: 'a.total', message: 'would be refreshed' },
  ]);
  const done = await refresh(db, ['a.total', 'a.daily']);
  expect(done.rowsAffected).toEqual([3, 1]);
  expect(done.notices).toEqual([expect.stringMatching(/^a\.daily: 3 rows in \d+\.\d\d s$/), expect.stringMatching(/^a\.total: 1 row in/)]);
  expect(await db.sql('select total::int from a.total')).toEqual([{ total: 7 }]);
});

test('once for a run, however often it is tried', async () => {
  await using db = await testDatabase();
  await db.sql(sales);
  await refresh(db, ['a.daily'], {}, 'one');
  await db.sql('delete from sale');
  expect(await refresh(db, ['a.daily'], {}, 'one')).toMatchObject({ alreadyDone: true, rowsAffected: [2] });
  expect(await db.sql('select count(*)::int as n from a.daily')).toEqual([{ n: 2 }]);
});

test('concurrently it needs an index by which rows can be told apart, and says which statement makes one', async () => {
  await using db = await testDatabase();
  await db.sql(`${sales}; create unique index on a.daily ((total + 1)); create unique index on a.daily (day) where total > 0`);
  await expect(refresh(db, ['a.daily'], { concurrently: true })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('a.daily has none'),
    remedy: expect.stringContaining('CREATE UNIQUE INDEX ON "a"."daily" (…)'),
  });
  expect(await preview(db, ['a.daily'], true)).toMatchObject([{ level: 'problem' }]);
  await db.sql('create unique index on a.daily (day)');
  expect((await refresh(db, ['a.daily'], { concurrently: true })).notices[0]).toContain(', concurrently');
});

test('what was never filled is filled before it can be refreshed concurrently', async () => {
  await using db = await testDatabase();
  await db.sql(`create materialized view m as select 1 as n with no data; create unique index on m (n)`);
  expect((await refresh(db, ['m'], { concurrently: true })).notices[0]).toContain('filled for the first time');
});

test('a reader goes on while a view is refreshed concurrently', async () => {
  await using db = await testDatabase();
  await db.sql(`${sales}; create unique index on a.daily (day); insert into sale values ('2026-03-30', 4)`);
  await db.sql(
    `create function slow() returns int4 language sql as $$ select 1 from pg_advisory_xact_lock_shared(1) $$;
     create materialized view slow as select slow() as n; create unique index on slow (n)`,
  );
  const holder = new pg.Client({ connectionString: db.url });
  await holder.connect();
  await holder.query('select pg_advisory_lock(1)');
  const refreshed = refresh(db, ['slow', 'a.daily'], { concurrently: true });
  const waiting = `select from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.locktype = 'advisory' and not l.granted`;
  await expect.poll(() => db.sql(waiting)).toHaveLength(1);
  expect(await db.sql('select * from slow, a.daily')).not.toEqual([]);
  await holder.end();
  await refreshed;
});

test('a name that is not there, and what is no materialized view, are told apart', async () => {
  await using db = await testDatabase();
  await db.sql('create view plain as select 1 as n; create table t (n int4)');
  await expect(refresh(db, ['missing'])).rejects.toMatchObject({ code: 'TABLE_MISSING' });
  await expect(refresh(db, ['plain'])).rejects.toMatchObject({ code: 'UNSUPPORTED', remedy: expect.stringContaining('always fresh') });
  await expect(refresh(db, ['t'])).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('a warehouse on a laptop refreshes as Postgres does', async () => {
  await using db = await testDatabase();
  await db.sql(sales);
  expect(await refresh(db, ['a.daily'], {}, 'r', redshift)).toMatchObject({ rowsAffected: [2] });
});
