import { MillraceError, type RowSchema, type TargetProblem } from '@millrace/core/runtime';
import type { TableSettings } from './load-work.ts';

/** Of a table of any database. */
type Loading = Pick<TableSettings, 'table' | 'mode' | 'history'>;

/** What can be seen from the declarations alone. */
export function problems(settings: Loading, input: RowSchema): TargetProblem[] {
  const { table, mode, history } = settings;
  const found: TargetProblem[] = [];
  const incoming = new Map(input.columns.map((column) => [column.name, column]));
  const declared = new Set(table.columns.map(({ name }) => name));
  if ((mode === 'merge' || mode === 'history') && !table.key?.length) {
    found.push({
      message: `Mode "${mode}" needs the key of ${table.name}.`,
      remedy: `Declare it: table('${table.name}', {…}, { key: ['id'] }).`,
    });
  }
  for (const column of table.columns) {
    const from = incoming.get(column.name);
    if (!from && !column.nullable) {
      found.push({
        message: `Rows have no "${column.name}", which ${table.name} needs.`,
        remedy: `Add it in a map(), or declare the column orNull().`,
      });
    }
    if (from?.nullable && !column.nullable && table.key?.includes(column.name)) {
      found.push({
        message: `"${column.name}" is in the key of ${table.name} and may be NULL in the rows.`,
        remedy: 'Leave rows without a key out with filter().',
      });
    }
  }
  for (const { name } of input.columns) {
    if (!declared.has(name))
      found.push({
        message: `Rows have a "${name}", which ${table.name} does not.`,
        remedy: `Leave it out with select(), or add it to table('${table.name}').`,
      });
  }
  for (const name of history ? Object.values(history) : []) {
    if (declared.has(name))
      found.push({
        message: `"${name}" of ${table.name} is a column that the history fills.`,
        remedy: 'Take it out of the table() declaration, or name the history columns otherwise.',
      });
  }
  return found;
}

/** Shared with begin(), which must not trust that somebody looked. @throws PIPELINE_INVALID */
export function assertLoadable(settings: Loading, input: RowSchema): void {
  const [first] = problems(settings, input);
  if (first) throw new MillraceError('PIPELINE_INVALID', first);
}
