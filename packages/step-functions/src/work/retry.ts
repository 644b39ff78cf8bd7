import { codes, type ErrorCode, lossesAllowed, type PlanStage } from '@millrace/core/runtime';
import type { Retrier } from '../asl.ts';

/** The plan's patience with these errors: full jitter over a pause that doubles. None where a stage has one attempt. */
export function retriers({ retry }: Pick<PlanStage, 'retry'>, errors: readonly string[]): { readonly Retry?: readonly Retrier[] } {
  if (retry.attempts <= 1) return {};
  const IntervalSeconds = Math.max(1, Math.ceil(retry.delayMs / 1000));
  return {
    Retry: [
      {
        ErrorEquals: errors,
        IntervalSeconds,
        MaxAttempts: retry.attempts - 1,
        BackoffRate: 2,
        MaxDelaySeconds: Math.min(longestDelay, Math.max(IntervalSeconds + 1, Math.ceil(retry.maxDelayMs / 1000))),
        JitterStrategy: 'FULL',
      },
    ],
  };
}

/** A year, less one second: what Step Functions takes. */
const longestDelay = 31_622_399;

/**
 * For a stage that reports itself: beside the plan's own patience, an attempt that was taken away or given back is begun again as often as on other
 * executors, without counting as one of those that the plan allows. So is a start that came to nothing, by these errors.
 */
export function retriersOfReports(stage: Pick<PlanStage, 'retry'>, starts: readonly string[] = []): { readonly Retry: readonly Retrier[] } {
  const passing = passingErrors.filter((error) => !lostErrors.includes(error));
  return {
    Retry: [
      ...startRetriers(starts),
      {
        ErrorEquals: lostErrors,
        IntervalSeconds: 1,
        MaxAttempts: lossesAllowed - 1,
        BackoffRate: 2,
        MaxDelaySeconds: 60,
        JitterStrategy: 'FULL',
      },
      ...(retriers(stage, passing).Retry ?? []),
    ],
  };
}

/** For a call that has begun nothing, by these errors: it is no attempt of a stage, and is made again for up to five minutes. */
export const startRetriers = (errors: readonly string[]): readonly Retrier[] =>
  errors.length === 0
    ? []
    : [{ ErrorEquals: errors, IntervalSeconds: 5, MaxAttempts: 5, BackoffRate: 3, MaxDelaySeconds: 120, JitterStrategy: 'FULL' }];

/** Errors of a stage that reports itself by the codes of `core`: those that may pass. */
const passingErrors: readonly string[] = [
  ...Object.entries(codes).flatMap(([code, { retry }]) => (retry === 'never' ? [] : [code])),
  'States.Timeout',
  'States.HeartbeatTimeout',
];

/** Of those, the ones that are no fault of the stage: its task was asked to end, or has ended without a word. */
const lostErrors: readonly string[] = [
  ...Object.entries(codes).flatMap(([code, { retry }]) => (retry === 'lost' ? [code] : [])),
  'States.HeartbeatTimeout',
  // Of Lambda: its process is gone, and so is its time, or its memory.
  'Lambda.Unknown',
  'Runtime.ExitError',
  'Sandbox.Timedout',
];

/**
 * The name under which a task reports an error: its code, which the machine's retriers know where the error may pass. One that may pass and has
 * come to stay (the attempts are spent) has a name that they do not know.
 */
export const errorName = (code: ErrorCode, retry: boolean): string => (!retry && passingErrors.includes(code) ? 'STAGE_FAILED' : code);

/** Errors that say that the data is not good: those whose exit code is 5. */
export const qualityErrors: readonly string[] = Object.entries(codes).flatMap(([code, { exit }]) => (exit === 5 ? [code] : []));
