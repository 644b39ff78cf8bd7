import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { pushByHand } from '../../worker/test/wake-ups.ts';
import { leaseMs, orders, width } from './fleet-faults-project.ts';
import { FaultsWorld, type Gate, patient } from './fleet-faults-world.ts';

let world: FaultsWorld;
beforeAll(async () => {
  world = await FaultsWorld.open();
});
afterAll(() => world?.[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.warehouse.sql('truncate public.orders, note');
  await world.staffed(2);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await world.giveUp();
  // Whatever it was: nothing is held by anybody any more, and those who were not asked to go are there.
  await vi.waitFor(async () => expect(Object.entries(await world.held()).filter(([, count]) => count !== 0)).toEqual([]), patient);
  expect(world.broken).toEqual([]);
});

const nightlyDone = { rows: orders, ids: orders, loads: 1, notes: { left: 1, right: 1, joined: 1 } };
const nightlyOrder = [expect.stringMatching('loaded'), expect.stringMatching(/left|right/), expect.stringMatching(/left|right/), 'joined'];
const sides = Array.from({ length: width }, (_, at) => `s${at}`);
const manyDone = Object.fromEntries([...sides, 'joined'].map((step) => [step, 1]));

/** The run has succeeded, and each of its effects is there once, in its order. */
async function nightlyIsDone(run: string): Promise<void> {
  expect(await world.end(run)).toBe('succeeded');
  expect(await world.effects(run)).toEqual(nightlyDone);
  expect(await world.succeeded(run)).toEqual(nightlyOrder);
}

async function manyIsDone(run: string): Promise<void> {
  expect(await world.end(run)).toBe('succeeded');
  expect((await world.effects(run)).notes).toEqual(manyDone);
  const succeeded = await world.succeeded(run);
  expect(succeeded.toSorted()).toEqual([...sides, 'joined'].toSorted());
  expect(succeeded.at(-1)).toBe('joined');
}

describe('workers', () => {
  test('SIGKILL of each worker, one after the other, in the middle of a load: who is left does it', async () => {
    await using gate = await world.gate('source');
    const run = await world.begin('nightly');
    await gate.reached(1);
    // Of the worker alone: the process of its stage is left behind.
    world.signal(await world.workerOf(run, 'loaded', 1), 'SIGKILL', 'alone');
    await gate.reached(2); // a session at the gate does not notice that its client has gone
    world.signal(await world.workerOf(run, 'loaded', 2), 'SIGKILL');
    await world.hire();
    await gate.reached(3);
    await gate.open();
    await nightlyIsDone(run);
    expect(await world.attempts(run, 'loaded')).toEqual(['1 lost', '1 lost', '1 succeeded']);
  });

  test('SIGSTOP of a worker beyond its lease, in the middle of its commit, and SIGCONT afterwards: the commit is refused', async () => {
    await using gate = await world.gate('target');
    const run = await world.begin('nightly');
    await gate.reached(1, '/1');
    const sleeper = await world.workerOf(run, 'loaded');
    world.signal(sleeper, 'SIGSTOP');
    await gate.reached(1, '/2');
    // Nobody has told the sleeper, but the session with its commit has been ended.
    expect(world.servers.target.log()).toContain('terminating connection due to administrator command');
    await gate.open();
    await nightlyIsDone(run);
    world.signal(sleeper, 'SIGCONT');
    await vi.waitFor(async () => {
      const told = await world.state.sql('select message from millrace.log where run = $1 and epoch = 1', [run]);
      expect(told).toEqual([{ message: expect.stringMatching('not ours any more') }]);
    }, patient);
    expect(await world.effects(run)).toEqual(nightlyDone);
    expect(await world.attempts(run, 'loaded')).toEqual(['1 lost', '1 succeeded']);
  });

  test('SIGTERM in the middle of a load that is too long to wait for: another worker goes on, and no attempt is spent', async () => {
    await using gate = await world.gate('source');
    const run = await world.begin('nightly');
    await gate.reached(1);
    const first = await world.workerOf(run, 'loaded');
    world.signal(first, 'SIGTERM');
    expect(await first.ended).toMatchObject({ code: 143, stdout: expect.stringContaining('"type":"drained"') });
    await world.workerOf(run, 'loaded', 2);
    await gate.reached(1); // the first has let go of its session
    await gate.open();
    await nightlyIsDone(run);
    expect(await world.attempts(run, 'loaded')).toEqual(['1 released', '1 succeeded']);
  });
});

