import type { Context } from './context.ts';
import type { Fence } from './sink.ts';

/** SQL and procedures: work that a database does by itself when asked. */
export interface SqlRunner {
  /**
   * Runs the statements in one transaction together with a note of `id`, so that a repeated attempt finds the note and does
   * nothing. With `transaction: false` (a procedure that commits by itself) the note follows the work: at least once.
   */
  execute(request: SqlRequest, context: Context): Promise<SqlResult>;
  /** A read-only query, for checks. Values as text. */
  query(text: string, values: readonly (string | null)[], context: Context): Promise<Record<string, string | null>[]>;
}

export interface SqlRequest {
  readonly id: string;
  readonly fence: Fence;
  readonly statements: readonly SqlStatement[];
  readonly transaction: boolean;
}

/** Values are bound, never written into the text. */
export interface SqlStatement {
  readonly text: string;
  readonly values: readonly (string | number | bigint | boolean | null)[];
}

export interface SqlResult {
  /** True where an earlier attempt had done it. */
  readonly alreadyDone: boolean;
  readonly rowsAffected: readonly (number | null)[];
  readonly notices: readonly string[];
}
