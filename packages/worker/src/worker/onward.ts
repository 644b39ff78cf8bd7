import { decide, evolve, type RunEvent, type RunRecord } from '@millrace/core/runtime';
import { stageOf } from './job.ts';

/**
 * The claim of a stage that the success of another has just made ready, for the same worker, in the same breath: neither a wake-up nor a
 * second transaction lies between the two. None where a stage takes a share of a limit, which has to be counted behind its lock.
 */
export function onward(run: RunRecord, decided: readonly RunEvent[], worker: string, now: Date): readonly RunEvent[] {
  const ready = decided.find((event) => event.type === 'stage.ready' && !stageOf(run, event.stage).limits?.length);
  if (ready?.type !== 'stage.ready') return [];
  const at = now.toISOString();
  const after = evolve(
    run,
    decided.map((event) => ({ event, at })),
  );
  return decide(after, { type: 'claim', stage: ready.stage, worker }, now);
}