describe('wake-ups', () => {
  /** Two of the stages run, and the wake-ups of all others are in Redis: with those of the two, where a worker found them by looking. */
  async function manyWaiting(gate: Gate): Promise<string> {
    const run = await world.begin('many');
    await gate.reached(2);
    await vi.waitFor(async () => expect(await world.wakeUps()).toBeGreaterThanOrEqual(width - 2), patient);
    return run;
  }

  test('FLUSHALL while they lie in Redis: the work is found by looking', async () => {
    await using gate = await world.gate('target');
    const run = await manyWaiting(gate);
    await world.redis.flush();
    await gate.open();
    await manyIsDone(run);
  });

  test('a restart of Redis, which comes back empty after a while: the work goes on meanwhile and afterwards', async () => {
    await using gate = await world.gate('target');
    const run = await manyWaiting(gate);
    await world.redis.kill();
    await gate.open();
    await vi.waitFor(async () => expect((await world.succeeded(run)).length).toBeGreaterThan(2), patient);
    await world.redis.start();
    await manyIsDone(run);
  });

  test('duplicated, reordered, too early, too late and of nothing: each stage is done once', async () => {
    await using gate = await world.gate('source');
    const runs = { nightly: await world.begin('nightly'), many: await world.begin('many') };
    const all = [
      ...['loaded', 'left', 'right', 'joined', 'nothing'].map((stage) => ({ run: runs.nightly, stage })),
      ...[...sides, 'joined', 'nothing'].map((stage) => ({ run: runs.many, stage })),
      { run: 'nothing', stage: 'loaded' },
      { run: runs.many, stage: null },
    ];
    const shuffled = () => [...all, ...all, ...all].map((wakeUp) => ({ wakeUp, at: Math.random() })).sort((a, b) => a.at - b.at);
    const push = () =>
      pushByHand(
        world.redis.url,
        shuffled().map(({ wakeUp }) => wakeUp),
      );
    await push();
    await gate.reached(1);
    for (let round = 0; round < 3; round++) {
      await push();
      await sleep(300);
    }
    await gate.open();
    await push();
    await manyIsDone(runs.many);
    await nightlyIsDone(runs.nightly);
    expect(await world.attempts(runs.nightly, 'loaded')).toEqual(['1 succeeded']);
    await push();
  });
});

describe('an immediate restart of Postgres', () => {
  test('of the state, while a load commits: it is reported when the state is back', async () => {
    await using gate = await world.gate('target');
    const run = await world.begin('nightly');
    await gate.reached(1);
    await world.without('state', async () => {
      await gate.open();
      await vi.waitFor(async () => expect(await world.effects(run)).toMatchObject({ rows: orders, loads: 1 }), patient);
    });
    await nightlyIsDone(run);
  });

  test('of the source, in the middle of a load: it is read again', async () => {
    await using gate = await world.gate('source');
    const run = await world.begin('nightly');
    await gate.reached(1);
    await world.without('source');
    await nightlyIsDone(run);
    expect((await world.attempts(run, 'loaded')).slice(0, 1)).toEqual(['1 failed']);
  });

  test('of the target, in the middle of a commit: it is loaded again', async () => {
    await using gate = await world.gate('target');
    const run = await world.begin('nightly');
    await gate.reached(1);
    await world.without('target');
    await nightlyIsDone(run);
    expect((await world.attempts(run, 'loaded')).slice(0, 1)).toEqual(['1 failed']);
  });
});

describe('a stream under load', () => {
  /** Each move is one of an account; all of them are in the mirror, and each has left one version of its account in the history. */
  const mirrored = async () => {
    const sums = (schema: string) => `(select json_agg(a order by id) from (select id, balance from ${schema}.accounts) a) as accounts,
      (select count(*)::int from ${schema}.moves) as moves, (select count(distinct id)::int from ${schema}.moves) as ids`;
    const [source] = await world.shop.sql(`select ${sums('public')}`);
    const [mirror] = await world.warehouse.sql(`select ${sums('mirror')}`);
    const [log] = await world.warehouse.sql(`select
      (select count(*)::int from log.moves) as moves, (select count(distinct id)::int from log.moves) as ids,
      (select count(*)::int from log.accounts) as versions,
      (select sum(versions)::int from (select max(balance) - min(balance) + 1 as versions from log.accounts group by id) a) as "versionsOnce"`);
    expect(mirror).toEqual(source);
    expect(log).toEqual({
      moves: source?.['moves'],
      ids: source?.['moves'],
      versions: log?.['versionsOnce'],
      versionsOnce: log?.['versions'],
    });
  };

  test('SIGTERM of its worker hands it over, SIGKILL has it taken over: nothing is lost, nothing is there twice', async () => {
    const run = await world.begin('bank');
    let busy = true;
    let moves = 0;
    const load = (async () => {
      for (; busy; moves++) {
        const account = 1 + (moves % 10);
        await world.shop.sql(
          `with moved as (insert into public.moves (account, amount) values (${account}, 1)) update public.accounts set balance = balance + 1 where id = ${account}`,
        );
        await sleep(20);
      }
    })();
    /** What is there now has come to the mirror. */
    const applied = async () => {
      const there = moves;
      const [{ name } = { name: null }] = await world.warehouse.sql<{ name: string | null }>(
        "select to_regclass('mirror.moves')::text as name",
      );
      expect(name).not.toBeNull();
      await vi.waitFor(async () => {
        const [row] = await world.warehouse.sql<{ count: number }>('select count(*)::int as count from mirror.moves');
        expect(row?.count).toBeGreaterThan(there);
      }, patient);
    };
    try {
      const first = await world.workerOf(run, 'changes', 1);
      await vi.waitFor(applied, patient);
      world.signal(first, 'SIGTERM');
      expect(await first.ended).toMatchObject({ code: 143, stdout: expect.stringContaining('"type":"drained"') });
      const second = await world.workerOf(run, 'changes', 2);
      await applied();
      await world.hire();
      world.signal(second, 'SIGKILL');
      await world.workerOf(run, 'changes', 3);
      await applied();
    } finally {
      busy = false;
      await load;
    }
    await vi.waitFor(mirrored, patient);
    expect(await world.attempts(run, 'changes')).toEqual(['1 released', '1 lost', '1 running']);
    await world.executor.cancel(run);
    expect(await world.end(run)).toBe('cancelled');
    expect(await world.attempts(run, 'changes')).toEqual(['1 released', '1 lost', '1 cancelled']);
    await mirrored();
  });
});

