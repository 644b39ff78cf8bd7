import { type ColumnChange, type ColumnSchema, fidelity, type SchemaChange, sameType } from '@millrace/core/runtime';

/** A target's table, as far as its columns go. */
export interface ColumnsThere {
  has(name: string): boolean;
  /** Whether the column that is there under this name is of the type that `column` would get. */
  isOf(name: string, column: ColumnSchema): boolean;
}

/** What is left of a change to be done. `unclear`: the end of a sentence that begins with the table. */
export type Standing = 'todo' | 'done' | { readonly unclear: string };

/**
 * Whether a table has had one of these changes of its columns before. A source that begins again tells once more, in one list, what has happened
 * since the columns were declared, and a name in it may be that of the column which has given it up or of the one which has taken it.
 *
 * Where nobody can tell which, the table must be copied again: what would be done twice is a column emptied, what would be left out is a
 * column with the values of another.
 */
export function standing(
  { changes, retold = false }: Pick<SchemaChange, 'changes' | 'retold'>,
  at: number,
  there: ColumnsThere,
  declared: readonly ColumnSchema[],
): Standing {
  const change = changes[at];
  const later = changes.slice(at + 1);
  switch (change?.change) {
    case 'drop':
      if (retold) return ofDrop(change.name, later, there, declared);
      return there.has(change.name) ? 'todo' : 'done';
    case 'rename': {
      const { from, to } = change;
      if (!there.has(from)) return 'done';
      if (!there.has(to)) return 'todo';
      const isKept = changes.slice(0, at).some((one) => one.change === 'drop' && one.name === to);
      if (!isKept && comesAgain(from, later)) return 'done';
      return { unclear: `calls its column "${from}" "${to}" now, where another of that name has been kept,` };
    }
    default:
      return 'todo';
  }
}

function ofDrop(name: string, later: readonly ColumnChange[], there: ColumnsThere, declared: readonly ColumnSchema[]): Standing {
  if (!there.has(name)) return 'done';
  const unclear = { unclear: `has given up its column "${name}" and has another of that name now` };
  const renamed = later.find((one) => one.change === 'rename' && one.to === name);
  if (renamed?.change === 'rename') {
    if (!there.has(renamed.from)) return 'done';
    return comesAgain(renamed.from, later) ? unclear : 'todo';
  }
  const added = later.find((one) => one.change === 'add' && one.column.name === name);
  const before = declared.find((column) => column.name === name);
  // What came with the stream is in no list that begins with the declaration.
  if (added?.change !== 'add' || !before) return 'todo';
  const isOld = there.isOf(name, before);
  const isNew = there.isOf(name, added.column);
  if (isOld && !isNew) return 'todo';
  // The old one, widened, could look like the new one.
  const cannotBeOld = fidelity(before.type, added.column.type) === 'lossy' && !sameType(before.type, added.column.type);
  return isNew && !isOld && cannotBeOld ? 'done' : unclear;
}

const comesAgain = (name: string, later: readonly ColumnChange[]): boolean =>
  later.some((one) => (one.change === 'add' && one.column.name === name) || (one.change === 'rename' && one.to === name));
