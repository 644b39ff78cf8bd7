import { MillraceError, type StreamTables, type TargetProblem } from '@millrace/core/runtime';
import { typeProblems } from '../sink/type-problems.ts';
import { type ApplySettings, targetName } from './settings.ts';

/** What can be seen from the declarations alone. */
export function problems(settings: ApplySettings, tables: StreamTables): TargetProblem[] {
  const found: TargetProblem[] = [];
  const names = new Map<string, string>();
  for (const table of Object.keys(settings.names)) {
    if (!Object.hasOwn(tables, table))
      found.push({
        message: `apply() names the table "${table}", which the capture does not bring.`,
        remedy: `Its tables are ${Object.keys(tables).join(', ')}.`,
      });
  }
  for (const [table, schema] of Object.entries(tables)) {
    const name = targetName(settings, table, schema);
    const other = names.get(name);
    if (other !== undefined)
      found.push({
        message: `The tables "${other}" and "${table}" would both go to ${name}.`,
        remedy: `Name one of them otherwise: apply({ tables: { ${table}: { name: '…' } } }).`,
      });
    names.set(name, table);
    if (!schema.key?.length)
      found.push({
        message: `The table "${table}" has no key, and rows of MySQL are found by it alone.`,
        remedy: `Declare it: table('…', {…}, { key: ['id'] }); or leave the table out.`,
      });
    if (settings.create) found.push(...typeProblems({ name, columns: schema.columns, ...(schema.key && { key: schema.key }) }));
  }
  return found;
}

/** Shared with begin(), which must not trust that somebody looked. @throws PIPELINE_INVALID */
export function assertApplicable(settings: ApplySettings, tables: StreamTables): void {
  const [first] = problems(settings, tables);
  if (first) throw new MillraceError('PIPELINE_INVALID', first);
}
