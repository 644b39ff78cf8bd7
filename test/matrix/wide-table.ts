import { int4, type Table, table } from '@millrace/core';
import { quoteIdentifier } from '../../packages/connectors/src/postgres/identifier.ts';
import type { TestDatabase } from '../postgres.ts';
import type { MatrixType } from './values.ts';

/** One table with a column for each type: a single load carries values of all of them. */
export interface WideTables {
  readonly types: readonly MatrixType[];
  readonly source: Table;
  readonly target: Table;
}

export type ValuesOf = (type: MatrixType) => readonly (string | null)[];

/** Makes both tables and fills the source: row 0 is NULL in every column, row 1 holds the first value of each type, and so on. */
export async function wideTables(database: TestDatabase, types: readonly MatrixType[], values: ValuesOf): Promise<WideTables> {
  const declared = { n: int4(), ...Object.fromEntries(types.map(({ name, column }) => [name, column.orNull()])) };
  const ddl = types.map(({ name, sql }) => `, ${quoteIdentifier(name)} ${sql}`).join('');
  await database.sql('drop table if exists matrix_source, matrix_target');
  for (const name of ['matrix_source', 'matrix_target']) await database.sql(`create table ${name} (n int4 primary key${ddl})`);
  const lists = types.map((_, at) => `unnest($${at + 1}::text[])`).join(', ');
  const names = types.map((_, at) => `v${at}`).join(', ');
  await database.sql(
    `insert into matrix_source select n - 1, ${types.map(({ sql }, at) => `v${at}::${sql}`).join(', ')} from rows from (${lists}) with ordinality u(${names}, n)`,
    types.map((type) => [null, ...values(type)]),
  );
  return { types, source: table('matrix_source', declared, { key: ['n'] }), target: table('matrix_target', declared, { key: ['n'] }) };
}

/** What differs between source and target in the text that Postgres prints; nothing where every value has arrived to the letter. */
export async function differences(database: TestDatabase, { types }: WideTables): Promise<string[]> {
  const columns = types.map(({ name }) => quoteIdentifier(name));
  const differing = columns.map((column) => `s.${column}::text is distinct from t.${column}::text`).join(' or ');
  const rows = await database.sql<Record<string, string | null>>(
    `select n::text as n, s.n is null as added, t.n is null as lost, ${columns.map((column, at) => `s.${column}::text as s${at}, t.${column}::text as t${at}`).join(', ')}
     from matrix_source s full join matrix_target t using (n) where s.n is null or t.n is null or ${differing} order by n limit 20`,
  );
  return rows.flatMap((row) => {
    if (row['lost']) return [`row ${row['n']} is lost`];
    if (row['added']) return [`row ${row['n']} was added`];
    return types.flatMap(({ name }, at) =>
      row[`s${at}`] === row[`t${at}`] ? [] : [`${name}: ${shown(row[`s${at}`])} became ${shown(row[`t${at}`])}`],
    );
  });
}

export const shown = (value: string | null | undefined): string =>
  value === null || value === undefined ? 'NULL' : value.length > 60 ? `${value.slice(0, 40)}… (${value.length} characters)` : value;