describe('schedulers', () => {
  test('SIGKILL of one that makes runs, and two others whose clocks are two minutes apart: one run for each time, each done once', async () => {
    const made = async () => {
      const [row] = await world.state.sql<{ runs: number; times: number; ticks: number; open: number; done: number; early: number }>(`select
        (select count(*)::int from millrace.run where pipeline = 'minutely') as runs,
        (select count(distinct request ->> 'logicalTime')::int from millrace.run where pipeline = 'minutely') as times,
        (select count(*)::int from millrace.tick where pipeline = 'minutely' and state = 'started') as ticks,
        (select count(*)::int from millrace.tick where pipeline = 'minutely' and logical_time > clock_timestamp()) as early,
        (select count(*)::int from millrace.run where pipeline = 'minutely' and at = 'succeeded') as done`);
      return row as NonNullable<typeof row>;
    };
    const first = await world.schedule();
    await world.rewind('minutely', '20 minutes');
    await vi.waitFor(async () => expect((await made()).runs).toBeGreaterThan(0), { ...patient, interval: 5 });
    world.signal(first, 'SIGKILL');
    await first.ended;
    const others = await Promise.all([world.schedule(60_000), world.schedule(-60_000)]);
    await vi.waitFor(async () => expect((await made()).ticks).toBeGreaterThanOrEqual(20), patient);
    await world.rewind('minutely', '30 minutes');
    await vi.waitFor(async () => expect((await made()).ticks).toBeGreaterThanOrEqual(30), patient);
    for (const scheduler of others) {
      world.signal(scheduler, 'SIGTERM');
      expect(await scheduler.ended).toMatchObject({ code: 143 });
    }
    await vi.waitFor(async () => expect((await made()).done).toBe((await made()).runs), patient);
    const { runs, times, ticks, early } = await made();
    expect({ times, ticks, early }).toEqual({ times: runs, ticks: runs, early: 0 });
    expect(await world.warehouse.sql('select count(*)::int as notes, count(distinct run)::int as runs from note')).toEqual([
      { notes: runs, runs },
    ]);
  });
});

describe('clocks', () => {
  test('of one worker a minute ahead, of another a minute behind, with the stages they run: leases, retries and takeovers go by the clock of the store', async () => {
    for (const dismissed of await world.dismiss()) expect(dismissed).toMatchObject({ code: 143 });
    await Promise.all([world.hire(60_000), world.hire(-60_000)]);
    const storeTime = async () => (await world.state.sql<{ now: Date }>('select clock_timestamp() as now'))[0]?.now as Date;
    const begun = await storeTime();
    await using gate = await world.gate('source');
    const run = await world.begin('nightly');
    await gate.reached(1);
    await sleep(2 * leaseMs);
    expect(await world.attempts(run, 'loaded')).toEqual(['1 running']);
    const second = await world.begin('failing');
    expect(await world.end(second)).toBe('succeeded');
    expect(await world.effects(second)).toMatchObject({ notes: { again: 1 } });
    const [pause] = await world.state.sql<{ ms: number }>(
      `select extract(epoch from b.started_at - a.ended_at)::float8 * 1000 as ms from millrace.attempt a, millrace.attempt b
       where a.run = $1 and b.run = $1 and a.epoch = 1 and b.epoch = 2`,
      [second],
    );
    expect(pause?.ms).toBeLessThan(10_000);
    world.signal(await world.workerOf(run, 'loaded'), 'SIGKILL');
    await gate.reached(2);
    await gate.open();
    await nightlyIsDone(run);
    expect(await world.attempts(run, 'loaded')).toEqual(['1 lost', '1 succeeded']);
    const [times] = await world.state.sql<{ first: Date; last: Date; ordered: boolean }>(
      `select min(at) as first, max(at) as last, bool_and(at >= before) as ordered
       from (select at, lag(at, 1, at) over (partition by run order by seq) as before from millrace.run_event where run = any ($1)) e`,
      [[run, second]],
    );
    expect(times?.ordered).toBe(true);
    expect(times?.first.getTime()).toBeGreaterThanOrEqual(begun.getTime());
    expect(times?.last.getTime()).toBeLessThanOrEqual((await storeTime()).getTime());
    for (const skew of ['60000', '-60000']) expect(world.skewed()).toMatch(new RegExp(`^${skew} .*child`, 'm'));
  });
});
