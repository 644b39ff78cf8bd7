import type { DatabaseConnection, Step, StepOptions } from '@millrace/core/runtime';
import { readSqlFiles } from './sql-files.ts';
import { oneOf, taskStep } from './task-step.ts';

export interface SqlObjectsOptions extends StepOptions {
  /** What becomes of objects that no file makes any longer: `'tell'` (default) leaves them and says so in each run; `'drop'` drops them. Tables are never dropped. */
  readonly removed?: 'tell' | 'drop';
  /** What becomes of objects that somebody else has changed in the database: `'tell'` (default), or `'restore'`, which runs their file again. */
  readonly changed?: 'tell' | 'restore';
}

/**
 * Views, functions, procedures, triggers and types as files of SQL: `sqlObjects(warehouse, new URL('./sql/', import.meta.url))`. All `.sql`
 * files of the folder and of those in it, in the order of their names; the ones that have changed are run, all in one transaction. Let the
 * steps that use the objects come `after` it.
 */
export function sqlObjects(connection: DatabaseConnection, folder: URL, options: SqlObjectsOptions = {}): Step<never, 'nothing'> {
  const { removed = 'tell', changed = 'tell', ...rest } = options;
  oneOf('sqlObjects', 'removed', removed, ['tell', 'drop']);
  oneOf('sqlObjects', 'changed', changed, ['tell', 'restore']);
  const { path, files } = readSqlFiles(folder);
  return taskStep('sqlObjects', connection, { kind: 'objects', folder: path, files, removed, changed }, rest);
}
