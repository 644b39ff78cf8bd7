import { isMillraceError } from '@millrace/core/runtime';

/** What every command ends with. Scripts depend on it: the table is tested, and README and `--help` show it. */
export const exitCodes = {
  ok: 0,
  runFailed: 1,
  usage: 2,
  planChanged: 3,
  partial: 4,
  dataQuality: 5,
  unavailable: 69,
  leaseHeld: 75,
  timeout: 124,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'ok',
  runFailed: 'the run failed, or verify found differences',
  usage: 'usage or configuration',
  planChanged: 'the plan has changes',
  partial: 'partial success: a stage with onFailure "continue" failed',
  dataQuality: 'a data quality check failed',
  unavailable: 'a database or service is not available',
  leaseHeld: 'another process holds the lease: try again',
  timeout: 'timeout',
  interrupted: 'interrupted (SIGINT)',
  terminated: 'terminated (SIGTERM)',
};

export function exitCodeOf(error: unknown): ExitCode {
  return isMillraceError(error) ? error.entry.exit : exitCodes.runFailed;
}
