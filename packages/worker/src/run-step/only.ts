import type { RunStore, StageRef } from '@millrace/core/runtime';

const swept = 1_000;

/**
 * The store as it looks to a worker that is there for one stage alone: no other has anything to do. With `claims` false it makes no attempt
 * at that one either, and may only help.
 */
export function onlyStage(store: RunStore, only: StageRef, { claims }: { readonly claims: boolean }): RunStore {
  const toDo = async () => {
    const { at } = (await store.read(only.run)).stages.get(only.stage)?.state ?? {};
    return at === 'ready' || at === 'running' ? [{ ...only, priority: 1 }] : [];
  };
  return {
    ...store,
    queued: async () => [],
    due: async () => ({ runs: [], nextMs: null }),
    // Wake-ups of this queue are for nobody: each of its workers knows what it is there for, and hears of every change of its run.
    drainOutbox: (queue) => store.drainOutbox(queue, swept).then(toDo),
    ready: toDo,
    claim: claims ? store.claim : async ({ run }) => ({ run: await store.read(run), events: [] }),
    remote: {
      ...store.remote,
      looks: (queue, worker, most, plans) =>
        claims ? store.remote.looks(queue, worker, most, plans, only) : Promise.resolve({ looks: [], nextMs: null }),
    },
    subscribe: (listener) =>
      store.subscribe((run) => {
        if (run === only.run) listener(run);
      }),
  };
}
