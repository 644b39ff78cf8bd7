import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StagedPart } from '../connector/index.ts';
import { isMillraceError } from '../error/index.ts';
import type { Grants, Lease, RunStore, Share, SplitClaim, WakeUp } from '../state/index.ts';
import { stageOf } from './plans.ts';
import type { WithStore } from './run-store-world.ts';

const partOf = (split: string, rows = 1): StagedPart => ({ split, rows, bytes: 10 * rows, detail: { of: split } });
const isLost = (error: unknown): boolean => isMillraceError(error) && error.code === 'LEASE_LOST';
const free = (): Grants => ({});
const idsOf = ({ run, stage }: WakeUp) => ({ run, stage });

async function joined(store: RunStore, { run, stage }: Lease, worker: string, grants: Grants = {}): Promise<Share> {
  const share = await store.splits.join({ run, stage }, worker, () => grants);
  assert.ok(share);
  return share;
}

/** By one whose lease is so short that it may be over before he has claimed anything. */
async function claimedBriefly(
  store: RunStore,
  lease: Lease,
  worker: string,
): Promise<{ readonly share: Share; readonly claimed: SplitClaim }> {
  for (;;) {
    const share = await joined(store, lease, worker);
    const [claimed] = await store.splits.claim(share, 1).then(
      ({ claims }) => claims,
      (error: unknown) => (isLost(error) ? [] : Promise.reject(error)),
    );
    if (claimed) return { share, claimed };
  }
}

