import type { RowSchema, TargetProblem } from '@millrace/core/runtime';
import { keyTypes } from './key-type.ts';
import { sqlType } from './sql-type.ts';

/** Types that no column of MySQL holds, and keys that no index of it does. Where the table is there already, it speaks for itself. */
export function typeProblems(table: RowSchema & { readonly name: string }): TargetProblem[] {
  const keys = keyTypes(table);
  return table.columns.flatMap(({ name, type }): TargetProblem[] => {
    const found = keys.get(name) ?? sqlType(type);
    return 'refused' in found ? [{ message: `"${name}" of ${table.name}: ${found.refused}.`, remedy: found.remedy }] : [];
  });
}
