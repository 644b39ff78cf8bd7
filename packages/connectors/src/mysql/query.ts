import { type Columns, MillraceError, type Table } from '@millrace/core/runtime';
import { DummyDriver, Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler } from 'kysely';
import type { RowQuery } from '../postgres/query.ts';
import { literal } from './literal.ts';

/** The SQL of a query, parameters written into it as literals. @throws PIPELINE_INVALID */
export function queryText<DB, C extends Columns>(as: Table<C>, build: (db: Kysely<DB>) => RowQuery<unknown>): string {
  const db = new Kysely<DB>({
    dialect: {
      createAdapter: () => new MysqlAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (of) => new MysqlIntrospector(of),
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

/** Kysely's compiler for MySQL, but for values: each becomes a literal where it stands. */
class LiteralCompiler extends MysqlQueryCompiler {
  protected override appendValue(value: unknown): void {
    this.append(literal(value));
  }
}
