import { extract, load, MillraceError, pipeline, type Step, type Table, table, int4, type Target } from '@millrace/core';
import { postgres } from '@millrace/connectors/postgres';
import { isMillraceError } from '@millrace/core/runtime';
import type { TestDatabase } from '../postgres.ts';
import { runPipeline } from '../run-pipeline.ts';
import type { MatrixType } from './values.ts';

/** One way from a table to a table: everything between the two is what is tested. */
export interface Way {
  readonly name: string;
  /** Runs it, throwing what the pipeline throws. `table` has the columns `n` and `v` and stands as `source` and as `target`. */
  run(database: TestDatabase, tables: { readonly source: Table; readonly target: Table }, directory: string): Promise<void>;
}

/** What became of a type's values on a way: nothing differs, and these were refused with these codes. */
export interface Outcome {
  /** Values that arrived as something else: there must be none. */
  readonly changed: readonly string[];
  readonly refused: Readonly<Record<string, string>>;
}

/**
 * Sends all values of a type (and NULL) at once; where the load is refused, each one alone. Postgres itself compares source and target,
 * by the text it prints.
 */
export async function travel(way: Way, type: MatrixType, database: TestDatabase, directory: string): Promise<Outcome> {
  const columns = { n: int4(), v: type.column.orNull() };
  const tables = { source: table('matrix_source', columns, { key: ['n'] }), target: table('matrix_target', columns, { key: ['n'] }) };
  const whole = await attempt(way, type, [null, ...type.values], tables, database, directory);
  if (whole.code === null) return { changed: whole.changed, refused: {} };
  const changed: string[] = [];
  const refused: Record<string, string> = {};
  for (const value of type.values) {
    const alone = await attempt(way, type, [null, value], tables, database, directory);
    if (alone.code !== null) refused[value] = alone.code;
    changed.push(...alone.changed);
  }
  return { changed, refused };
}

async function attempt(
  way: Way,
  type: MatrixType,
  values: readonly (string | null)[],
  tables: { readonly source: Table; readonly target: Table },
  database: TestDatabase,
  directory: string,
): Promise<{ readonly code: string | null; readonly changed: string[] }> {
  await database.sql('drop table if exists matrix_source, matrix_target');
  await database.sql(`create table matrix_source (n int4 primary key, v ${type.sql})`);
  await database.sql(`create table matrix_target (n int4 primary key, v ${type.sql})`);
  for (const [n, value] of values.entries()) await database.sql(`insert into matrix_source values ($1, $2::text::${type.sql})`, [n, value]);
  try {
    await way.run(database, tables, directory);
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    if (error.code === 'INTERNAL' || error.remedy === '') throw new Error(`${type.name} by ${way.name}: refused without a proper code`, { cause: error });
    const left = await database.sql<{ count: string }>('select count(*) from matrix_target');
    return { code: error.code, changed: left[0]?.count === '0' ? [] : [`${error.code}, and yet ${left[0]?.count} rows arrived`] };
  }
  const different = await database.sql<{ n: number; source: string | null; target: string | null }>(
    `select n, left(s.v::text, 80) as source, left(t.v::text, 80) as target from matrix_source s full join matrix_target t using (n)
     where s.v::text is distinct from t.v::text or s.n is null or t.n is null`,
  );
  return { code: null, changed: different.map(({ n, source, target }) => `row ${n}: ${source} became ${target}`) };
}

/** A copy within one database, through the given transforms. */
export function copyWay(name: string, through: (rows: Step<never, 'rows'>, tables: { readonly target: Table }) => Step<never, 'rows'>, lane: string): Way {
  return {
    name,
    async run(database, { source, target }) {
      const shop = postgres({ url: database.url });
      const rows = extract(shop, source) as Step<never, 'rows'>;
      const last = through(rows, { target });
      const loaded = load(last, shop.table(target, { mode: 'append' }) as unknown as Target<never, 'rows', 'table'>);
      const steps: Record<string, Step> = { rows, ...(last === rows ? {} : { last }), loaded };
      const { plan } = await runPipeline(pipeline({ name: 'matrix', steps }));
      if (plan.stages[0]?.lane !== lane) {
        throw new MillraceError('INTERNAL', { message: `The planner took the ${plan.stages[0]?.lane} lane.`, remedy: 'Mend the test.' });
      }
    },
  };
}
