import type { ScheduleStore } from '@millrace/core/runtime';
import type { TriggerSource } from './trigger-source.ts';

/** `onSuccess(upstream)`: found among the stored runs, so that none is missed however long nobody looked. */
export function successSource(store: ScheduleStore, pipeline: string, upstream: string, everyMs = 2_000): TriggerSource {
  return {
    name: `successes of ${upstream} for ${pipeline}`,
    everyMs,
    async look() {
      await store.offerSuccesses(pipeline, upstream);
      return null;
    },
  };
}
