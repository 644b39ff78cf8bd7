import { MillraceError, type RemoteParameters, type RunValue, remote, type Step, type StepOptions } from '@millrace/core/runtime';
import { settlesMs as usual } from '../aws/listed.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { redshiftDataService } from './client.ts';
import { redshiftStatement } from './statement.ts';

export interface RedshiftDataSettings extends AwsSettings {
  readonly database: string;
  /** Of Redshift Serverless; else `cluster`. */
  readonly workgroup?: string;
  readonly cluster?: string;
  /** Name or ARN of a secret at AWS Secrets Manager. Without it the caller's own identity signs in, on a cluster as `dbUser` where that is given. */
  readonly secretArn?: string;
  readonly dbUser?: string;
  /** How long a statement that was just started may be missing from the list, in milliseconds: 5,000. Waited for only where the answer to a start was lost. */
  readonly settlesMs?: number;
}

export interface RedshiftStatementOptions {
  /** Values of `:names` in the SQL, as text. */
  readonly parameters?: Readonly<Record<string, string | RunValue>>;
}

export interface RedshiftBatchOptions extends RedshiftStatementOptions {
  /** False: each statement commits by itself, and those before one that fails stay done. True by default. */
  readonly transaction?: boolean;
}

export interface RedshiftDataConnection {
  /** One statement, in a transaction of its own. */
  statement(sql: string, options?: RedshiftStatementOptions, step?: StepOptions): Step<never, 'nothing'>;
  /** Statements one after the other, in one transaction. */
  batch(sqls: readonly string[], options?: RedshiftBatchOptions, step?: StepOptions): Step<never, 'nothing'>;
}

/** Statements that one call of the API takes, and bytes of each. */
const batchLimit = 40;
const sqlLimit = 100_000;

/**
 * SQL on Redshift without a connection to it: `redshiftData({ workgroup: 'etl', database: 'dev' }).statement('call refresh(:day)',
 * { parameters: { day: run.date } })`. Nobody waits meanwhile, and results stay at Redshift.
 */
export function redshiftData(settings: RedshiftDataSettings): RedshiftDataConnection {
  const { database, workgroup, cluster, secretArn, dbUser, settlesMs = usual } = settings;
  if ((workgroup === undefined) === (cluster === undefined))
    throw wrong('needs either a workgroup or a cluster', "Give one of them: redshiftData({ workgroup: 'etl', database: 'dev' }).");
  const service = redshiftDataService(settings);
  const at = `${workgroup ?? cluster}/${database}`;
  const place = {
    Database: database,
    ...(workgroup === undefined ? { ClusterIdentifier: cluster! } : { WorkgroupName: workgroup }),
    ...(secretArn !== undefined && { SecretArn: secretArn }),
    ...(dbUser !== undefined && { DbUser: dbUser }),
  };
  return Object.freeze({
    statement: (sql: string, options: RedshiftStatementOptions = {}, step: StepOptions = {}) => {
      checkSql(sql);
      return remote(redshiftStatement(service, { at, statements: null, settlesMs }), { ...place, Sql: sql, ...valuesOf(options) }, step);
    },
    batch: (sqls: readonly string[], options: RedshiftBatchOptions = {}, step: StepOptions = {}) => {
      if (sqls.length === 0 || sqls.length > batchLimit)
        throw wrong(`takes 1 to ${batchLimit} statements in a batch, not ${sqls.length}`, 'Make several steps of them.');
      sqls.forEach(checkSql);
      const mode = options.transaction === false ? { ExecutionMode: 'AUTO_COMMIT' } : {};
      return remote(
        redshiftStatement(service, { at, statements: sqls.length, settlesMs }),
        { ...place, Sqls: sqls, ...valuesOf(options), ...mode },
        step,
      );
    },
  });
}

function valuesOf({ parameters = {} }: RedshiftStatementOptions): RemoteParameters {
  const values = Object.entries(parameters).map(([name, value]) => ({ Name: name, Value: value }));
  return values.length === 0 ? {} : { Parameters: values };
}

function checkSql(sql: string): void {
  if (Buffer.byteLength(sql) > sqlLimit)
    throw wrong(`takes ${sqlLimit} bytes of SQL, and a statement has ${Buffer.byteLength(sql)}`, 'Make a procedure of it, and call that.');
}

const wrong = (what: string, remedy: string) =>
  new MillraceError('PIPELINE_INVALID', { message: `The Redshift Data API ${what}.`, remedy });
