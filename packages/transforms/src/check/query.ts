import type { Argument, BoundStatement } from '@millrace/core/runtime';
import { boundStatement } from '../statement.ts';

/** A check that is a query of its own. */
export interface QueryCheck {
  readonly kind: 'query-check';
  readonly name: string;
  readonly severity: 'warn' | 'fail';
  readonly expect: 'violations' | 'holds';
  readonly statement: BoundStatement;
  /** The same, but where it does not hold the run goes on and says so. */
  warn(): QueryCheck;
}

export interface QueryOptions {
  /** Values for `$1`, `$2`, …: `[run.date]`. */
  readonly args?: readonly Argument[];
  /** `'violations'` (default): the query must give no rows. `'holds'`: it gives one row, whose first column must be true. */
  readonly expect?: 'violations' | 'holds';
}

/** `query('no orphan orders', 'SELECT o.id FROM orders o LEFT JOIN customers c ON … WHERE c.id IS NULL')` */
export function query(name: string, text: string, options: QueryOptions = {}): QueryCheck {
  const { args = [], expect = 'violations' } = options;
  return made(name, boundStatement('query', text, args), expect, 'fail');
}

function made(name: string, statement: BoundStatement, expect: QueryCheck['expect'], severity: QueryCheck['severity']): QueryCheck {
  return Object.freeze({ kind: 'query-check', name, severity, expect, statement, warn: () => made(name, statement, expect, 'warn') });
}
