import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RemoteHandle } from '../connector/index.ts';
import { isMillraceError, type StoredError } from '../error/index.ts';
import type { Lease, RemoteIntent, RemoteLook, RemoteSeen, StageOutput } from '../state/index.ts';
import { stageOf } from './plans.ts';
import type { WithStore, World } from './run-store-world.ts';

const queue = 'local:w1';
const handleOf = (id: string): RemoteHandle => ({ id, link: `https://example.com/${id}`, detail: { run: id } });
const isLost = (error: unknown): boolean => isMillraceError(error) && error.code === 'LEASE_LOST';
const interrupted: StoredError = { code: 'REMOTE_INTERRUPTED', message: 'no capacity', remedy: 'wait', facts: {} };
const seen = (more: Partial<RemoteSeen> = {}): RemoteSeen => ({
  status: 'RUNNING',
  progress: 0.4,
  handle: null,
  ending: false,
  nextMs: 60_000,
  ...more,
});
const limits = [{ kind: 'pool', name: 'glue', most: null }] as const;
const job = (id = 'a') => stageOf(id, [], { kind: 'remote' });

/** A stage whose work goes on elsewhere, its first look due at once. */
async function parked({ store, create, started, obey }: World, id = 'work-1'): Promise<Lease> {
  const { id: run } = await create({ stages: [job()] });
  const lease = await started(run, 'a');
  const { work } = await store.remote.intend(lease);
  await store.remote.started(lease, work, handleOf(id), 0);
  await obey(run, { type: 'park', stage: 'a', epoch: lease.epoch });
  return lease;
}

/** What the store says of it, but for the time since, which is none yet. */
async function intended({ store }: World, lease: Lease): Promise<Omit<RemoteIntent, 'sinceMs'>> {
  const { sinceMs, ...intent } = await store.remote.intend(lease);
  assert.ok(sinceMs >= 0 && sinceMs < 60_000, `${sinceMs}`);
  return intent;
}

const oneLook = async ({ store }: World, worker = 'w2'): Promise<RemoteLook> => {
  const { looks } = await store.remote.looks(queue, worker, 10);
  assert.equal(looks.length, 1);
  return looks[0] as RemoteLook;
};

