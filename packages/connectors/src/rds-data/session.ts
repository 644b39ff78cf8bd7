import type { SqlParameter } from '@aws-sdk/client-rds-data';
import { type Context, type Json, MillraceError } from '@millrace/core/runtime';
import { uncapitalised } from '../aws/capital.ts';
import type { RdsDataService } from './client.ts';

/** As a plan and a state machine have it. */
export interface Statement {
  readonly Sql: string;
  readonly Parameters?: readonly Readonly<Record<string, Json>>[];
}

export interface Place {
  readonly ResourceArn: string;
  readonly SecretArn: string;
  readonly Database?: string;
}

/** One transaction, or none, at a cluster. */
export interface DataSession {
  /** Rows that the statement changed. */
  execute(statement: Statement): Promise<number>;
  rows(statement: Statement): Promise<number>;
}

/**
 * Statements in one transaction. What fails ends it without a trace; so does a caller that dies, three minutes after its last call. A commit
 * whose answer is lost may have been one.
 */
export async function inTransaction<Result>(
  rds: RdsDataService,
  place: Place,
  context: Context,
  work: (session: DataSession) => Promise<Result>,
): Promise<Result> {
  const { ResourceArn: resourceArn, SecretArn: secretArn, Database: database } = place;
  const where = { resourceArn, secretArn };
  const { transactionId } = await rds.call('beginning a transaction', context, (sdk, client, options) =>
    client.send(new sdk.BeginTransactionCommand({ ...where, ...(database !== undefined && { database }) }), options),
  );
  let result: Result;
  try {
    result = await work(session(rds, place, context, { transactionId: transactionId! }));
  } catch (error) {
    await rds
      .call('rolling back', context, (sdk, client, options) =>
        client.send(new sdk.RollbackTransactionCommand({ ...where, transactionId: transactionId! }), options),
      )
      // It ends by itself, and the error is the one that counts.
      .catch(() => {});
    throw error;
  }
  await rds.call('committing', context, (sdk, client, options) =>
    client.send(new sdk.CommitTransactionCommand({ ...where, transactionId: transactionId! }), options),
  );
  return result;
}

export function session(
  rds: RdsDataService,
  { ResourceArn: resourceArn, SecretArn: secretArn, Database: database }: Place,
  context: Context,
  more: { readonly transactionId?: string; readonly continueAfterTimeout?: boolean } = {},
): DataSession {
  const send = (statement: Statement) =>
    rds.call('running a statement', context, async (sdk, client, options) => {
      const parameters = (statement.Parameters ?? []).map((one) => uncapitalised(one) as unknown as SqlParameter);
      const command = new sdk.ExecuteStatementCommand({
        resourceArn,
        secretArn,
        ...(database !== undefined && { database }),
        sql: statement.Sql,
        ...(parameters.length > 0 && { parameters }),
        ...more,
      });
      try {
        return await client.send(command, options);
      } catch (error) {
        throw statementFailure(error, statement, more.continueAfterTimeout ?? false);
      }
    });
  return {
    execute: async (statement) => (await send(statement)).numberOfRecordsUpdated ?? 0,
    rows: async (statement) => (await send(statement)).records?.length ?? 0,
  };
}

/** What the database says, told from what the API says. */
function statementFailure(error: unknown, { Sql }: Statement, continues: boolean): unknown {
  const { name, message } = error as Error;
  const start = Sql.trim().slice(0, 80);
  if (name === 'StatementTimeoutException') {
    return new MillraceError('REMOTE_FAILED', {
      message: continues
        ? `RDS Data API: "${start}" runs for longer than the 45 seconds that the API waits, and goes on; its end cannot be seen from here.`
        : `RDS Data API: "${start}" ran for longer than the 45 seconds that the API allows, and was ended.`,
      remedy: 'Run what takes longer by a sql or call step, over a connection to the database.',
      facts: { name },
    });
  }
  if (name !== 'DatabaseErrorException' && name !== 'BadRequestException') return error;
  if (mayPass.test(message)) {
    return new MillraceError('REMOTE_UNAVAILABLE', {
      message: `RDS Data API, running "${start}": ${message.slice(0, 400)}`,
      remedy: 'Tried again with backoff.',
      facts: { name },
    });
  }
  return new MillraceError('STATEMENT_FAILED', {
    message: `RDS Data API: "${start}" was refused: ${message.slice(0, 400)}`,
    remedy: 'Correct the statement, or what it names.',
    facts: { name },
  });
}

/** Serialisation failures, deadlocks, lock waits, and a server that is starting, stopping or failing over. */
const mayPass =
  /SQLState: ?(40001|40P01|55P03|57P0[123]|08\w{3}|25006|53300)|deadlock|lock wait timeout|is resuming|communications link failure|not currently available/i;
