import type { TaskEnd } from '@millrace/step-functions';
import type { StepEnd } from '@millrace/worker';

/** How a stage has ended, as the machine is told. */
export function taskEnd(end: StepEnd): TaskEnd {
  if (end.at === 'done') return end;
  return { at: 'failed', error: end.error, retry: end.at !== 'failed' };
}
