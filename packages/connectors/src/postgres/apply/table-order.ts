import type { TargetTable } from './target-table.ts';

/** Tables that others refer to by foreign keys first. In a circle the order is as it comes. */
export function referredFirst(targets: readonly TargetTable[]): TargetTable[] {
  const byName = new Map(targets.map((target) => [nameOf(target.real), target]));
  const ordered = new Set<TargetTable>();
  const visiting = new Set<TargetTable>();
  const visit = (target: TargetTable): void => {
    if (ordered.has(target) || visiting.has(target)) return;
    visiting.add(target);
    for (const { refersTo } of target.real.foreignKeys) {
      const other = byName.get(nameOf(refersTo));
      if (other) visit(other);
    }
    ordered.add(target);
  };
  for (const target of targets) visit(target);
  return [...ordered];
}

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string => JSON.stringify([schema, name]);
