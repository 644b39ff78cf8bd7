import { milliseconds, type Step } from '../author/index.ts';

/** Retry and timeout of a stage: those of its last step. @throws PIPELINE_INVALID for a duration that is none */
export function patience(step: Step): { attempts: number; delayMs: number; maxDelayMs: number; timeoutMs: number | null } {
  const { retry = {}, timeout } = step.options;
  return {
    attempts: retry.attempts ?? 5,
    delayMs: milliseconds(retry.delay ?? '1s'),
    maxDelayMs: milliseconds(retry.maxDelay ?? '5m'),
    timeoutMs: timeout === undefined ? null : milliseconds(timeout),
  };
}
