import type { PartitionsTask } from '@millrace/core/runtime';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { testContext } from '../../../test/load.ts';
import { postgres } from '../index.ts';

const daily = (more: Partial<PartitionsTask> = {}): PartitionsTask => ({
  kind: 'partitions',
  table: 'public.events',
  by: 'day',
  ahead: 2,
  timeZone: 'UTC',
  expired: null,
  ...more,
});

/** For a time past all clocks of tests, beside the present. */
const at = '2040-03-25T12:00:00.000Z';
let runs = 0;

async function keep(db: TestDatabase, task = daily(), logicalTime = at) {
  const id = `run-${++runs}`;
  const context = testContext(logicalTime);
  return postgres({ url: db.url })
    .tasks()
    .perform(task, { id, fence: { key: id, epoch: 1 }, owner: { pipeline: 'nightly', step: 'kept' } }, context);
}

const preview = (db: TestDatabase, task = daily()) =>
  postgres({ url: db.url }).tasks().preview(task, { pipeline: 'nightly', step: 'kept' }, testContext(at));

const partitionsOf = async (db: TestDatabase, like = '%') =>
  (
    await db.sql(
      `select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = 'public.events'::regclass and c.relname like '${like}' order by c.relname`,
    )
  ).map(({ name, bound }) => `${name} ${bound}`);

const create =
  'create table events (id int8 generated always as identity, at timestamptz not null, n int4 default 7 check (n > 0)) partition by range (at)';

test('partitions of the run and of the days to come are made once, with the indexes and keys of their table', async () => {
  await using db = await testDatabase();
  await db.sql(`${create}; create index on events (n); alter table events add primary key (id, at)`);
  const first = await keep(db);
  expect(first.notices).toHaveLength(1);
  expect(await partitionsOf(db, '%2040%')).toEqual([
    "events_d20400325 FOR VALUES FROM ('2040-03-25 00:00:00+00') TO ('2040-03-26 00:00:00+00')",
  ]);
  expect(await partitionsOf(db)).toHaveLength(4);
  await db.sql(`insert into events (at) values ('${at}'), (now()), (now() + interval '2 days')`);
  expect(await db.sql('select count(*)::int as n, sum(n)::int as sum from events_d20400325')).toEqual([{ n: 1, sum: 7 }]);
  expect(await db.sql(`select count(*)::int as n from pg_index where indrelid = 'events_d20400325'::regclass`)).toEqual([{ n: 2 }]);
  expect((await keep(db)).notices).toEqual([]);
  expect(await preview(db)).toMatchObject([{ level: 'ok', message: 'has all partitions it needs' }]);
});

test('days of a time zone begin at its midnights; of a column without one, at those of its clock', async () => {
  await using db = await testDatabase();
  await db.sql(create);
  await keep(db, daily({ timeZone: 'Europe/Paris', ahead: 0 }));
  expect(await partitionsOf(db, '%2040%')).toEqual([
    "events_d20400325 FOR VALUES FROM ('2040-03-24 23:00:00+00') TO ('2040-03-25 22:00:00+00')",
  ]);
  for (const [type, from, to] of [
    ['date', '2040-03-25', '2040-03-26'],
    ['timestamp', '2040-03-25 00:00:00', '2040-03-26 00:00:00'],
  ]) {
    await db.sql(`drop table events; create table events (at ${type}) partition by range (at)`);
    await keep(db, daily({ timeZone: 'Europe/Paris', ahead: 0 }));
    expect(await partitionsOf(db, '%2040%')).toEqual([`events_d20400325 FOR VALUES FROM ('${from}') TO ('${to}')`]);
  }
});

test('what is there stays, and only the rest of a period is made', async () => {
  await using db = await testDatabase();
  await db.sql(`${create}; create table march partition of events for values from ('2040-03-01') to ('2040-03-25 18:00+00')`);
  await keep(db, daily({ by: 'month', ahead: 0 }));
  expect(await partitionsOf(db, '%2040%')).toEqual([
    "events_m204003 FOR VALUES FROM ('2040-03-25 18:00:00+00') TO ('2040-04-01 00:00:00+00')",
  ]);
});

test('two at once make each partition once', async () => {
  await using db = await testDatabase();
  await db.sql(create);
  const task = daily({ ahead: 10 });
  const results = await Promise.all([1, 2, 3, 4].map(() => keep(db, task)));
  expect(results.filter(({ notices }) => notices.length > 0)).toHaveLength(1);
  expect(await partitionsOf(db)).toHaveLength(12);
});

