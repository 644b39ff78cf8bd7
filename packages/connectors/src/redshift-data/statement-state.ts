import type { DescribeStatementResponse } from '@aws-sdk/client-redshift-data';
import type { RemoteState } from '@millrace/core/runtime';

/** What the status of a statement, or of a batch of them, means. */
export function statementState(statement: DescribeStatementResponse): RemoteState {
  const { Status: status = 'SUBMITTED', Error: error, SubStatements: parts = [] } = statement;
  switch (status) {
    case 'FINISHED':
      return { at: 'succeeded', output: resultOf(statement) };
    case 'FAILED':
      return { at: 'failed', reason: error ?? 'The statement failed.', again: mayPass.test(error ?? '') };
    case 'ABORTED':
      return { at: 'failed', reason: error ?? 'Somebody cancelled the statement.', again: true };
    default: {
      const done = parts.filter(({ Status }) => Status === 'FINISHED').length;
      return { at: 'running', status, progress: parts.length > 0 ? done / parts.length : null };
    }
  }
}

/** Two transactions that cannot both be serialised (1023), a deadlock, a cluster that was restarted or paused under the statement. */
const mayPass =
  /serializable isolation|\b1023\b|deadlock|could not (connect|obtain)|connection (was )?(closed|reset|terminated)|restart|resum|paus|internal error/i;

/** Of a result its measures, not its rows. */
function resultOf({ Duration, HasResultSet, ResultRows, ResultSize, RedshiftQueryId, SubStatements }: DescribeStatementResponse) {
  return {
    // In nanoseconds.
    ...(Duration !== undefined && { seconds: Math.round(Duration / 1e6) / 1e3 }),
    ...(ResultRows !== undefined && ResultRows >= 0 && { rows: ResultRows }),
    ...(HasResultSet && ResultSize !== undefined && ResultSize >= 0 && { resultBytes: ResultSize }),
    ...(RedshiftQueryId !== undefined && RedshiftQueryId > 0 && { query: RedshiftQueryId }),
    ...(SubStatements && { statements: SubStatements.map(({ ResultRows: rows = -1 }) => ({ rows })) }),
  };
}
