import type { RowSchema, TargetProblem } from '@millrace/core/runtime';
import type { TableSettings } from './table-target.ts';

/** What can be seen from the declarations alone. */
export function problems({ table, mode }: Pick<TableSettings, 'table' | 'mode'>, input: RowSchema): TargetProblem[] {
  const found: TargetProblem[] = [];
  const incoming = new Map(input.columns.map((column) => [column.name, column]));
  const declared = new Set(table.columns.map(({ name }) => name));
  if (mode === 'merge' && !table.key?.length) {
    found.push({
      message: `Mode "merge" needs the key of ${table.name}.`,
      remedy: `Declare it: table('${table.name}', {…}, { key: ['id'] }).`,
    });
  }
  for (const { name, nullable } of table.columns) {
    const from = incoming.get(name);
    if (!from && !nullable)
      found.push({
        message: `Rows have no "${name}", which ${table.name} needs.`,
        remedy: 'Add it in a map(), or declare the column orNull().',
      });
    if (from?.nullable && !nullable && table.key?.includes(name)) {
      found.push({
        message: `"${name}" is in the key of ${table.name} and may be NULL in the rows.`,
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
  return found;
}
