import { type Columns, MillraceError, type RowOf, type Table } from '@millrace/core/runtime';
import { type Compilable, DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import { literal } from './literal.ts';

/** A query that answers with rows of type `Row`: what Kysely's builders are. */
export type RowQuery<Row> = Compilable<Row>;

/**
 * The names of a query's columns must be those of the table that says what they are. `as` gives their types: Kysely knows what its
 * user has told it, and a plan needs the types of the database.
 */
export type NamesOf<C extends Columns, Row> = keyof C extends keyof Row
  ? keyof Row extends keyof C
    ? unknown
    : MissingFromAs<Exclude<keyof Row, keyof C>>
  : MissingFromQuery<Exclude<keyof C, keyof Row>>;
interface MissingFromAs<Name> {
  readonly 'the query selects a column that `as` does not declare': Name;
}
interface MissingFromQuery<Name> {
  readonly '`as` declares a column that the query does not select': Name;
}

/** The SQL of a query, parameters written into it as literals, for COPY takes none. @throws PIPELINE_INVALID */
export function queryText<DB, C extends Columns>(
  as: Table<C>,
  build: (db: Kysely<DB>) => RowQuery<RowOf<Table<C>>> | RowQuery<unknown>,
): string {
  const db = new Kysely<DB>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (of) => new PostgresIntrospector(of),
      createQueryCompiler: () => new LiteralCompiler(),
    },
  });
  const { sql, parameters, query } = build(db).compile();
  const reads = query.kind === 'SelectQueryNode' || query.kind === 'RawNode';
  if (!reads || parameters.length > 0) {
    throw new MillraceError('PIPELINE_INVALID', {
      message: `The query "${as.name}" is not a SELECT.`,
      remedy: 'Build it with selectFrom(); statements that change something belong into sql() or call().',
    });
  }
  return sql;
}

/** Kysely's compiler for Postgres, but for values: each becomes a literal where it stands. */
class LiteralCompiler extends PostgresQueryCompiler {
  protected override appendValue(value: unknown): void {
    this.append(literal(value));
  }
}
