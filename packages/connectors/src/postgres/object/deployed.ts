import type { LoadOwner } from '@millrace/core/runtime';
import type { Session } from '../client.ts';
import type { SqlObject } from './object.ts';

/** A file as it was deployed last. */
export interface DeployedFile {
  readonly file: string;
  readonly hash: string;
  readonly objects: readonly SqlObject[];
  /** Major version of the server that printed the definitions: another one may print them in other words. */
  readonly server: number;
}

/** What a step has deployed, by file name; nothing where the ledger is not there yet. */
export async function deployedBy({ pipeline, step }: LoadOwner, session: Session): Promise<DeployedFile[]> {
  const [there] = await session.query(`SELECT to_regclass('_millrace.sql_file') IS NOT NULL AS there`);
  if (there?.['there'] !== 't') return [];
  const rows = await session.query(
    'SELECT file, hash, objects, server FROM _millrace.sql_file WHERE pipeline = $1 AND step = $2 ORDER BY file COLLATE "C"',
    [pipeline, step],
  );
  return rows.map((row) => ({
    file: row['file'] as string,
    hash: row['hash'] as string,
    objects: JSON.parse(row['objects'] as string) as SqlObject[],
    server: Number(row['server']),
  }));
}

/** Files of the same name and content that another step has deployed: the step or the pipeline was renamed, or both keep the same folder. */
export async function takeOver(
  { pipeline, step }: LoadOwner,
  files: readonly { readonly name: string; readonly hash: string }[],
  session: Session,
): Promise<void> {
  await session.execute(
    `UPDATE _millrace.sql_file f SET pipeline = $1, step = $2
     FROM (SELECT DISTINCT ON (o.file) o.pipeline, o.step, o.file FROM _millrace.sql_file o
       JOIN jsonb_to_recordset($3::jsonb) AS w(name text, hash text) ON w.name = o.file AND w.hash = o.hash
       WHERE NOT EXISTS (SELECT FROM _millrace.sql_file own WHERE own.pipeline = $1 AND own.step = $2 AND own.file = o.file)
       ORDER BY o.file, o.deployed_at DESC) AS theirs
     WHERE (f.pipeline, f.step, f.file) = (theirs.pipeline, theirs.step, theirs.file)`,
    [pipeline, step, JSON.stringify(files.map(({ name, hash }) => ({ name, hash })))],
  );
}

export async function note(
  { pipeline, step }: LoadOwner,
  run: string,
  { file, hash, objects, server }: DeployedFile,
  session: Session,
): Promise<void> {
  await session.execute(
    `INSERT INTO _millrace.sql_file (pipeline, step, file, hash, objects, server, run) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (pipeline, step, file) DO UPDATE
     SET hash = excluded.hash, objects = excluded.objects, server = excluded.server, run = excluded.run, deployed_at = now()
     WHERE (sql_file.hash, sql_file.objects, sql_file.server) IS DISTINCT FROM (excluded.hash, excluded.objects, excluded.server)`,
    [pipeline, step, file, hash, JSON.stringify(objects), server, run],
  );
}

export async function forget({ pipeline, step }: LoadOwner, file: string, session: Session): Promise<void> {
  await session.execute('DELETE FROM _millrace.sql_file WHERE pipeline = $1 AND step = $2 AND file = $3', [pipeline, step, file]);
}
