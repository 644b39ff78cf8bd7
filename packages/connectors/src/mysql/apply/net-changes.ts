import type { ColumnChange, SchemaChange } from '@millrace/core/runtime';
import type { Act } from '../../postgres/apply/segments.ts';

/**
 * Changes of one table's columns that follow one another, as one: what was added and renamed has its last name, what was added and dropped
 * is dropped where it is there.
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

/** `formerly`: names that the column has had in between, the last one first; a target that went part of the way has it under one of these. */
export type NetChange = ColumnChange & { readonly formerly?: readonly string[] };

export function net(changes: readonly ColumnChange[]): NetChange[] {
  let list: NetChange[] = [];
  for (const change of changes) list = followed(list, change);
  return list;
}

function followed(list: readonly NetChange[], change: ColumnChange): NetChange[] {
  switch (change.change) {
    case 'add':
      return [...list, change];
    case 'drop':
      return dropped(list, { change: 'drop', name: change.name });
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

type Add = Extract<NetChange, { change: 'add' }>;
type Drop = Extract<NetChange, { change: 'drop' }>;
type Rename = Extract<NetChange, { change: 'rename' }>;

const addedAs = (list: readonly NetChange[], name: string): number =>
  list.findLastIndex((one) => one.change === 'add' && one.column.name === name);

const replaced = (list: readonly NetChange[], at: number, by: (add: Add) => NetChange): NetChange[] =>
  list.map((one, place) => (place === at ? by(one as Add) : one));

const known = (...names: readonly string[]): { formerly?: readonly string[] } => (names.length > 0 ? { formerly: names } : {});

/** In the place of what brought the column: what comes behind may use its names again. */
function dropped(list: readonly NetChange[], { name, formerly = [] }: Drop): NetChange[] {
  const added = addedAs(list, name);
  if (added >= 0) {
    const before = (list[added] as Add).formerly ?? [];
    return replaced(list, added, () => ({ change: 'drop', name, ...known(...formerly, ...before) }));
  }
  const moved = list.findLastIndex((one) => one.change === 'rename' && one.to === name);
  if (moved < 0) return [...list, { change: 'drop', name, ...known(...formerly) }];
  const { from } = list[moved] as Rename;
  return [...dropped(list.slice(0, moved), { change: 'drop', name: from, ...known(...formerly, name) }), ...list.slice(moved + 1)];
}

function renamed(list: readonly NetChange[], from: string, to: string): NetChange[] {
  const added = addedAs(list, from);
  if (added < 0) return [...list, { change: 'rename', from, to }];
  return replaced(list, added, (add) => ({
    ...add,
    column: { ...add.column, name: to },
    ...known(from, ...(add.formerly ?? [])),
  }));
}
