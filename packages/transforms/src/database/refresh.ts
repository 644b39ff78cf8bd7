import type { DatabaseConnection, Step, StepOptions } from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';
import { checkName, oneOf, taskStep } from './task-step.ts';

export interface RefreshOptions extends StepOptions {
  /**
   * `true`: whoever reads goes on reading the old rows meanwhile; the view needs a unique index, and changing few rows of many is quicker
   * this way. `false` (default): readers wait. Redshift's readers never do.
   */
  readonly concurrently?: boolean;
}

/**
 * Refreshes materialized views: `refresh(warehouse, 'analytics.daily_sales', { concurrently: true, after: [copied] })`. Of several, those
 * that others read come before these, and all are there at once.
 */
export function refresh(
  connection: DatabaseConnection,
  views: string | readonly string[],
  options: RefreshOptions = {},
): Step<never, 'nothing'> {
  const { concurrently = false, ...rest } = options;
  const list = (typeof views === 'string' ? [views] : [...views]).map((view) => checkName('refresh', view, 'materialized view'));
  if (list.length === 0) throw invalid('refresh: there is no view.', 'Name at least one.');
  const twice = list.find((view, at) => list.indexOf(view) < at);
  if (twice !== undefined) throw invalid(`refresh: ${twice} is named twice.`, 'Name it once.');
  return taskStep(
    'refresh',
    connection,
    { kind: 'refresh', views: list, concurrently: oneOf('refresh', 'concurrently', concurrently, [true, false]) },
    rest,
  );
}
