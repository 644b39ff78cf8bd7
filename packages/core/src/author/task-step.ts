import type { DatabaseConnection, DatabaseTask, SqlConnection } from '../connector/index.ts';
import type { RunValue } from './run-value.ts';

/** What a database does by itself: statements, a procedure call, checks that query it, or a task. */
export type ExecuteRequest =
  | {
      readonly kind: 'sql';
      readonly connection: SqlConnection;
      readonly statements: readonly BoundStatement[];
      readonly transaction: boolean;
    }
  | {
      readonly kind: 'call';
      readonly connection: SqlConnection;
      readonly procedure: string;
      readonly args: readonly Argument[];
      readonly transaction: boolean;
    }
  | { readonly kind: 'check'; readonly connection: SqlConnection; readonly expectations: readonly QueryExpectation[] }
  | { readonly kind: 'task'; readonly connection: DatabaseConnection; readonly task: DatabaseTask };

export type Argument = string | number | bigint | boolean | null | RunValue;

export interface BoundStatement {
  readonly text: string;
  readonly values: readonly Argument[];
}

/** A query that must return no rows (`violations`) or one row whose first column is true (`holds`). */
export interface QueryExpectation {
  readonly name: string;
  readonly severity: 'warn' | 'fail';
  readonly query: BoundStatement;
  readonly expect: 'violations' | 'holds';
}
