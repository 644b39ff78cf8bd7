import type { Context } from '@millrace/core/runtime';
import { isMillraceError } from '@millrace/core/runtime';
import type { RdsDataService } from './client.ts';
import { type DataSession, type Place, session } from './session.ts';

/** The work of each request that is done, a row each, in SQL that Postgres and MySQL both read. */
const create = [
  'CREATE SCHEMA IF NOT EXISTS _millrace',
  'CREATE TABLE IF NOT EXISTS _millrace.remote_done (id varchar(64) PRIMARY KEY, done_at timestamp DEFAULT CURRENT_TIMESTAMP)',
];
const note = 'INSERT INTO _millrace.remote_done (id) VALUES (:id)';
const find = 'SELECT 1 FROM _millrace.remote_done WHERE id = :id';

const named = (Sql: string, id: string) => ({ Sql, Parameters: [{ Name: 'id', Value: { StringValue: id } }] });

/** Notes in the transaction that the request is done; false where another has noted it before, whose work is done. One that notes it at this moment is waited for. */
export async function noteDone(transaction: DataSession, id: string): Promise<boolean> {
  try {
    await transaction.execute(named(note, id));
    return true;
  } catch (error) {
    if (says(error, /duplicate (key|entry)|SQLState: ?23505|error code: ?1062/i)) return false;
    throw error;
  }
}

/** Whether a request is done. Makes the ledger where it is not there yet. */
export async function isDone(rds: RdsDataService, place: Place, id: string, context: Context): Promise<boolean> {
  const apart = session(rds, place, context);
  try {
    return (await apart.rows(named(find, id))) > 0;
  } catch (error) {
    if (!says(error, /does not exist|doesn't exist|unknown database|42P01|3F000/i)) throw error;
  }
  for (const Sql of create) {
    try {
      await apart.execute({ Sql });
    } catch (error) {
      // Two that make it at the same moment: one of them is told of the other.
      if (!says(error, /already exists|duplicate|23505|42P0[67]/i)) throw error;
    }
  }
  return false;
}

const says = (error: unknown, what: RegExp): boolean =>
  isMillraceError(error) && error.code === 'STATEMENT_FAILED' && what.test(error.message);
