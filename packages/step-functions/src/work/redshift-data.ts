import type { Definition, Template } from '../asl.ts';
import { type Helper, integration, type Site } from '../machine/site.ts';

/** The longest pause between two looks: with it, a history holds two days of them, twice what a statement may take. */
const longestPause = 60;
/** A statement of the Data API ends after 24 hours at the latest. */
const longestStatement = 25 * 60 * 60;

const busy = ['RedshiftData.ThrottlingException', 'RedshiftData.ActiveStatementsExceededException', 'RedshiftData.InternalServerException'];
const patient = [
  { ErrorEquals: busy, IntervalSeconds: 2, MaxAttempts: 10, BackoffRate: 2, MaxDelaySeconds: 60, JitterStrategy: 'FULL' as const },
];

/**
 * One statement, or one batch, watched to its end: `{ kind, parameters, wait }`. Its client token comes from the execution, so that what is
 * redriven finds the statement that was started.
 */
export function redshiftHelper(site: Site): Helper {
  const id = 'RedshiftData';
  const known = site.helpers.get(id);
  if (known) return known;
  const helper = { id, suffix: '-redshift-data', definition: definition(site) };
  site.helpers.set(id, helper);
  return helper;
}

function definition(site: Site): Definition {
  const execute = (call: string) =>
    ({
      Type: 'Task',
      Resource: integration(site, `aws-sdk:redshiftdata:${call}`),
      InputPath: '$.parameters',
      ResultSelector: { 'id.$': '$.Id' },
      ResultPath: '$.statement',
      Retry: patient,
      Next: 'wait',
    }) as const;
  const pass = (more: Template, Next: string) =>
    ({ Type: 'Pass', Parameters: { 'kind.$': '$.kind', 'wait.$': '$.wait', ...more }, Next }) as const;
  return {
    Comment: 'One statement or batch of the Redshift Data API, watched to its end.',
    StartAt: 'token',
    TimeoutSeconds: longestStatement,
    States: {
      token: pass({ 'parameters.$': '$.parameters', 'id.$': '$$.Execution.Id' }, 'token of it'),
      'token of it': pass({ 'parameters.$': '$.parameters', token: { 'ClientToken.$': "States.Hash($.id, 'SHA-256')" } }, 'parameters'),
      parameters: pass({ 'parameters.$': 'States.JsonMerge($.parameters, $.token, false)' }, 'one or several'),
      'one or several': {
        Type: 'Choice',
        Choices: [{ Variable: '$.kind', StringEquals: 'BatchExecuteStatement', Next: 'execute batch' }],
        Default: 'execute',
      },
      execute: execute('executeStatement'),
      'execute batch': execute('batchExecuteStatement'),
      wait: { Type: 'Wait', SecondsPath: '$.wait.seconds', Next: 'look' },
      look: {
        Type: 'Task',
        Resource: integration(site, 'aws-sdk:redshiftdata:describeStatement'),
        Parameters: { 'Id.$': '$.statement.id' },
        ResultSelector: { 'status.$': '$.Status' },
        ResultPath: '$.seen',
        Retry: patient,
        Next: 'ended',
      },
      ended: {
        Type: 'Choice',
        Choices: [
          { Variable: '$.seen.status', StringEquals: 'FINISHED', Next: 'done' },
          { Variable: '$.seen.status', StringEquals: 'FAILED', Next: 'failed' },
          { Variable: '$.seen.status', StringEquals: 'ABORTED', Next: 'failed' },
          { Variable: '$.wait.seconds', NumericGreaterThanEquals: longestPause, Next: 'wait' },
        ],
        Default: 'longer',
      },
      longer: {
        Type: 'Pass',
        Parameters: { 'seconds.$': 'States.MathAdd($.wait.seconds, $.wait.seconds)' },
        ResultPath: '$.wait',
        Next: 'wait',
      },
      done: { Type: 'Succeed' },
      failed: {
        Type: 'Fail',
        Error: 'REMOTE_FAILED',
        Cause:
          'Redshift ended the statement without success. "aws redshift-data describe-statement" with the id in the input of this state says why.',
      },
    },
  };
}
