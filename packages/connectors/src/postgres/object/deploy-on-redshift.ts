import { isMillraceError, MillraceError, type ObjectsTask } from '@millrace/core/runtime';
import type { Doing } from '../task/doing.ts';

const table =
  'CREATE TABLE IF NOT EXISTS _millrace.sql_file (pipeline varchar(256) NOT NULL, step varchar(256) NOT NULL, file varchar(1024) NOT NULL, hash varchar(64) NOT NULL, run varchar(256) NOT NULL, deployed_at timestamptz NOT NULL) DISTSTYLE ALL';

/**
 * Redshift's catalog does not tell which statement made what. So the files that have changed are run as they stand, in one transaction:
 * nothing is dropped, and changes of others are not seen. Commits come one after another behind the lock of the ledger.
 */
export async function deployOnRedshift({ files }: ObjectsTask, { session, context, owner, tell }: Doing): Promise<(number | null)[]> {
  await session.execute(table);
  const rows = await session.query('SELECT file, hash FROM _millrace.sql_file WHERE pipeline = $1 AND step = $2', [
    owner.pipeline,
    owner.step,
  ]);
  const deployed = new Map(rows.map((row) => [row['file'], row['hash']]));
  for (const { name, hash, text } of files) {
    if (deployed.get(name) === hash) continue;
    try {
      await session.execute(text);
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      throw new MillraceError(error.code, {
        message: `${JSON.stringify(name)}: ${error.message}`,
        remedy: error.remedy,
        facts: { ...error.facts, file: name },
      });
    }
    await session.execute('DELETE FROM _millrace.sql_file WHERE pipeline = $1 AND step = $2 AND file = $3', [
      owner.pipeline,
      owner.step,
      name,
    ]);
    await session.execute(
      'INSERT INTO _millrace.sql_file (pipeline, step, file, hash, run, deployed_at) VALUES ($1, $2, $3, $4, $5, getdate())',
      [owner.pipeline, owner.step, name, hash, context.run.id],
    );
    tell(`${name}: ${deployed.has(name) ? 'deployed anew' : 'deployed'}`);
  }
  const names = new Set(files.map(({ name }) => name));
  for (const file of deployed.keys()) if (!names.has(file as string)) tell(`${file} is gone from the folder; what it made is still there`);
  return [];
}
