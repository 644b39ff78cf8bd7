import { type CaptureSource, type Context, MillraceError, type SqlConnection } from '@millrace/core/runtime';
import type { TablePlace } from './mappings.ts';
import type { TableReading } from './read-file.ts';

/*
 * DMS tells nothing of a TRUNCATE of a Postgres source, and nothing that a file without names shows of columns that come, go or move. The
 * catalog does: a table that is truncated or written anew gets another file, and a column that is added gets another number. It is looked at
 * after files were listed and before they count, so what was done before a change in them has been seen.
 */

/** Of a table: its file at the server, and the columns that matter, in their order. */
export interface Shape {
  readonly file: string | null;
  readonly columns: string;
}

export type Shapes = Readonly<Record<string, Shape>>;

/** Null where the source cannot be asked, or is none of Postgres. */
export function shapesOf(
  native: CaptureSource,
  readings: ReadonlyMap<string, TableReading>,
): ((context: Context) => Promise<Shapes>) | null {
  const connection = native.connection as Partial<SqlConnection>;
  if (!connection.sql || connection.dialect !== 'postgres') return null;
  const runner = connection.sql();
  const tables = [...readings];
  const list = tables.map((_, at) => `($${at * 2 + 1}::text, $${at * 2 + 2}::text)`).join(', ');
  const names = tables.flatMap(([, { place }]) => [place.schema, place.table]);
  return async (context) => {
    const rows = await runner.query(
      `SELECT n.nspname AS schema, c.relname AS table, pg_relation_filenode(c.oid)::text AS file,
         (SELECT json_agg(json_build_array(a.attnum, a.attname) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)::text AS columns
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname, c.relname) IN (${list})`,
      names,
      context,
    );
    return Object.fromEntries(
      tables.flatMap(([name, reading]) => {
        const row = rows.find(({ schema, table }) => schema === reading.place.schema && table === reading.place.table);
        if (!row) return [[name, { file: null, columns: '' }]];
        const columns = JSON.parse(row['columns'] ?? '[]') as [number, string][];
        return [[name, { file: row['file'] ?? null, columns: shown(columns, reading) }]];
      }),
    );
  };
}

/** Where columns have no names in the files, all of them; else those that are declared. */
function shown(columns: readonly (readonly [number: number, name: string])[], { schema, reading }: TableReading): string {
  const isNamed = reading.transactions === null && (reading.format === 'parquet' || reading.csv.header);
  const declared = new Set(schema.columns.map(({ name }) => name));
  return columns
    .filter(([, name]) => !isNamed || declared.has(name))
    .map(([number, name]) => `${number} ${JSON.stringify(name)}`)
    .join(', ');
}

/** What has become of a table since its load. Null where nothing has. */
export function shapeProblem(name: string, place: TablePlace, was: Shape | undefined, is: Shape | undefined): MillraceError | null {
  if (was === undefined || is === undefined) return null;
  const shownName = `"${place.schema}"."${place.table}"`;
  const problem = (what: string, kind: 'columns' | 'file'): MillraceError =>
    new MillraceError('RESYNC_REQUIRED', {
      message: `${shownName} ${what} since DMS has loaded it, of which DMS says nothing.`,
      remedy:
        kind === 'columns'
          ? 'Declare the columns as they are, and run "millrace resync" to have DMS load the tables again.'
          : 'Run "millrace resync" to have DMS load the tables again, or reload this one in its console. Where it was VACUUM FULL or CLUSTER, rewritten: \'warn\' in dms() goes on.',
      facts: { table: name, kind },
    });
  if (was.columns !== is.columns) return problem('has got other columns', 'columns');
  return was.file === is.file ? null : problem('was truncated or written anew (TRUNCATE, ALTER TABLE, VACUUM FULL, CLUSTER)', 'file');
}
