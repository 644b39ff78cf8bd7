import type { BatchExecuteStatementCommandInput, ExecuteStatementCommandInput } from '@aws-sdk/client-redshift-data';
import type { Context, Json, RemoteHandle, RemoteRequest, RemoteTask } from '@millrace/core/runtime';
import { uncapitalised } from '../aws/capital.ts';
import { consoleLink } from '../aws/console.ts';
import type { RedshiftDataFacts } from '../aws/facts.ts';
import { unlessMissing } from '../aws/found.ts';
import { listed } from '../aws/listed.ts';
import { isRecent, startedNow } from '../aws/recent.ts';
import type { RedshiftDataService } from './client.ts';
import { statementState } from './statement-state.ts';

/** One look waits so long for the end: short statements are seen when they end, and nobody is held up by long ones. */
const lookSeconds = 5;

/** Statements are listed for a day, a token is good for some hours of it. */
const tellsForMs = 23 * 60 * 60 * 1000;

/** Pages of the list of statements that are looked through. */
const mostPages = 20;

/** One statement, or a batch of `statements`. */
export function redshiftStatement(
  redshift: RedshiftDataService,
  { at, statements, settlesMs }: { readonly at: string; readonly statements: number | null; readonly settlesMs: number },
): RemoteTask {
  const facts: RedshiftDataFacts = { native: true, statements: statements ?? 1 };
  return {
    description: {
      service: 'redshift-data',
      action: statements === null ? 'ExecuteStatement' : 'BatchExecuteStatement',
      label: `${statements === null ? 'statement' : `${statements} statements`} on Redshift ${at}`,
      region: redshift.region,
      starts: 'once',
      watched: true,
      pollMs: 1_000,
      facts: { ...facts },
    },
    tellsForMs,
    async start(request, context) {
      // The token makes a repeated call answer the first one's statement.
      const { Id } = await redshift.call('starting a statement', context, (sdk, client, options) => {
        const input = marked(request);
        return 'Sqls' in input
          ? client.send(new sdk.BatchExecuteStatementCommand(input), options)
          : client.send(new sdk.ExecuteStatementCommand(input), options);
      });
      return handleOf(Id!, context);
    },
    async adopt({ id }, context) {
      const found = await listed(() => startedUnder(id, context), settlesMs, context.signal);
      return found === null ? null : handleOf(found, context);
    },
    async poll(handle, context) {
      const found = await redshift.call('looking at a statement', context, (sdk, client, options) => {
        const command = new sdk.DescribeStatementCommand({ Id: handle.id, WaitTimeSeconds: lookSeconds });
        return unlessMissing(client.send(command, options), 'ResourceNotFoundException');
      });
      if (found) return statementState(found);
      if (isRecent(handle, context)) return { at: 'running', status: 'SUBMITTED', progress: null };
      return { at: 'failed', reason: `Redshift does not know statement ${handle.id} any more; it forgets them after a day.`, again: false };
    },
    async cancel({ id }, context) {
      await redshift.call('cancelling a statement', context, (sdk, client, options) =>
        // It is refused for a statement that has ended.
        unlessMissing(client.send(new sdk.CancelStatementCommand({ Id: id }), options), 'ResourceNotFoundException', 'ValidationException'),
      );
    },
  };

  async function handleOf(id: string, context: Context): Promise<RemoteHandle> {
    const region = await redshift.regionInUse(context);
    return { id, link: consoleLink(region, `sqlworkbench/home?region=${region}`), detail: startedNow(context) };
  }

  async function startedUnder(id: string, context: Context): Promise<string | null> {
    let NextToken: string | undefined;
    // A page may be empty and not the last: the filter looks at what a page would hold.
    for (let page = 0; page < mostPages; page++) {
      const answer = await redshift.call('looking for a statement', context, (sdk, client, options) =>
        client.send(
          new sdk.ListStatementsCommand({ StatementName: id, Status: 'ALL', ...(NextToken !== undefined && { NextToken }) }),
          options,
        ),
      );
      const found = answer.Statements?.find(({ StatementName }) => StatementName === id);
      if (found?.Id !== undefined) return found.Id;
      NextToken = answer.NextToken;
      if (NextToken === undefined) return null;
    }
    return null;
  }
}

/** The request's id is both: the token, and the name under which the statement is found when the token's time is over. */
function marked({ id, parameters }: RemoteRequest): ExecuteStatementCommandInput | BatchExecuteStatementCommandInput {
  const { Parameters, ...rest } = parameters;
  const input = {
    ...rest,
    ...(Parameters !== undefined && { Parameters: (Parameters as readonly Record<string, Json>[]).map(uncapitalised) }),
    ClientToken: id,
    StatementName: id,
  };
  return input as unknown as ExecuteStatementCommandInput | BatchExecuteStatementCommandInput;
}
