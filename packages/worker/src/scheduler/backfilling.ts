import { type BackfillItem, type ScheduleStore, storeError } from '@millrace/core/runtime';
import { passing } from './failpoints.ts';
import type { Deployed, Launch } from './launch.ts';
import { eachAlone, isRefusal } from './refusal.ts';

export interface BackfillingOptions {
  readonly store: ScheduleStore;
  readonly launch: Launch;
  readonly pipelines: ReadonlyMap<string, Deployed>;
}

/** One look at every open backfill of those of our pipelines of which no other version is deployed. */
export async function backfillOnce({ store, launch, pipelines }: BackfillingOptions): Promise<void> {
  const open = await store.openBackfills([...pipelines.keys()]);
  if (open.length === 0) return;
  const deployed = new Map((await store.schedules()).map(({ pipeline, fingerprint }) => [pipeline, fingerprint]));
  const ours = [...pipelines]
    .filter(([name, { plan }]) => (deployed.get(name) ?? plan.fingerprint) === plan.fingerprint)
    .map(([name]) => name);
  await eachAlone(await store.openBackfills(ours), async (id) => {
    const step = await store.stepBackfill(id);
    if (!step) return;
    if (step.launch.length > 0) passing('scheduler.item.reserved');
    await eachAlone(step.launch, (item) => launchItem(store, launch, { id, ...step }, item));
    await eachAlone(step.cancel, (run) => launch.cancel(run));
  });
}

async function launchItem(
  store: ScheduleStore,
  launch: Launch,
  { id, pipeline, params, fullRefresh }: { id: string; pipeline: string; params: Readonly<Record<string, string>>; fullRefresh: boolean },
  { ordinal, logicalTime, window, run: earlier, attempt }: BackfillItem,
): Promise<void> {
  try {
    // The run that failed goes on where it was, unless the pipeline has been changed since.
    const goesOn = earlier !== null && (await launch.retry(earlier));
    const idempotencyKey = `backfill:${id}:${logicalTime}:${attempt}`;
    const asked = { pipeline, logicalTime, window, params, fullRefresh, idempotencyKey };
    const run = goesOn ? earlier : (await launch.launch(asked)).run;
    passing('scheduler.item.launched');
    await store.settleItem(id, ordinal, { run });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await store.settleItem(id, ordinal, { refused: storeError(error) });
  }
}
