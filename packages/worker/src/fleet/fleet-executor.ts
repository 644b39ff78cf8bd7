import {
  decide,
  type Executor,
  followsChanges,
  isEnded,
  MillraceError,
  makeRunId,
  type Plan,
  type RunId,
  type RunRecord,
  type RunStore,
  runRequest,
  type Started,
  type StartRequest,
  stagesWith,
} from '@millrace/core/runtime';
import { streamHeld } from '../executor/refusals.ts';
import { type RunViews, runViews } from '../executor/views.ts';
import type { StateAddress } from '../store/address.ts';
import { postgresStore } from '../store/postgres-store.ts';
import { defaultFleet, fleetQueue } from './queue.ts';

export interface FleetOptions {
  /** The Postgres database that keeps the fleet's runs. */
  readonly state: StateAddress;
  /** `default` by default. */
  readonly fleet?: string;
  /** Sizes of the environment's pools: to say what a run waits for. */
  readonly pools?: Readonly<Record<string, number>>;
  /** What it works through: whoever observes what it does. */
  readonly watch?: (store: RunStore) => RunStore;
}

/** Hands runs to a fleet and tells how they fare. It runs nothing itself: closing it leaves the runs to the workers. */
export interface FleetExecutor extends Executor, RunViews, AsyncDisposable {
  readonly kind: 'fleet';
}

/** @throws STATE_UNAVAILABLE, STATE_VERSION, CONFIG_INVALID */
export async function fleetExecutor({ state, fleet = defaultFleet, pools, watch = asItIs }: FleetOptions): Promise<FleetExecutor> {
  const queue = fleetQueue(fleet);
  const store = watch(await postgresStore(state));
  return {
    kind: 'fleet',
    ...runViews(store, { pools }),
    start: (request) => start(store, queue, request),
    resume: (run) => goOn(store, queue, run, []),
    async retry(id, { from } = {}) {
      const { plan } = await store.read(id);
      return goOn(store, queue, id, from === undefined ? [] : stagesWith(plan, from));
    },
    async cancel(id) {
      const { run } = await store.transition(id, (record, now) => decide(record, { type: 'cancel' }, now));
      return run;
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

const asItIs = (store: RunStore): RunStore => store;

async function start(store: RunStore, queue: string, request: StartRequest): Promise<Started> {
  const plan = planOf(request);
  if (followsChanges(plan) && request.idempotencyKey === undefined) await refuseTwice(store, plan);
  const now = await store.now();
  const asked = await runRequest(request, plan, store, now);
  // Where the file is says each worker for itself.
  const made = await store.create({ id: makeRunId(now, Math.random), request: { ...asked, file: null }, plan, queue });
  return { run: made.run, continued: !made.created };
}

function planOf({ file, plan }: StartRequest): Plan {
  if (plan) return plan;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `${file} is to run on a fleet, and was handed over without its plan.`,
    remedy: 'Compile it first: start({ file, plan: compile(pipeline) }).',
  });
}

/** A second run of a stream would wait for the end of the first, which has none. */
async function refuseTwice(store: RunStore, { pipeline }: Plan): Promise<void> {
  const [open] = await store.list({ pipeline, states: ['queued', 'running'], limit: 1 });
  if (open) throw streamHeld(pipeline, open.id);
}

/** A run of a fleet is reopened where it has ended; one that some process was doing by itself and left is the fleet's from now on. */
async function goOn(store: RunStore, queue: string, id: RunId, from: readonly string[]): Promise<RunRecord> {
  const run = await store.read(id);
  if ((await store.queueOf(id)) !== queue && !(await store.adopt(id, queue))) return run;
  if (!isEnded(run.state)) return store.read(id);
  const { run: after } = await store.transition(id, (record, now) => decide(record, { type: 'reopen', from }, now));
  return after;
}
