import { type MillraceError, type ScheduleStore, storeError, type Tick } from '@millrace/core/runtime';
import { decideDeployment, decideTicks } from './decide-ticks.ts';
import { passing } from './failpoints.ts';
import type { Deployed, Launch } from './launch.ts';
import { eachAlone, isRefusal } from './refusal.ts';

/** Milliseconds without a word after which a version counts as not served any more, so that another may take its place. */
export const servedMs = 120_000;

export interface TickingOptions {
  readonly store: ScheduleStore;
  readonly launch: Launch;
  readonly pipelines: ReadonlyMap<string, Deployed>;
}

/** Makes this version of the pipelines the one whose schedule counts. */
export async function deploy(
  { store, pipelines }: Pick<TickingOptions, 'store' | 'pipelines'>,
  names: Iterable<string> = pipelines.keys(),
): Promise<void> {
  for (const name of [...names].sort()) {
    const plan = pipelines.get(name)?.plan;
    if (!plan) continue;
    const { fingerprint, schedule } = plan;
    // Null where another scheduler is at it this instant: perhaps with an older version, so that we come after it.
    while ((await store.change(name, (view, now) => decideDeployment(view, { fingerprint, schedule }, now))) === null) await pause();
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Says that our versions are served; those of a deployment that is gone give way to ours. */
export async function serve(options: Pick<TickingOptions, 'store' | 'pipelines'>): Promise<void> {
  const served = [...options.pipelines].map(([pipeline, { plan }]) => ({ pipeline, fingerprint: plan.fingerprint }));
  await deploy(options, await options.store.serve(served, servedMs));
}

/** One look at every schedule that has something to do. Answers in how many milliseconds the next one has. */
export async function tickOnce(options: TickingOptions): Promise<number | null> {
  const { store, pipelines } = options;
  const { pipelines: due, nextMs } = await store.due([...pipelines.keys()]);
  await eachAlone(due, (pipeline) => tickPipeline(options, pipeline));
  return nextMs;
}

async function tickPipeline({ store, launch, pipelines }: TickingOptions, pipeline: string): Promise<void> {
  const fingerprint = pipelines.get(pipeline)?.plan.fingerprint;
  let cancel: readonly string[] = [];
  const view = await store.change(pipeline, (current, now) => {
    // Another version is deployed: whoever has it makes its runs.
    if (current.schedule.fingerprint !== fingerprint) return {};
    const decision = decideTicks(current, now);
    cancel = decision.cancel;
    return decision.change;
  });
  if (view === null || view.schedule.fingerprint !== fingerprint) return;
  passing('scheduler.tick.reserved');
  for (const run of cancel) await launch.cancel(run);
  await eachAlone(
    view.open.filter(({ state }) => state === 'launching'),
    (tick) => launchTick(store, launch, tick),
  );
}

async function launchTick(
  store: ScheduleStore,
  launch: Launch,
  { pipeline, key, logicalTime, window, params, cause }: Tick,
): Promise<void> {
  const asked = cause === 'request' ? { params } : { params: {}, told: params };
  try {
    const { run } = await launch.launch({ pipeline, logicalTime, window, ...asked, idempotencyKey: key });
    passing('scheduler.run.launched');
    await store.settle(pipeline, key, { run });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await store.settle(pipeline, key, { refused: storeError(error as MillraceError) });
  }
}
