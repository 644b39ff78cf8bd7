import { int8, table, text, timestamptz } from '@millrace/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { testContext } from '../../test/load.ts';
import { readAll } from '../../test/read.ts';
import { postgres } from './index.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db?.[Symbol.asyncDispose]());

const splitBytes = 64 * 1024;
const shop = (options = {}) => postgres({ url: db.url, ...options });
const numbers = (rows: readonly Readonly<Record<string, unknown>>[]) => rows.map((row) => Number(row['id'])).sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

test('a large table is cut into ranges of blocks that hold each row once', async () => {
  await db.sql(`create table big as select i::int8 as id, repeat('x', 100) as note from generate_series(1, 20000) i`);
  await db.sql('delete from big where id % 7 = 0');
  await db.sql(`update big set note = 'moved' where id % 5 = 0`);
  await db.sql('vacuum analyze big');
  const read = await readAll(shop().selection(table('big', { id: int8().orNull(), note: text().orNull() })), { splitBytes });
  expect(read.plan.splits.length).toBeGreaterThan(10);
  expect(read.plan.splits.map(({ id }) => id)).toEqual([...new Set(read.plan.splits.map(({ id }) => id))]);
  expect(numbers(read.rows)).toEqual(upTo(20_000).filter((id) => id % 7 !== 0));
  expect(read.plan.estimate.rows).toBeGreaterThan(10_000);
});

test('TOAST counts: a small heap with large values is cut as well', async () => {
  await db.sql(`create table docs (id int8 primary key, body text not null)`);
  await db.sql('alter table docs alter body set storage external');
  await db.sql(`insert into docs select i, repeat(md5(i::text), 400) from generate_series(1, 300) i`);
  const read = await readAll(shop().selection(table('docs', { id: int8(), body: text() })), { splitBytes: 512 * 1024 });
  expect(read.plan.splits.length).toBeGreaterThan(2);
  expect(numbers(read.rows)).toEqual(upTo(300));
  expect(read.rows[0]).toMatchObject({ body: expect.stringMatching(/^[0-9a-f]{12800}$/) });
});

test('partitions of partitions are read each by itself, small ones together', async () => {
  await db.sql(`create table events (id int8, at timestamptz, note text) partition by range (id)`);
  await db.sql('create table events_low partition of events for values from (0) to (1000) partition by hash (id)');
  await db.sql('create table events_low_0 partition of events_low for values with (modulus 2, remainder 0)');
  await db.sql('create table events_low_1 (note text, junk int, id int8, at timestamptz)');
  await db.sql('alter table events_low_1 drop column junk');
  await db.sql('alter table events_low attach partition events_low_1 for values with (modulus 2, remainder 1)');
  await db.sql('create table "events ""high""" partition of events for values from (1000) to (1000000)');
  await db.sql('create table events_none partition of events default');
  await db.sql(`insert into events select i, now(), repeat('y', 200) from generate_series(1, 8000) i`);
  const events = table('events', { id: int8().orNull(), at: timestamptz().orNull(), note: text().orNull() });
  const read = await readAll(shop().selection(events), { splitBytes: 256 * 1024 });
  expect(numbers(read.rows)).toEqual(upTo(8000));
  expect(read.plan.splits.length).toBeGreaterThan(4);
  expect(read.plan.splits.length).toBeLessThan(12);
});

test('an inheriting table is part of its parent, and is read once where it is reached twice', async () => {
  await db.sql('create table animal (id int8, name text)');
  await db.sql('create table swimmer () inherits (animal)');
  await db.sql('create table flyer () inherits (animal)');
  await db.sql('create table duck (speed int) inherits (swimmer, flyer)');
  await db.sql(
    `insert into animal values (1, 'a'); insert into swimmer values (2, 's'); insert into flyer values (3, 'f'); insert into duck values (4, 'd')`,
  );
  const animal = table('animal', { id: int8().orNull(), name: text().orNull() });
  const read = await readAll(shop().selection(animal));
  expect(numbers(read.rows)).toEqual([1, 2, 3, 4]);
});

