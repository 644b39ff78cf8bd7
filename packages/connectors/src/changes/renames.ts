import { type ColumnChange, MillraceError } from '@millrace/core/runtime';

/**
 * New names of columns, in an order in which each is free when it is taken: targets rename one after another. What belongs to one column comes
 * together, its last name last. `name`: of the table, at the source.
 *
 * @throws RESYNC_REQUIRED for columns that have taken one another's names
 */
export function oneByOne(name: string, renames: readonly (readonly ColumnChange[])[]): ColumnChange[] {
  const left = renames.filter((changes) => changes.length > 0);
  const ordered: ColumnChange[] = [];
  while (left.length > 0) {
    const taken = left.flatMap((changes) => changes.map((change) => (change.change === 'rename' ? change.from : '')));
    const at = left.findIndex((changes) => {
      const last = changes.at(-1);
      return (
        last?.change === 'rename' && (!taken.includes(last.to) || changes.some((one) => one.change === 'rename' && one.from === last.to))
      );
    });
    // By way of a name of our own it would be done twice, and so undone, where a target breaks off behind it.
    if (at < 0) throw swapped(name, left.flat());
    ordered.push(...left.splice(at, 1).flat());
  }
  return ordered;
}

function swapped(name: string, changes: readonly ColumnChange[]): MillraceError {
  const told = changes.flatMap((change) => (change.change === 'rename' ? [`"${change.from}" is "${change.to}" now`] : []));
  return new MillraceError('RESYNC_REQUIRED', {
    message: `Columns of ${name} have taken one another's names (${told.join(', ')}), and targets rename one after another.`,
    remedy: 'There is nothing to set. Run "millrace resync" to copy the table again. Nothing was skipped.',
    facts: { table: name },
  });
}
