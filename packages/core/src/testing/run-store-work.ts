import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredError } from '../error/index.ts';
import { decide } from '../executor/index.ts';
import type { StageLimit } from '../plan/index.ts';
import type { RunRecord, StageOutput, Transition, WakeUp } from '../state/index.ts';
import { stageOf } from './plans.ts';
import type { WithStore } from './run-store-world.ts';

const away: StoredError = { code: 'CONNECTION_FAILED', message: 'away \u0000 \ud800', remedy: 'wait', facts: { host: 'x' } };

const output: StageOutput = { kind: 'execute', alreadyDone: false, rowsAffected: [3], notices: [], checks: [] };

const idsOf = ({ run, stage }: WakeUp) => ({ run, stage });

/** How work is found, claimed, kept and left: the part of `RunStore`'s promises that workers live by. */
export function workConformance(withStore: WithStore): void {
  withStore('of many who claim a stage at once one gets it', async ({ create, obey, admit }) => {
    const run = await create();
    await admit(run.id);
    const claims = await Promise.all([1, 2, 3, 4].map(() => obey(run.id, { type: 'claim', stage: 'a', worker: 'w1' })));
    assert.equal(claims.flat().filter(({ type }) => type === 'stage.started').length, 1);
  });

  withStore('one run of a pipeline is admitted at a time, also when many ask at once', async ({ store, create, admit }) => {
    const runs = await Promise.all([1, 2, 3].map(() => create()));
    await Promise.all(runs.map(({ id }) => admit(id)));
    const states = await Promise.all(runs.map(async ({ id }) => (await store.read(id)).state.at));
    assert.deepEqual(states.filter((state) => state === 'running').length, 1);
    const other = await create({ pipeline: 'other' });
    await admit(other.id);
    assert.equal((await store.read(other.id)).state.at, 'running');
  });

  withStore('work is found in its own queue only', async ({ store, create, admit }) => {
    const run = await create({ queue: 'local:w1' });
    await create({ queue: 'local:w2', pipeline: 'other' });
    assert.deepEqual(await store.queued('local:w1'), [run.id]);
    await admit(run.id);
    assert.deepEqual((await store.ready('local:w1', 10)).map(idsOf), [{ run: run.id, stage: 'a' }]);
    assert.deepEqual(await store.ready('local:w2', 10), []);
    assert.deepEqual(await store.queued('local:w1'), []);
  });

  withStore('a wake-up is handed out once', async ({ store, create, admit }) => {
    const run = await create();
    await admit(run.id);
    const [one, two] = await Promise.all([store.drainOutbox('local:w1', 10), store.drainOutbox('local:w1', 10)]);
    const taken = [...one, ...two];
    assert.equal(taken.filter(({ stage }) => stage === 'a').length, 1);
    assert.ok(taken.every((wakeUp) => wakeUp.run === run.id));
    assert.deepEqual(await store.drainOutbox('local:w1', 10), []);
  });

  withStore('a retry that is due is found, and when the next one is', async ({ store, create, obey, started }) => {
    const run = await create();
    await started(run.id, 'a');
    await obey(run.id, { type: 'fail', stage: 'a', epoch: 1, error: away, random: 0.5 });
    const soon = await store.due('local:w1');
    assert.deepEqual(soon.runs, []);
    assert.ok(soon.nextMs !== null && soon.nextMs > 0 && soon.nextMs <= 500);
    await sleep(soon.nextMs + 20);
    assert.deepEqual(await store.due('local:w1'), { runs: [run.id], nextMs: null });
  });

  withStore('a lease without heartbeat is over after its time, with heartbeat it is not', async ({ store, create, started, register }) => {
    await register('quick', 1_000);
    const run = await create();
    const lease = await started(run.id, 'a', 'quick');
    assert.deepEqual(await store.expired(), []);
    for (let beat = 0; beat < 4; beat++) {
      await sleep(300);
      assert.deepEqual(await store.renew('quick', [{ ...lease, progress: null }]), [{ run: run.id, stage: 'a', epoch: 1, fate: 'held' }]);
    }
    let expired = await store.expired();
    assert.deepEqual(expired, []);
    for (; expired.length === 0; expired = await store.expired()) await sleep(50);
    assert.deepEqual(expired, [lease]);
  });

  withStore(
    'the leases of a worker that has ended are free at once, and its runs can be adopted',
    async ({ store, create, started, register, obey }) => {
      const hold = await register('mayfly', 60_000);
      const run = await create({ queue: 'local:mayfly' });
      const lease = await started(run.id, 'a', 'mayfly');
      assert.equal(await store.adopt(run.id, 'local:w1'), false);
      assert.equal(await store.abandoned(run.id), false);
      await hold[Symbol.asyncDispose]();
      assert.deepEqual(await store.expired(), [lease]);
      assert.equal(await store.abandoned(run.id), true);
      assert.equal((await store.leases(run.id))[0]?.workerGone, true);
      assert.deepEqual((await Promise.all([store.adopt(run.id, 'local:w1'), store.adopt(run.id, 'local:w2')])).sort(), [false, true]);
      await obey(run.id, { type: 'lose', stage: 'a', epoch: lease.epoch });
      assert.deepEqual(await store.expired(), []);
      assert.equal((await store.renew('mayfly', [{ ...lease, progress: null }]))[0]?.fate, 'lost');
    },
  );

  withStore('runs that were left belong to nobody', async ({ store, create }) => {
    const run = await create();
    await store.abandon('local:w1');
    assert.equal(await store.abandoned(run.id), true);
    assert.deepEqual(await store.queued('local:w1'), []);
    assert.equal(await store.adopt(run.id, 'local:w2'), true);
    assert.deepEqual(await store.queued('local:w2'), [run.id]);
  });

  withStore('a heartbeat hears of a cancel', async ({ store, create, obey, started }) => {
    const run = await create();
    const lease = await started(run.id, 'a');
    await obey(run.id, { type: 'cancel' });
    assert.equal((await store.renew('w1', [{ ...lease, progress: null }]))[0]?.fate, 'cancel-requested');
  });

  withStore('what stages may use together is counted from those that run, also when many claim at once', async (world) => {
    const { store, create, admit, obey } = world;
    const limits: readonly StageLimit[] = [
      { kind: 'connections', name: 'shop', most: 7 },
      { kind: 'pool', name: 'reports', most: null },
    ];
    const runs = await Promise.all(
      ['p1', 'p2', 'p3', 'p4'].map((pipeline) => create({ pipeline, stages: [{ ...stageOf('a'), limits }], queue: 'fleet:f' })),
    );
    for (const { id } of runs) await admit(id);
    while ((await store.drainOutbox('fleet:f', 100)).length > 0);
    const claim = ({ id }: RunRecord, pools: Record<string, number>) =>
      store.claim({ run: id, stage: 'a' }, (run, now, used) =>
        decide(run, { type: 'claim', stage: 'a', worker: 'w1', room: { used, pools, connections: 4 } }, now),
      );
    const claimed = await Promise.all(runs.map((run) => claim(run, { reports: 3 })));
    const begun = claimed.flatMap(({ run }) => {
      const state = run.stages.get('a')?.state;
      return state?.at === 'running' ? [state.grants] : [];
    });
    assert.deepEqual(begun.map((grants) => grants?.['connections shop']).sort(), [2, 5]);
    assert.deepEqual(
      await store.granted(),
      new Map([
        ['connections shop', 7],
        ['pool reports', 2],
      ]),
    );
    const [first] = claimed.filter(({ events }) => events.length > 0);
    await obey((first as Transition).run.id, { type: 'succeed', stage: 'a', epoch: 1, output });
    assert.equal((await store.granted()).get('pool reports'), 1);
    const woken = (await store.drainOutbox('fleet:f', 100)).map(({ run }) => run);
    const waiting = claimed.filter(({ events }) => events.length === 0).map(({ run }) => run);
    assert.deepEqual(woken.sort(), waiting.map(({ id }) => id).sort());
    assert.equal((await claim(waiting[0] as RunRecord, { reports: 1 })).events.length, 0);
    assert.equal((await claim(waiting[0] as RunRecord, { reports: 2 })).events.length, 1);
  });

  withStore('what is urgent comes first, and no pipeline waits for all of another', async ({ store, create, admit, obey }) => {
    const wide = await create({ pipeline: 'wide', queue: 'fleet:f', stages: ['a', 'b', 'c', 'd'].map((id) => stageOf(id)) });
    const narrow = await create({ pipeline: 'narrow', queue: 'fleet:f', stages: [stageOf('a')] });
    const urgent = await create({ pipeline: 'urgent', queue: 'fleet:f', stages: [stageOf('a'), stageOf('b')], priority: 'high' });
    const late = await create({ pipeline: 'late', queue: 'fleet:f', stages: [stageOf('a')], priority: 'low' });
    for (const { id } of [wide, narrow, urgent, late]) await admit(id);
    const order = async (): Promise<string> => (await store.ready('fleet:f', 100)).map(({ run }) => names.get(run)).join(' ');
    const names = new Map([wide, narrow, urgent, late].map(({ id, request }) => [id, request.pipeline]));
    assert.match(await order(), /^urgent urgent (wide narrow|narrow wide) wide wide wide late$/);
    await obey(wide.id, { type: 'claim', stage: 'a', worker: 'w1' });
    assert.equal(await order(), 'urgent urgent narrow wide wide wide late');
    const hints = await store.drainOutbox('fleet:f', 100);
    const hintOf = (run: RunRecord, stage: string) => hints.find((hint) => hint.run === run.id && hint.stage === stage)?.priority ?? 0;
    assert.ok(
      hintOf(urgent, 'b') < hintOf(narrow, 'a') && hintOf(narrow, 'a') < hintOf(wide, 'b') && hintOf(wide, 'd') < hintOf(late, 'a'),
    );
  });

  withStore('work is found by those who can do it', async ({ store, create, admit, register }) => {
    const one = await create({ pipeline: 'one', queue: 'fleet:f' });
    const other = await create({ pipeline: 'other', queue: 'fleet:f' });
    for (const { id } of [one, other]) await admit(id);
    assert.deepEqual((await store.ready('fleet:f', 10, [one.plan.fingerprint])).map(idsOf), [{ run: one.id, stage: 'a' }]);
    assert.deepEqual(await store.ready('fleet:f', 10, []), []);
    assert.equal((await store.ready('fleet:f', 10)).length, 2);
    assert.equal(await store.queueOf(one.id), 'fleet:f');
    const hold = await register('able', 60_000, { queue: 'fleet:f', plans: [one.plan.fingerprint] });
    await register('elsewhere', 60_000, { queue: 'fleet:g', plans: [] });
    const [worker, ...more] = await store.workers('fleet:f');
    assert.deepEqual(more, []);
    assert.deepEqual([worker?.id, worker?.plans, worker?.gone], ['able', [one.plan.fingerprint], false]);
    await hold[Symbol.asyncDispose]();
    assert.deepEqual(await store.workers('fleet:f'), []);
  });
}
