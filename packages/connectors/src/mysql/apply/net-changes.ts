import type { ColumnChange, SchemaChange } from '@millrace/core/runtime';
import type { Act } from '../../postgres/apply/segments.ts';

/**
 * Changes of one table's columns that follow one another, as one: what was added and dropped again never was.
 *
 * DDL that was done, and whose transaction was then broken off, is told of again by a source that has been started again: from the columns
 * that it was declared with to those before the DDL, which the target has left behind, and from there to those after it.
 */
export async function* netChanges(acts: AsyncIterable<Act> | Iterable<Act>): AsyncGenerator<Act> {
  let waiting = new Map<string, SchemaChange>();
  for await (const act of acts) {
    if (act.kind === 'schema') {
      const before = waiting.get(act.table);
      waiting.set(act.table, before ? { ...before, schema: act.schema, changes: net([...before.changes, ...act.changes]) } : act);
      continue;
    }
    yield* waiting.values();
    waiting = new Map();
    yield act;
  }
  yield* waiting.values();
}

export function net(changes: readonly ColumnChange[]): ColumnChange[] {
  let list: ColumnChange[] = [];
  for (const change of changes) list = followed(list, change);
  return list;
}

function followed(list: readonly ColumnChange[], change: ColumnChange): ColumnChange[] {
  switch (change.change) {
    case 'add':
      return [...list, change];
    case 'drop':
      return dropped(list, change.name);
    case 'rename':
      return renamed(list, change.from, change.to);
    case 'retype': {
      const added = addedAs(list, change.name);
      return added < 0 ? [...list, change] : replaced(list, added, (add) => ({ ...add, column: change.to }));
    }
    default:
      return change satisfies never;
  }
}

type Add = Extract<ColumnChange, { change: 'add' }>;

const addedAs = (list: readonly ColumnChange[], name: string): number =>
  list.findLastIndex((one) => one.change === 'add' && one.column.name === name);

const replaced = (list: readonly ColumnChange[], at: number, by: (add: Add) => Add): ColumnChange[] =>
  list.map((one, place) => (place === at ? by(one as Add) : one));

function dropped(list: readonly ColumnChange[], name: string): ColumnChange[] {
  const added = addedAs(list, name);
  if (added >= 0) return list.filter((_, place) => place !== added);
  const moved = list.findLastIndex((one) => one.change === 'rename' && one.to === name);
  if (moved < 0) return [...list, { change: 'drop', name }];
  const { from } = list[moved] as Extract<ColumnChange, { change: 'rename' }>;
  return [...list.filter((_, place) => place !== moved), { change: 'drop', name: from }];
}

function renamed(list: readonly ColumnChange[], from: string, to: string): ColumnChange[] {
  const added = addedAs(list, from);
  if (added >= 0) return replaced(list, added, (add) => ({ ...add, column: { ...add.column, name: to } }));
  return [...list, { change: 'rename', from, to }];
}