test('an empty table is one split without rows, a partitioned table without partitions too', async () => {
  await db.sql('create table nothing (id int8); create table no_parts (id int8) partition by list (id)');
  for (const name of ['nothing', 'no_parts']) {
    const read = await readAll(shop().selection(table(name, { id: int8().orNull() })));
    expect(read.plan.splits).toHaveLength(1);
    expect(read.rows).toEqual([]);
  }
});

test('views, materialized views and tables under row-level security are read as they show themselves', async () => {
  await db.sql(`create table secrets as select i::int8 as id, i % 2 = 0 as open from generate_series(1, 5000) i`);
  await db.sql(
    `create view evens as select id from secrets where open; create materialized view odds as select id from secrets where not open`,
  );
  const one = { id: int8().orNull() };
  expect(numbers((await readAll(shop().selection(table('evens', one)), { splitBytes })).rows)).toEqual(
    upTo(5000).filter((id) => id % 2 === 0),
  );
  const odds = await readAll(shop().selection(table('odds', one)), { splitBytes });
  expect(numbers(odds.rows)).toEqual(upTo(5000).filter((id) => id % 2 === 1));
  expect(odds.plan.splits.length).toBeGreaterThan(1);

  await db.sql(`alter table secrets enable row level security; create policy half on secrets using (open)`);
  await db.sql(`create role reader_${db.name} login password 'pw'; grant select on secrets to reader_${db.name}`);
  const url = db.url.replace(/\/\/.*@/, `//reader_${db.name}:pw@`);
  const seen = await readAll(shop({ url }).selection(table('secrets', one)), { splitBytes });
  expect(numbers(seen.rows)).toEqual(upTo(5000).filter((id) => id % 2 === 0));
  await db.sql(`drop owned by reader_${db.name}; drop role reader_${db.name}`);
});

test('a user who may read the parent but not its partitions reads through the parent', async () => {
  await db.sql(
    'create table guarded (id int8) partition by range (id); create table guarded_1 partition of guarded for values from (0) to (100000)',
  );
  await db.sql(`insert into guarded select generate_series(1, 9000)`);
  await db.sql(`create role parent_${db.name} login password 'pw'; grant select on guarded to parent_${db.name}`);
  const url = db.url.replace(/\/\/.*@/, `//parent_${db.name}:pw@`);
  const read = await readAll(shop({ url }).selection(table('guarded', { id: int8().orNull() })), { splitBytes });
  expect(numbers(read.rows)).toEqual(upTo(9000));
  await db.sql(`drop owned by parent_${db.name}; drop role parent_${db.name}`);
});

test('all splits see one moment, while others write, move rows between partitions and commit', async () => {
  await db.sql(`create table accounts (id int8 primary key, owner text not null, amount int8 not null) partition by range (id)`);
  await db.sql(
    'create table accounts_a partition of accounts for values from (0) to (500); create table accounts_b partition of accounts for values from (500) to (2000)',
  );
  await db.sql(`insert into accounts select i, repeat('z', 500), 100 from generate_series(0, 999) i`);
  let stop = false;
  const writer = (async () => {
    for (let round = 0; !stop; round++) {
      const [a, b] = [(round * 7919) % 1000, (round * 104_729 + 1) % 1000];
      await db.sql(
        `do $$ begin update accounts set amount = amount - 1 where id % 1000 = ${a}; update accounts set amount = amount + 1 where id % 1000 = ${a === b ? a : b};
         update accounts set id = (id + 1000) % 2000 where id % 1000 = ${a}; end $$`,
      );
    }
  })();
  const accounts = table('accounts', { id: int8(), owner: text(), amount: int8() }, { key: ['id'] });
  const rounds = await Promise.all(
    [1, 2, 3].map(() => readAll(shop({ maxConnections: 3 }).selection(accounts), { splitBytes: 32 * 1024 })),
  );
  stop = true;
  await writer;
  for (const { rows, plan } of rounds) {
    expect(plan.splits.length).toBeGreaterThan(3);
    expect(new Set(rows.map((row) => Number(row['id']) % 1000)).size).toBe(1000);
    expect(rows).toHaveLength(1000);
    expect(rows.reduce((sum, row) => sum + Number(row['amount']), 0)).toBe(100_000);
  }
});

