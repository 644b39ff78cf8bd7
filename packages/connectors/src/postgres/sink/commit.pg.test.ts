import { int8, table, text } from '@millrace/core';
import { expect, test } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../../test/postgres.ts';
import { startTcpProxy } from '../../../../../test/tcp-proxy.ts';
import { batches, loadRows, specOf, split, testContext } from '../../../test/load.ts';
import { tableTarget } from './table-target.ts';

const items = table('items', { id: int8(), name: text() }, { key: ['id'] });
const target = (url: string, mode: 'append' | 'merge' = 'append') =>
  tableTarget({ settings: { url }, connector: 'postgres', label: 'test' }, items, { mode });

/** A table whose COMMIT takes its time, so that a test can act while it runs. */
async function slowToCommit(db: TestDatabase): Promise<void> {
  await db.sql(`create table items (id int8 primary key, name text not null);
    create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.5); return null; end';
    create constraint trigger slow after insert on items deferrable initially deferred for each row execute function slow()`);
}

async function until(db: TestDatabase, condition: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const [row] = await db.sql(
      `select exists (select from pg_stat_activity where application_name like 'millrace load%' and datname = current_database() and ${condition}) as yes`,
    );
    if (row?.['yes']) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Never came: ${condition}`);
}

test('a COMMIT whose answer is lost is looked up: the load is applied, once', async () => {
  await using db = await testDatabase();
  await using proxy = await startTcpProxy(db.url);
  await slowToCommit(db);
  const loading = loadRows(target(proxy.through(db.url)), { splits: [[{ id: 1n, name: 'a' }]] });
  await until(db, `query = 'COMMIT' and state = 'active'`);
  proxy.stall();
  await until(db, `query = 'COMMIT' and state = 'idle'`);
  proxy.cut();
  proxy.resume();
  expect(await loading).toMatchObject({ loadId: 'load-1', rows: 1 });
  expect(await db.sql('select id from items')).toEqual([{ id: '1' }]);
});

test('a COMMIT that never came to its end is not taken for done, and the next attempt loads once', async () => {
  await using db = await testDatabase();
  await using proxy = await startTcpProxy(db.url);
  await slowToCommit(db);
  const loading = loadRows(target(proxy.through(db.url)), { splits: [[{ id: 1n, name: 'a' }]] });
  const failing = expect(loading).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  await until(db, `query = 'COMMIT' and state = 'active'`);
  proxy.cut();
  await failing;
  expect(await db.sql('select id from items')).toEqual([]);
  await loadRows(target(db.url), { epoch: 2, splits: [[{ id: 1n, name: 'a' }]] });
  expect(await db.sql('select id from items')).toEqual([{ id: '1' }]);
});

test.for([false, true])('an attempt that sleeps in its transaction does not hold up the next one (parallel: %s)', async (parallel) => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const { spec, fence, checkpoint } = specOf(target(db.url), { parallel, splits: [] });
  await using sleeping = await target(db.url).open(testContext());
  await using session = await sleeping.begin(spec, fence);
  const part = await session.stage(split(0), batches(items, [{ id: 1n, name: 'a' }]));
  const started = Date.now();
  await loadRows(target(db.url), { epoch: 2, parallel, splits: [[{ id: 1n, name: 'a' }]] });
  expect(Date.now() - started).toBeLessThan(5_000);
  await expect(session.commit([part], checkpoint)).rejects.toMatchObject({
    code: expect.stringMatching(/ATTEMPT_FENCED|CONNECTION_FAILED/),
  });
  expect(await db.sql('select id from items')).toEqual([{ id: '1' }]);
});

test('a source that breaks off leaves nothing, also where its bytes end at a row’s end', async () => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const { Readable } = await import('node:stream');
  for (const [id, parallel] of [false, true].entries()) {
    for (const what of ['fewer', 'broken']) {
      const loading = loadRows(target(db.url), {
        id: `${id}${what}`,
        parallel,
        splits: [[]],
        channel: (schema) => ({
          format: 'csv',
          schema,
          stream: Readable.from([Buffer.from('1,a\n2,b\n')]),
          done: what === 'fewer' ? Promise.resolve({ rows: 3 }) : Promise.reject(new Error('the source died')),
        }),
      });
      await (what === 'fewer'
        ? expect(loading).rejects.toMatchObject({ code: 'WIRE_CORRUPT' })
        : expect(loading).rejects.toThrow('the source died'));
    }
  }
  expect(await db.sql('select count(*)::int as n from items')).toEqual([{ n: 0 }]);
  expect(await db.sql(`select relname from pg_class where relname like 'part%'`)).toEqual([]);
});

test('an aborted run stops a load that waits for a lock, with the reason of the abort', async () => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const abort = new AbortController();
  const { default: pg } = await import('pg');
  const blocker = new pg.Client({ connectionString: db.url });
  await blocker.connect();
  try {
    await blocker.query('begin; lock table items in access exclusive mode');
    const loading = loadRows(target(db.url, 'merge'), {
      context: testContext(undefined, { signal: abort.signal }),
      splits: [[{ id: 1n, name: 'a' }]],
    });
    const failing = expect(loading).rejects.toMatchObject({ code: 'RUN_CANCELLED' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    abort.abort();
    await failing;
    await blocker.query('commit');
  } finally {
    await blocker.end();
  }
  expect(await db.sql('select count(*)::int as n from items')).toEqual([{ n: 0 }]);
});

test('parts that a crash of the database has emptied are noticed', async () => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const { spec, fence, checkpoint } = specOf(target(db.url), { parallel: true, splits: [] });
  await using sink = await target(db.url).open(testContext());
  await using session = await sink.begin(spec, fence);
  const part = await session.stage(split(0), batches(items, [{ id: 1n, name: 'a' }]));
  await db.sql(`truncate _millrace."${String(part.detail['table'])}"`);
  await expect(session.commit([part], checkpoint)).rejects.toMatchObject({ code: 'WIRE_CORRUPT' });
});

test('parts of an earlier attempt are committed by the next one where the plan goes on', async () => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const { spec, fence, checkpoint } = specOf(target(db.url), { parallel: true, splits: [] });
  const plan = {
    schema: items,
    absorbed: [],
    window: null,
    splits: [split(0), split(1)],
    estimate: { rows: null, bytes: null },
    continuesEarlier: true,
  };
  await using first = await target(db.url).open(testContext());
  await using before = await first.begin(spec, fence);
  const earlier = await before.stage(split(0), batches(items, [{ id: 1n, name: 'a' }]));
  await using second = await target(db.url).open(testContext());
  await using after = await second.begin({ ...spec, plan }, { ...fence, epoch: 2 });
  expect(await after.recover?.([earlier, { ...earlier, split: 's9', detail: { table: 'gone' } }, { ...earlier, rows: 7 }])).toEqual([
    earlier,
  ]);
  const later = await after.stage(split(1), batches(items, [{ id: 2n, name: 'b' }]));
  await after.commit([earlier, later], checkpoint);
  expect(await db.sql('select id from items order by id')).toEqual([{ id: '1' }, { id: '2' }]);
  expect(await db.sql(`select relname from pg_class where relname like 'part%'`)).toEqual([]);
});

test('a part that another run of the same window has left is not taken for one of this run, nor taken away', async () => {
  await using db = await testDatabase();
  await db.sql('create table items (id int8 primary key, name text not null)');
  const [one, other] = ['run-1/load', 'run-2/load'].map((key) => specOf(target(db.url), { key, parallel: true, splits: [] })) as [
    ReturnType<typeof specOf>,
    ReturnType<typeof specOf>,
  ];
  await using sink = await target(db.url).open(testContext());
  await using left = await sink.begin(one.spec, one.fence);
  const before = await left.stage(split(0), batches(items, [{ id: 1n, name: 'a' }]));
  await using session = await sink.begin(other.spec, other.fence);
  // The same split, cut where this run cuts it.
  const rows = [
    { id: 1n, name: 'a' },
    { id: 2n, name: 'b' },
  ];
  const part = await session.stage(split(0), batches(items, rows));
  expect(part).toMatchObject({ rows: 2 });
  expect(await session.stage(split(0), batches(items, []))).toEqual(part); // its own it does find again
  expect(await left.recover?.([before])).toEqual([before]);
  await left.abort(new Error('given up'));
  await session.commit([part], other.checkpoint);
  expect(await db.sql('select id from items order by id')).toEqual([{ id: '1' }, { id: '2' }]);
  expect(await db.sql(`select relname from pg_class where relname like 'part%'`)).toEqual([]);
  expect(await db.sql('select * from _millrace.staged')).toEqual([]);
});
