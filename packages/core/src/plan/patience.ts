import { milliseconds, type Step } from '../author/index.ts';

/** Retry and timeout of a stage: those of its last step. @throws PIPELINE_INVALID for a duration that is none */
export function patience(step: Step): { attempts: number; delayMs: number; maxDelayMs: number; timeoutMs: number | null } {
  const { retry = {}, timeout } = step.options;
  // A stream goes on for months: it is tried again for as long as the error may pass.
  const endless = step.work.kind === 'capture';
  return {
    attempts: retry.attempts ?? (endless ? 1_000_000 : 5),
    delayMs: milliseconds(retry.delay ?? '1s'),
    maxDelayMs: milliseconds(retry.maxDelay ?? (endless ? '10s' : '5m')),
    timeoutMs: timeout === undefined ? null : milliseconds(timeout),
  };
}