test('with one connection, splits that are opened at once come one after another', async () => {
  await db.sql(`create table queue as select i::int8 as id, repeat('q', 100) as note from generate_series(1, 3000) i`);
  const read = await readAll(shop({ maxConnections: 1 }).selection(table('queue', { id: int8().orNull() })), { splitBytes });
  expect(read.plan.splits.length).toBeGreaterThan(3);
  expect(numbers(read.rows)).toEqual(upTo(3000));
});

test('where snapshots cannot be exported, splits are read one after another on one connection', async () => {
  await db.sql("create table lonely as select i::int8 as id, repeat('l', 100) as note from generate_series(1, 3000) i");
  await db.sql(
    `revoke execute on function pg_export_snapshot() from public; create role lonely_${db.name} login password 'pw'; grant select on lonely to lonely_${db.name}`,
  );
  const url = db.url.replace(/\/\/.*@/, `//lonely_${db.name}:pw@`);
  const context = testContext();
  const read = await readAll(shop({ url }).selection(table('lonely', { id: int8().orNull() })), { splitBytes }, context);
  expect(context.lines.join()).toMatch(/does not export snapshots/);
  expect(read.plan.splits.length).toBeGreaterThan(3);
  expect(numbers(read.rows)).toEqual(upTo(3000));
  await db.sql(`grant execute on function pg_export_snapshot() to public; drop owned by lonely_${db.name}; drop role lonely_${db.name}`);
});

test('after a lost snapshot a window is read by ranges of the key, which a third attempt can go on with', async () => {
  await db.sql(
    `create table ledger (id int8 primary key, updated_at timestamptz not null default now(), note text); insert into ledger select i, '2024-01-01', repeat('n', 100) from generate_series(1, 6000) i; analyze ledger`,
  );
  const ledger = shop().selection(table('ledger', { id: int8(), updated_at: timestamptz() }, { key: ['id'] }));
  const since = { column: 'updated_at', low: null, lagMs: 0 };
  const first = await readAll(ledger, { since, splitBytes });
  expect(first.plan).toMatchObject({ continuesEarlier: false });
  const second = await readAll(ledger, { since, splitBytes, earlier: first.plan });
  expect(second.plan.continuesEarlier).toBe(false);
  expect(second.plan.splits[1]?.where).toMatchObject({ key: { column: 'id' } });
  expect(second.plan.window).toEqual(first.plan.window);
  expect(numbers(second.rows)).toEqual(upTo(6000));
  const third = await readAll(ledger, { since, splitBytes, earlier: second.plan });
  expect(third.plan.continuesEarlier).toBe(true);
  expect(third.plan.splits).toEqual(second.plan.splits);
  expect(numbers(third.rows)).toEqual(upTo(6000));
});

test('a snapshot whose session was ended is told as lost', async () => {
  await db.sql(`create table brief as select i::int8 as id, repeat('b', 100) as note from generate_series(1, 3000) i`);
  await using source = await shop()
    .selection(table('brief', { id: int8().orNull() }))
    .open(testContext());
  const plan = await source.plan({ absorbed: [], since: null, splitBytes, earlier: null });
  await db.sql(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'millrace read' and datname = current_database()`,
  );
  await expect(source.open(plan.splits[0]!, 'batches')).rejects.toMatchObject({ code: 'SNAPSHOT_LOST' });
});
