import { type NotifySchedule, onChange, secret } from '@millrace/core/runtime';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type TestDatabase, testDatabase } from '../../../../test/postgres.ts';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { removeTriggers, watchOf } from './change-triggers.ts';
import { notifySource } from './notify-source.ts';
import { Scheduler } from './scheduler.ts';
import { deploy } from './ticking.ts';

let world: ScheduleWorld;
let shop: TestDatabase;
const open: AsyncDisposable[] = [];
beforeEach(async () => {
  [world, shop] = await Promise.all([scheduleWorld(), testDatabase()]);
  await shop.sql('create table orders (id int4, note text); create schema "o.ther"; create table "o.ther"."it""s" (n int4)');
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await Promise.all([world, shop].map((one) => one[Symbol.asyncDispose]()));
});

const patient = { timeout: 30_000, interval: 30 };
const watching = (...[tables, more]: [string | string[], Partial<Parameters<typeof onChange>[1]>?]) =>
  onChange(tables, { database: secret('SHOP_URL'), quiet: '150ms', ...more }) as NotifySchedule;

/** Any number of schedulers of one pipeline that watches tables. */
async function schedulers(count: number, schedule: NotifySchedule) {
  const pipelines = new Map([scheduled('changed', schedule, { params: { payload: '' } })]);
  const made = await Promise.all(
    Array.from({ length: count }, async () => {
      const one = { store: await world.open(), launch: world.launch(pipelines), pipelines };
      await deploy(one);
      const watch = watchOf('changed', schedule);
      const source = notifySource({
        store: await world.open(),
        pipelines: ['changed'],
        channel: watch?.channel ?? '',
        database: shop.url,
        watch,
        everyMs: 200,
      });
      return Scheduler.start({ ...one, everyMs: 50, sources: [source] });
    }),
  );
  open.push(...made);
  await vi.waitFor(async () => expect(await triggers()).toHaveLength(schedule.changes?.tables.length ?? 0), patient);
  return made;
}

const triggers = async () =>
  (
    await shop.sql(`select tgrelid::regclass::text as on from pg_trigger where tgname like 'millrace_%' and not tgisinternal order by 1`)
  ).map(({ on }) => on);
const payloads = async () => (await world.runsOf('changed')).map(({ request }) => JSON.parse(request.params['payload'] ?? '{}'));

it('changes that come together start one run, which is told what they were; those rolled back start none', async () => {
  await schedulers(2, watching(['orders', '"o.ther"."it""s"'], { on: ['insert', 'update'] }));
  await shop.sql('begin; insert into orders values (0); rollback');
  await shop.sql(
    `begin; insert into orders values (1); insert into orders values (2); savepoint s; update orders set note = 'x'; rollback to s; update orders set note = 'y'; commit`,
  );
  await shop.sql('insert into "o.ther"."it""s" values (1)');
  await shop.sql('delete from orders');
  await vi.waitFor(async () => expect(await payloads()).toHaveLength(1), patient);
  expect((await payloads())[0]).toMatchObject({ tables: { 'public.orders': ['insert', 'update'], 'o.ther.it"s': ['insert'] }, notes: 3 });
  expect(await shop.sql('select 1 from _millrace.trigger')).toEqual([]);
});

it('what changes while no scheduler runs starts its run later, also by somebody who may not see our tables', async () => {
  const [first] = await schedulers(1, watching('orders'));
  await first?.[Symbol.asyncDispose]();
  open.length = 0;
  const role = `writer_${shop.name}`;
  await shop.sql(`create role ${role}; grant insert on orders to ${role}`);
  try {
    await shop.sql(`begin; set local role ${role}; insert into orders values (1); commit`);
  } finally {
    await shop.sql(`drop owned by ${role}; drop role ${role}`);
  }
  expect(await payloads()).toEqual([]);
  await schedulers(1, watching('orders'));
  await vi.waitFor(async () => expect(await payloads()).toHaveLength(1), patient);
});

it('a stream of changes is not waited for without end', async () => {
  await schedulers(1, watching('orders', { quiet: '300ms' }));
  const began = Date.now();
  while ((await payloads()).length === 0 && Date.now() - began < 20_000) {
    await shop.sql('insert into orders values (1)');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await payloads()).toHaveLength(1);
  expect(Date.now() - began).toBeGreaterThan(2_900);
});

it('a declaration that changes makes other triggers and drops those before; one that goes takes them along', async () => {
  await shop.sql('create table other (n int4)');
  const [first] = await schedulers(1, watching('orders'));
  await first?.[Symbol.asyncDispose]();
  await shop.sql('insert into orders values (1)');
  await schedulers(1, watching(['other']));
  await vi.waitFor(async () => expect(await triggers()).toEqual(['other']), patient);
  expect(await shop.sql('select 1 from _millrace.trigger')).toEqual([]);
  await removeTriggers(shop.url, 'somebody-else');
  expect(await triggers()).toEqual(['other']);
  await removeTriggers(shop.url, 'changed');
  expect(await triggers()).toEqual([]);
});

it('a table that is not there is told by name', async () => {
  const schedule = watching('missing');
  const watch = watchOf('changed', schedule);
  const source = notifySource({ store: await world.open(), pipelines: ['changed'], channel: 'c', database: shop.url, watch, everyMs: 50 });
  await expect(source.look(new AbortController().signal)).rejects.toMatchObject({
    code: 'TABLE_MISSING',
    message: expect.stringContaining('"changed" is to run when missing changes'),
  });
  await source.close?.();
});