test('rows of the default partition are told, with the way out', async () => {
  await using db = await testDatabase();
  await db.sql(
    `${create}; create table rest partition of events default; insert into events (at) values ('${at}'), ('${at}'), ('2001-01-01')`,
  );
  const refused = keep(db);
  await expect(refused).rejects.toMatchObject({
    code: 'PARTITION_CONFLICT',
    message: expect.stringContaining('public.rest holds 2 rows'),
    facts: { rows: 2 },
  });
  expect(await preview(db)).toMatchObject([{ level: 'problem', message: expect.stringContaining('holds 2 rows') }]);
  expect(await partitionsOf(db)).toEqual(['rest DEFAULT']);
  // The remedy is SQL that works.
  const { remedy } = await refused.catch((error) => error);
  const [out, back] = remedy.slice(remedy.indexOf('CREATE TABLE')).split('run this step again; ');
  await db.sql(out);
  await keep(db);
  await db.sql(back);
  expect(await db.sql('select count(*)::int as n from events_d20400325')).toEqual([{ n: 2 }]);
  expect(await db.sql('select count(*)::int as n from rest')).toEqual([{ n: 1 }]);
});

test('a table that has the name of a partition is told', async () => {
  await using db = await testDatabase();
  await db.sql(`${create}; create table events_d20400325 (n int4)`);
  await expect(keep(db)).rejects.toMatchObject({ code: 'PARTITION_CONFLICT', facts: { name: 'public.events_d20400325' } });
});

test('expired partitions are told, detached or dropped, as was asked', async () => {
  await using db = await testDatabase();
  await db.sql(
    `${create}; create table old_1 partition of events for values from (minvalue) to ('2001-01-01'); create table old_2 partition of events for values from ('2001-01-01') to ('2001-01-02');
     insert into events (at) values ('2000-01-01'), ('2001-01-01')`,
  );
  const kept = (action: 'tell' | 'detach' | 'drop') => daily({ ahead: 0, expired: { afterMs: 86_400_000, action } });
  expect((await keep(db, kept('tell'))).notices).toContain('public.events: public.old_1, public.old_2 expired and still there');
  expect(await db.sql('select count(*)::int as n from events')).toEqual([{ n: 2 }]);
  expect((await keep(db, kept('detach'))).notices).toEqual(['public.events: public.old_1, public.old_2 detached']);
  expect(await db.sql('select (select count(*) from old_1)::int as detached, (select count(*) from events)::int as n')).toEqual([
    { detached: 1, n: 0 },
  ]);
  await db.sql(`alter table events attach partition old_1 for values from (minvalue) to ('2001-01-01')`);
  await keep(db, kept('drop'));
  expect(await db.sql(`select to_regclass('old_1') as gone, to_regclass('old_2') is not null as kept`)).toEqual([
    { gone: null, kept: true },
  ]);
});

test('hostile names are names', async () => {
  await using db = await testDatabase();
  const [schema, table, column] = ['we.ird "s', `"; drop table x; --${'é'.repeat(20)}`, `c'"o`].map(
    (name) => `"${name.replaceAll('"', '""')}"`,
  );
  await db.sql(`create schema ${schema}; create table ${schema}.${table} (${column} timestamptz) partition by range (${column})`);
  await keep(db, daily({ table: `${schema}.${table}`, ahead: 0 }));
  expect(
    await db.sql(`select count(*)::int as n from pg_inherits where inhparent = '${`${schema}.${table}`.replaceAll("'", "''")}'::regclass`),
  ).toEqual([{ n: 2 }]);
});

test.each([
  ['missing', '', 'TABLE_MISSING', 'no table'],
  ['plain', 'create table events (at timestamptz)', 'UNSUPPORTED', 'is not partitioned'],
  ['by list', 'create table events (at date) partition by list (at)', 'UNSUPPORTED', 'not partitioned by ranges'],
  ['by two columns', 'create table events (a date, b date) partition by range (a, b)', 'UNSUPPORTED', 'several columns'],
  ['by an expression', `create table events (at timestamp) partition by range (date_trunc('day', at))`, 'UNSUPPORTED', 'expression'],
  ['by a number', 'create table events (n int8) partition by range (n)', 'UNSUPPORTED', 'of type bigint'],
])('a table that is %s is refused with the reason', async (_, ddl, code, message) => {
  await using db = await testDatabase();
  if (ddl) await db.sql(ddl);
  await expect(keep(db)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});