/** The part of `RunStore`'s promises that work elsewhere lives by. */
export function remoteConformance(withStore: WithStore): void {
  withStore('what is about to be started is known to the next attempt, and its handle after that', async (world) => {
    const { store, create, started, obey } = world;
    const { id: run } = await create({ stages: [job()] });
    const first = await started(run, 'a');
    assert.deepEqual(await intended(world, first), { work: 0, known: false, handle: null });
    assert.deepEqual(await intended(world, first), { work: 0, known: true, handle: null });
    await obey(run, { type: 'lose', stage: 'a', epoch: first.epoch });
    await assert.rejects(store.remote.intend(first), isLost);
    await sleep(30);
    const second = await started(run, 'a');
    assert.ok((await store.remote.intend(second)).sinceMs >= 20);
    assert.deepEqual(await intended(world, second), { work: 0, known: true, handle: null });
    // Whoever comes first with a handle, also the one who was taken for dead.
    assert.deepEqual(await store.remote.started(first, 0, handleOf('one'), 1_000), handleOf('one'));
    assert.deepEqual(await store.remote.started(second, 0, handleOf('two'), 1_000), handleOf('one'));
    assert.deepEqual(await intended(world, second), { work: 0, known: true, handle: handleOf('one') });
    assert.deepEqual(
      (await store.remote.works(run)).map(({ stage, work, handle, status, ending }) => ({ stage, work, handle, status, ending })),
      [{ stage: 'a', work: 0, handle: handleOf('one'), status: null, ending: false }],
    );
  });

  withStore('what is over has another number, and no handle of before', async (world) => {
    const { store, started, obey } = world;
    const lease = await parked(world);
    const { run } = lease;
    const look = await oneLook(world);
    await store.remote.seen(look, seen({ ending: true }));
    await obey(run, { type: 'found', stage: 'a', epoch: 1, found: { at: 'failed', error: interrupted, over: true }, random: 0 });
    assert.equal(await store.remote.started(lease, 0, handleOf('late'), 0), null);
    await obey(run, { type: 'wake' });
    const next = await started(run, 'a');
    assert.deepEqual(await intended(world, next), { work: 1, known: false, handle: null });
    assert.equal(await store.remote.started(next, 0, handleOf('late'), 0), null);
    assert.deepEqual(await store.remote.started(next, 1, handleOf('work-2'), 0), handleOf('work-2'));
    await obey(run, { type: 'park', stage: 'a', epoch: next.epoch });
    const { endingMs, work, handle } = await oneLook(world);
    assert.deepEqual({ endingMs, work, handle }, { endingMs: null, work: 1, handle: handleOf('work-2') });
  });

  withStore('a stage that gave up is elsewhere with its reason, until nothing of it goes on', async (world) => {
    const { store, create, started, obey } = world;
    const { id: run } = await create({ stages: [job()] });
    const lease = await started(run, 'a');
    await store.remote.intend(lease);
    const error: StoredError = { code: 'CONNECTION_FAILED', message: 'cut', remedy: 'wait', facts: {} };
    for (let attempt = 1; (await store.read(run)).stages.get('a')?.state.at !== 'elsewhere'; attempt++) {
      assert.ok(attempt < 10);
      const epoch = attempt === 1 ? lease.epoch : (await started(run, 'a')).epoch;
      await obey(run, { type: 'fail', stage: 'a', epoch, error, random: 0 });
      await obey(run, { type: 'wake' });
    }
    const record = (await store.read(run)).stages.get('a');
    assert.deepEqual(record?.state.at === 'elsewhere' && record.state.ends, error);
    const look = await oneLook(world);
    assert.deepEqual(
      { epoch: look.epoch, intended: look.intended, endingMs: look.endingMs },
      { epoch: record?.epoch, intended: true, endingMs: null },
    );
    await store.remote.seen(look, seen({ status: 'RUN\0NING', handle: handleOf('found'), ending: true, nextMs: 0 }));
    const second = await oneLook(world);
    assert.ok(second.endingMs !== null && second.endingMs >= 0);
    assert.deepEqual(second.handle, handleOf('found'));
    await obey(run, { type: 'found', stage: 'a', epoch: second.epoch, found: { at: 'failed', error, over: false }, random: 0 });
    assert.equal((await store.read(run)).state.at, 'failed');
    assert.deepEqual((await store.attempts(run)).at(-1)?.result, 'failed');

    // Somebody goes on with that same work: that it was to end is over.
    await obey(run, { type: 'reopen', from: [] });
    const next = await started(run, 'a');
    assert.deepEqual(await intended(world, next), { work: 0, known: true, handle: handleOf('found') });
    await obey(run, { type: 'park', stage: 'a', epoch: next.epoch });
    assert.deepEqual((await oneLook(world)).endingMs, null);
  });

  withStore('a look is taken by one, when it is due, and by another when its time is over', async (world) => {
    const { store, register } = world;
    const { run } = await parked(world);
    const both = await Promise.all(['w1', 'w2'].map((worker) => store.remote.looks(queue, worker, 10)));
    const taken = both.flatMap(({ looks }) => looks);
    assert.equal(taken.length, 1);
    const { ageMs, ...look } = taken[0] as RemoteLook;
    assert.ok(ageMs >= 0 && ageMs < 60_000);
    assert.deepEqual(look, {
      run,
      stage: 'a',
      epoch: 1,
      work: 0,
      look: 2,
      intended: true,
      handle: handleOf('work-1'),
      cancelled: false,
      endingMs: null,
    });
    assert.deepEqual(await store.remote.looks(queue, 'w2', 10), { looks: [], nextMs: null });

    await store.remote.seen({ ...look, ageMs }, seen({ nextMs: 250 }));
    const { looks, nextMs } = await store.remote.looks(queue, 'w2', 10);
    assert.deepEqual(looks, []);
    assert.ok(nextMs !== null && nextMs > 0 && nextMs <= 250, `${nextMs}`);
    await sleep(300);
    const goes = await register('goes', 60_000);
    const second = await oneLook(world, 'goes');
    assert.equal(second.look, 3);
    await goes[Symbol.asyncDispose]();
    assert.equal((await oneLook(world)).look, 4);
    // Who comes back with a look that is another's keeps nothing.
    await store.remote.seen(second, seen({ status: 'OLD', nextMs: 0 }));
    assert.equal((await store.remote.works(run))[0]?.status, 'RUNNING');
    assert.deepEqual((await store.remote.looks(queue, 'w1', 10)).looks, []);
  });

  withStore('looks are of one queue, of the plans or the stage that are asked for, and as many as are wanted', async (world) => {
    const { store } = world;
    const { run } = await parked(world);
    const { fingerprint } = (await store.read(run)).plan;
    const asked = async (...of: Parameters<typeof store.remote.looks>) => (await store.remote.looks(...of)).looks.length;
    assert.equal(await asked('local:other', 'w1', 10), 0);
    assert.equal(await asked(queue, 'w1', 10, ['another']), 0);
    assert.equal(await asked(queue, 'w1', 0), 0);
    for (const only of [
      { run, stage: 'b' },
      { run: 'other', stage: 'a' },
    ])
      assert.deepEqual(await store.remote.looks(queue, 'w1', 10, undefined, only), { looks: [], nextMs: null });
    assert.equal(await asked(queue, 'w1', 10, ['another', fingerprint], { run, stage: 'a' }), 1);
  });

  withStore('a run that is to be cancelled is looked at at once, until somebody has who knew', async (world) => {
    const { store, obey } = world;
    const { run } = await parked(world);
    const unaware = await oneLook(world);
    await obey(run, { type: 'cancel' });
    await store.remote.seen(unaware, seen());
    const aware = await oneLook(world);
    assert.deepEqual({ cancelled: aware.cancelled, endingMs: aware.endingMs }, { cancelled: true, endingMs: null });
    await store.remote.seen(aware, seen({ ending: true, nextMs: 200 }));
    assert.deepEqual((await store.remote.looks(queue, 'w2', 10)).looks, []);
    assert.equal((await store.remote.works(run))[0]?.ending, true);
    await sleep(250);
    assert.ok(((await oneLook(world)).endingMs ?? -1) >= 200);
    await obey(run, { type: 'found', stage: 'a', epoch: 1, found: { at: 'failed', error: interrupted, over: true }, random: 0 });
    assert.equal((await store.read(run)).state.at, 'cancelled');
    assert.deepEqual(await store.remote.looks(queue, 'w2', 10), { looks: [], nextMs: null });
  });

  withStore('of an attempt that was lost in a cancelled run somebody looks whether it has started anything', async (world) => {
    const { store, create, started, obey } = world;
    const { id: run } = await create({ stages: [job()] });
    const lease = await started(run, 'a');
    await obey(run, { type: 'cancel' });
    await obey(run, { type: 'lose', stage: 'a', epoch: lease.epoch });
    const { intended, handle } = await oneLook(world);
    assert.deepEqual({ intended, handle }, { intended: false, handle: null });
    assert.deepEqual(await store.remote.works(run), []);
    await obey(run, { type: 'found', stage: 'a', epoch: lease.epoch, found: { at: 'nothing' }, random: 0 });
    assert.equal((await store.read(run)).state.at, 'cancelled');
  });

  withStore('a handle that was found by asking is kept', async (world) => {
    const { store, create, started, obey } = world;
    const { id: run } = await create({ stages: [job()] });
    const lease = await started(run, 'a');
    await store.remote.intend(lease);
    await obey(run, { type: 'cancel' });
    await obey(run, { type: 'lose', stage: 'a', epoch: lease.epoch });
    const look = await oneLook(world);
    assert.deepEqual({ intended: look.intended, handle: look.handle }, { intended: true, handle: null });
    await store.remote.seen(look, seen({ handle: handleOf('found'), nextMs: 0 }));
    assert.deepEqual((await oneLook(world)).handle, handleOf('found'));
  });

  withStore('work elsewhere holds no lease, counts for the limits of its stage, and shows how it fares', async (world) => {
    const { store, create, admit, obey } = world;
    const { id: run } = await create({ stages: [stageOf('a', [], { kind: 'remote', limits }), stageOf('b', [], { limits })] });
    await admit(run);
    await store.claim({ run, stage: 'a' }, () => [
      { type: 'stage.started', stage: 'a', attempt: 1, epoch: 1, worker: 'w1', grants: { 'pool glue': 1 } },
    ]);
    const lease: Lease = { run, stage: 'a', epoch: 1, worker: 'w1' };
    await store.remote.intend(lease);
    await store.remote.started(lease, 0, handleOf('work-1'), 0);
    await obey(run, { type: 'park', stage: 'a', epoch: 1 });
    assert.deepEqual(await store.leases(run), []);
    assert.deepEqual(await store.expired(), []);
    assert.deepEqual(await store.renew('w1', [{ ...lease, progress: null }]), [{ run, stage: 'a', epoch: 1, fate: 'lost' }]);
    assert.equal((await store.granted()).get('pool glue'), 1);
    assert.deepEqual(
      (await store.attempts(run)).map(({ result, ended }) => ({ result, ended })),
      [{ result: 'running', ended: null }],
    );
    await store.remote.seen(await oneLook(world), seen());
    const remote = { status: 'RUNNING', progress: 0.4, id: 'work-1', link: 'https://example.com/work-1' };
    const [progress] = await store.progress(run);
    assert.deepEqual({ phase: progress?.phase, remote: progress?.remote }, { phase: 'elsewhere', remote });
    assert.equal((await store.list({}))[0]?.stages.elsewhere, 1);

    await store.drainOutbox(queue, 100);
    const output: StageOutput = { kind: 'remote', label: 'Job', handle: handleOf('work-1'), output: {} };
    await obey(run, { type: 'found', stage: 'a', epoch: 1, found: { at: 'succeeded', output }, random: 0 });
    assert.equal((await store.granted()).get('pool glue') ?? 0, 0);
    assert.deepEqual(
      (await store.drainOutbox(queue, 100)).map(({ stage }) => stage),
      ['b'],
    );
    assert.deepEqual(
      (await store.attempts(run)).map(({ result }) => result),
      ['succeeded'],
    );
    assert.deepEqual(await store.progress(run), []);
  });
}
