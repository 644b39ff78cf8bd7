import assert from 'node:assert/strict';
import type { Priority } from '../author/index.ts';
import { type Command, decide } from '../executor/index.ts';
import {
  type Lease,
  makeRunId,
  type RunEvent,
  type RunId,
  type RunRecord,
  type RunStore,
  type WorkerHold,
  type WorkerInfo,
} from '../state/index.ts';
import { planOf, requestFor, stageOf } from './plans.ts';
import type { Test } from './suite.ts';

/** A state that is empty, and any number of stores on it. */
export type FreshState = () => Promise<{ readonly open: () => Promise<RunStore> } & AsyncDisposable>;

export type WithStore = (name: string, body: (world: World) => Promise<void>) => void;

export const storeTests =
  (test: Test, fresh: FreshState): WithStore =>
  (name, body) =>
    test(name, async () => {
      await using state = await fresh();
      const store = await state.open();
      try {
        await body(worldOf(store, state.open));
      } finally {
        await store[Symbol.asyncDispose]();
      }
    });

export interface World {
  readonly store: RunStore;
  readonly open: () => Promise<RunStore>;
  create(
    options?: Partial<{
      id: RunId;
      stages: ReturnType<typeof stageOf>[];
      pipeline: string;
      queue: string;
      idempotencyKey: string;
      priority: Priority;
    }>,
  ): Promise<RunRecord>;
  obey(run: RunId, command: Command): Promise<RunEvent[]>;
  admit(run: RunId): Promise<void>;
  started(run: RunId, stage: string, worker?: string): Promise<Lease>;
  register(id: string, leaseMs: number, more?: Pick<WorkerInfo, 'queue' | 'plans'>): Promise<WorkerHold>;
}

function worldOf(store: RunStore, open: () => Promise<RunStore>): World {
  let made = 0;
  let registered: Promise<unknown> | undefined;
  /** `w1` and `w2` are workers that live as long as the test. */
  const workers = (): Promise<unknown> =>
    (registered ??= Promise.all(['w1', 'w2'].map((id) => store.register({ id, label: id, leaseMs: 60_000 }))));
  const world: World = {
    store,
    open,
    async create({
      id = makeRunId(new Date(1_774_742_400_000 + 1000 * made++), Math.random),
      stages = [stageOf('a'), stageOf('b', ['a'])],
      pipeline = 'p',
      queue = 'local:w1',
      idempotencyKey,
      priority,
    } = {}) {
      await workers();
      const { run } = await store.create({
        id,
        request: requestFor(pipeline, { idempotencyKey: idempotencyKey ?? null, ...(priority && { priority }) }),
        plan: planOf(pipeline, stages),
        queue,
      });
      return run;
    },
    async obey(run, command) {
      const { events } = await store.transition(run, (record, now) => decide(record, command, now));
      return events.map(({ event }) => event);
    },
    async admit(run) {
      await store.admission(run, (record, now, rivals) => decide(record, { type: 'admit', rivals, limit: 1 }, now));
    },
    async started(run, stage, worker = 'w1') {
      await world.admit(run);
      const [event] = await world.obey(run, { type: 'claim', stage, worker });
      assert.equal(event?.type, 'stage.started');
      return { run, stage, epoch: (event as Extract<RunEvent, { type: 'stage.started' }>).epoch, worker };
    },
    async register(id, leaseMs, more = {}) {
      await workers();
      return store.register({ id, label: id, leaseMs, ...more });
    },
  };
  return world;
}