/** The part of `RunStore`'s promises that attempts and those who help them live by. */
export function splitConformance(withStore: WithStore): void {
  withStore('what an attempt offers is staged by it and by others, each split once', async ({ store, create, started }) => {
    const { id: run } = await create();
    const lease = await started(run, 'a');
    await store.drainOutbox('local:w1', 10);
    assert.equal(await store.splits.free(lease), null);
    await store.splits.offer(lease, ['s1', 's2', 's3', 's4']);
    assert.equal(await store.splits.free(lease), 4);
    assert.deepEqual((await store.drainOutbox('local:w1', 10)).map(idsOf), [{ run, stage: 'a' }]);
    assert.deepEqual((await store.ready('local:w1', 10)).map(idsOf), [{ run, stage: 'a' }]);

    const share = await joined(store, lease, 'w2');
    assert.equal(share.epoch, lease.epoch);
    assert.deepEqual((await store.drainOutbox('local:w1', 10)).map(idsOf), [{ run, stage: 'a' }]);
    const here = await store.splits.claim(lease, 1);
    assert.deepEqual(here, { claims: [{ split: 's1', claim: 1 }], left: 4 });
    const there = await store.splits.claim(share, 2);
    assert.deepEqual(there, { claims: ['s2', 's3'].map((split) => ({ split, claim: 1 })), left: 4 });
    assert.deepEqual((await store.splits.claim(lease, 9)).claims, [{ split: 's4', claim: 1 }]);
    assert.deepEqual(await store.ready('local:w1', 10), []);
    assert.deepEqual(await store.splits.claim(share, 1), { claims: [], left: 4 });
    assert.equal(await store.splits.free(lease), 0);
    assert.equal(await store.splits.join(lease, 'w2', free), null);

    for (const split of ['s1', 's4']) await store.splits.store(lease, { split, claim: 1 }, partOf(split));
    for (const split of ['s2', 's3']) await store.splits.store(share, { split, claim: 1 }, partOf(split));
    await store.splits.store(share, { split: 's3', claim: 1 }, partOf('s3')); // its answer was lost
    await store.splits.leave(share);
    await store.splits.leave(share);
    assert.deepEqual(await store.splits.claim(lease, 1), { claims: [], left: 0 });
    const { parts } = await store.earlier(run, 'a');
    assert.deepEqual(
      [...parts].sort((a, b) => a.split.localeCompare(b.split)),
      ['s1', 's2', 's3', 's4'].map((split) => partOf(split)),
    );
  });

  withStore('of many who claim at once each gets others', async ({ store, create, started }) => {
    const { id: run } = await create();
    const lease = await started(run, 'a');
    const splits = Array.from({ length: 40 }, (_, i) => `s${i}`);
    await store.splits.offer(lease, splits);
    const shares = await Promise.all([1, 2, 3].map(() => joined(store, lease, 'w2')));
    const taken: string[] = [];
    const takeAll = async (holder: Lease | Share): Promise<void> => {
      for (;;) {
        const { claims } = await store.splits.claim(holder, 1);
        if (claims.length === 0) return;
        taken.push(...claims.map(({ split }) => split));
      }
    };
    await Promise.all([lease, ...shares].map(takeAll));
    // Who passes over what another is just taking may have seen nothing left: the attempt looks again.
    await takeAll(lease);
    assert.deepEqual(taken.sort(), splits.sort());
  });

  withStore('splits of one who has left or died are free again, under another claim', async ({ store, create, started, register }) => {
    await register('quick', 300);
    const { id: run } = await create();
    const lease = await started(run, 'a');
    await store.splits.offer(lease, ['s1', 's2', 's3']);
    const leaver = await joined(store, lease, 'w2');
    await store.splits.claim(leaver, 1);
    assert.deepEqual(await store.splits.renew('w2', [leaver.id, '99999999']), ['99999999']);
    assert.deepEqual((await store.splits.claim(lease, 1)).claims, [{ split: 's2', claim: 1 }]);

    await store.splits.leave(leaver);
    assert.deepEqual((await store.splits.claim(lease, 1)).claims, [{ split: 's1', claim: 2 }]);
    await assert.rejects(store.splits.store(leaver, { split: 's1', claim: 1 }, partOf('s1', 7)), isLost);
    await assert.rejects(store.splits.claim(leaver, 1), isLost);

    const { share: frozen, claimed } = await claimedBriefly(store, lease, 'quick');
    let freed = (await store.splits.claim(lease, 9)).claims;
    for (; freed.length === 0; freed = (await store.splits.claim(lease, 9)).claims) await sleep(20);
    assert.deepEqual(freed, [{ split: 's3', claim: claimed.claim + 1 }]);
    assert.deepEqual(await store.splits.renew('quick', [frozen.id]), [frozen.id]);
    await assert.rejects(store.splits.store(frozen, claimed, partOf('s3', 7)), isLost);
    for (const own of [{ split: 's1', claim: 2 }, { split: 's2', claim: 1 }, ...freed])
      await store.splits.store(lease, own, partOf(own.split));
    assert.deepEqual(
      (await store.earlier(run, 'a')).parts.map(({ rows }) => rows),
      [1, 1, 1],
    );
  });

  withStore('the share of a worker that is gone is swept away, and no other', async ({ store, create, started, register }) => {
    const goes = await register('goes', 60_000);
    const { id: run } = await create();
    const lease = await started(run, 'a');
    await store.splits.offer(lease, ['s1', 's2']);
    const left = await joined(store, lease, 'goes');
    const kept = await joined(store, lease, 'w2');
    assert.deepEqual((await store.splits.claim(left, 1)).claims, [{ split: 's1', claim: 1 }]);
    assert.deepEqual((await store.splits.claim(kept, 1)).claims, [{ split: 's2', claim: 1 }]);
    await goes[Symbol.asyncDispose]();
    await store.splits.sweep();
    assert.deepEqual((await store.splits.claim(lease, 9)).claims, [{ split: 's1', claim: 2 }]);
    await store.splits.store(kept, { split: 's2', claim: 1 }, partOf('s2'));
  });

  withStore('with the attempt everything ends that was offered and claimed', async ({ store, create, obey, started }) => {
    const { id: run } = await create();
    const lease = await started(run, 'a');
    await store.splits.offer(lease, ['s1', 's2']);
    const share = await joined(store, lease, 'w2');
    await store.splits.claim(share, 1);
    await obey(run, { type: 'lose', stage: 'a', epoch: lease.epoch });
    assert.deepEqual(await store.splits.renew('w2', [share.id]), [share.id]);
    for (const holder of [lease, share]) {
      await assert.rejects(store.splits.claim(holder, 1), isLost);
      await assert.rejects(store.splits.store(holder, { split: 's1', claim: 1 }, partOf('s1')), isLost);
    }
    await assert.rejects(store.splits.offer(lease, ['s1']), isLost);
    assert.equal(await store.splits.join(lease, 'w2', free), null);

    const again = await started(run, 'a');
    assert.equal(await store.splits.join(again, 'w2', free), null);
    await store.splits.offer(again, ['s1', 's2']);
    await assert.rejects(store.splits.claim(share, 1), isLost);
    assert.deepEqual(
      (await store.splits.claim(again, 9)).claims.map(({ claim }) => claim),
      [1, 1],
    );
    await store.splits.leave(share);
    assert.deepEqual(await store.splits.claim(again, 9), { claims: [], left: 2 });
  });

  withStore('who helps takes a share of the limits too, and frees it when he leaves', async ({ store, create, started, obey, admit }) => {
    const limits = [{ kind: 'connections', name: 'shop', most: 5 }] as const;
    const { id: run } = await create({ stages: [stageOf('a', [], { limits }), stageOf('b', [], { limits })] });
    await admit(run);
    await store.claim({ run, stage: 'a' }, () => [
      { type: 'stage.started', stage: 'a', attempt: 1, epoch: 1, worker: 'w1', grants: { 'connections shop': 2 } },
    ]);
    const lease: Lease = { run, stage: 'a', epoch: 1, worker: 'w1' };
    await store.splits.offer(lease, ['s1', 's2', 's3']);
    const seen: (number | undefined)[] = [];
    const share = await store.splits.join({ run, stage: 'a' }, 'w2', (record, used) => {
      assert.equal(record.id, run);
      seen.push(used.get('connections shop'));
      return { 'connections shop': 3 };
    });
    assert.ok(share);
    assert.deepEqual(seen, [2]);
    assert.equal((await store.granted()).get('connections shop'), 5);
    assert.equal(await store.splits.join({ run, stage: 'a' }, 'w2', () => null), null);
    await store.drainOutbox('local:w1', 100);
    await store.splits.leave(share);
    assert.equal((await store.granted()).get('connections shop'), 2);
    const woken = (await store.drainOutbox('local:w1', 100)).map(({ stage }) => stage);
    assert.deepEqual(woken.sort(), ['a', 'b']);

    const last = await joined(store, lease, 'w2', { 'connections shop': 3 });
    await obey(run, { type: 'release', stage: 'a', epoch: 1 });
    assert.equal((await store.granted()).get('connections shop') ?? 0, 0);
    await store.splits.leave(last);
    await started(run, 'b');
  });
}
