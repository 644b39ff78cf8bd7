/** A value that is known when the run is: `run.date`, `run.window.start`, `run.param('country')`. */
export interface RunValue {
  readonly kind: 'run-value';
  readonly of: 'id' | 'date' | 'logicalTime' | 'window.start' | 'window.end' | `params.${string}`;
}

const runValue = (of: RunValue['of']): RunValue => Object.freeze({ kind: 'run-value', of });

/**
 * What a step may use of its run as an argument:
 * `run.date` the day the run is for (`2026-03-29`, in the schedule's time zone), `run.logicalTime` (UTC, ISO 8601), `run.id`,
 * `run.window.start` and `.end` of a run over a window, and `run.param('x')` for `--param x=…` and the pipeline's `params`.
 */
export const run = Object.freeze({
  id: runValue('id'),
  date: runValue('date'),
  logicalTime: runValue('logicalTime'),
  window: Object.freeze({ start: runValue('window.start'), end: runValue('window.end') }),
  param: (name: string): RunValue => runValue(`params.${name}`),
});

export function isRunValue(value: unknown): value is RunValue {
  return typeof value === 'object' && value !== null && (value as RunValue).kind === 'run-value';
}
