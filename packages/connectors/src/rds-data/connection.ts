import {
  isRunValue,
  MillraceError,
  type RemoteParameters,
  type RunValue,
  remote,
  type Step,
  type StepOptions,
} from '@millrace/core/runtime';
import { regionOfArn } from '../aws/console.ts';
import type { AwsSettings } from '../aws/settings.ts';
import { rdsDataService } from './client.ts';
import { type Manner, rdsStatements } from './statements.ts';

export interface RdsDataSettings extends AwsSettings {
  /** ARN of an Aurora cluster whose Data API is on. */
  readonly cluster: string;
  /** ARN of the secret at AWS Secrets Manager that signs in. */
  readonly secretArn: string;
  readonly database?: string;
}

export interface RdsStatement {
  readonly sql: string;
  /** Values of `:names` in the SQL. */
  readonly parameters?: Readonly<Record<string, string | number | boolean | null | RunValue>>;
  /** How the database is to read texts: `{ day: 'DATE' }`. */
  readonly types?: Readonly<Record<string, 'DATE' | 'DECIMAL' | 'JSON' | 'TIME' | 'TIMESTAMP' | 'UUID'>>;
}

export interface RdsStatementOptions {
  /**
   * `once` (default): one transaction together with a row in `_millrace.remote_done`, so that a repeated attempt finds it and does nothing.
   * `transaction`: one transaction; after a lost answer it is done again. `apart`: one statement that commits by itself, for what a transaction
   * cannot hold; after a lost answer it is done again.
   */
  readonly manner?: Manner;
  /** With `apart`: a statement that runs for longer than 45 seconds goes on at the database, and the step fails, for nobody sees its end. */
  readonly continueAfterTimeout?: boolean;
}

export interface RdsDataConnection {
  statements(
    statements: string | readonly (string | RdsStatement)[],
    options?: RdsStatementOptions,
    step?: StepOptions,
  ): Step<never, 'nothing'>;
}

/** SQL on Aurora without a connection to it: `rdsData({ cluster, secretArn }).statements(['refresh materialized view daily'])`. A statement has 45 seconds. */
export function rdsData(settings: RdsDataSettings): RdsDataConnection {
  const { cluster, secretArn, database } = settings;
  if (regionOfArn(cluster) === null)
    throw wrong(`"${cluster}" is no ARN of a cluster`, 'Write it as RDS shows it: arn:aws:rds:eu-west-1:123456789012:cluster:shop.');
  const service = rdsDataService({ ...settings, region: settings.region ?? regionOfArn(cluster)! });
  const place = { ResourceArn: cluster, SecretArn: secretArn, ...(database !== undefined && { Database: database }) };
  return Object.freeze({
    statements: (given: string | readonly (string | RdsStatement)[], options: RdsStatementOptions = {}, step: StepOptions = {}) => {
      const { manner = 'once', continueAfterTimeout = false } = options;
      const all = (typeof given === 'string' ? [given] : given).map(statementOf);
      const [first] = all;
      if (first === undefined) throw wrong('there is no statement', 'Give one.');
      if (manner === 'apart' && all.length > 1)
        throw wrong(`${all.length} statements cannot be apart`, 'Make a step of each, or let them be one transaction.');
      if (continueAfterTimeout && manner !== 'apart')
        throw wrong('a transaction cannot go on after a timeout', "Say { manner: 'apart' }, or leave continueAfterTimeout out.");
      const work = manner === 'apart' ? { ...first, ...(continueAfterTimeout && { ContinueAfterTimeout: true }) } : { Statements: all };
      return remote(rdsStatements(service, cluster, all.length, manner), { ...place, ...work }, step);
    },
  });
}

function statementOf(given: string | RdsStatement): { readonly Sql: string } & RemoteParameters {
  const { sql, parameters = {}, types = {} } = typeof given === 'string' ? { sql: given } : given;
  const values = Object.entries(parameters).map(([name, value]) => ({
    Name: name,
    Value: fieldOf(value),
    ...(types[name] !== undefined && { TypeHint: types[name] }),
  }));
  return { Sql: sql, ...(values.length > 0 && { Parameters: values }) };
}

function fieldOf(value: string | number | boolean | null | RunValue): RemoteParameters {
  if (value === null) return { IsNull: true };
  if (typeof value === 'string' || isRunValue(value)) return { StringValue: value };
  if (typeof value === 'boolean') return { BooleanValue: value };
  return Number.isSafeInteger(value) ? { LongValue: value } : { DoubleValue: value };
}

const wrong = (what: string, remedy: string) => new MillraceError('PIPELINE_INVALID', { message: `RDS Data API: ${what}.`, remedy });
