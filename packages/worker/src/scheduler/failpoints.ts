import { failpoint } from '@millrace/core/runtime';

/** Instants of a scheduler at which a crash must cost time only. */
export const schedulerFailpoints = [
  'scheduler.tick.reserved',
  'scheduler.run.launched',
  'scheduler.item.reserved',
  'scheduler.item.launched',
] as const;

export const passing: (point: (typeof schedulerFailpoints)[number]) => void = failpoint;
