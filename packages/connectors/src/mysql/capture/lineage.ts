import type { ColumnStep, StepFill } from '../binlog/alter-table.ts';
import { unfollowable } from '../binlog/corrupt.ts';

/** A column that keeps its number whatever it is called; a number is never used again. JSON. */
export interface KnownColumn {
  readonly number: number;
  readonly name: string;
  /** As the catalog calls its type, since the log cannot tell all of them apart: `uuid`, `json`. Absent where no statement has told. */
  readonly type?: string;
}

/** The columns of a table when it joined a stream, or joined it anew. JSON: kept at the source. */
export interface Joined {
  readonly columns: readonly KnownColumn[];
  /** The number of the next column that comes. */
  readonly next: number;
  /** Which columns the declaration means, by the names that it has for them. */
  readonly declared: Readonly<Record<string, number>>;
}

/** Something that happened to a table's columns, at a place of the stream. */
export type Event =
  | { readonly kind: 'join'; readonly at: string; readonly joined: Joined }
  | { readonly kind: 'alter'; readonly at: string; readonly steps: readonly ColumnStep[] };

/** The columns of a table at a place of the stream. */
export interface Lineage {
  /** When it joined last. */
  readonly joined: Joined;
  readonly columns: readonly (KnownColumn & { readonly fill: StepFill | null })[];
  readonly next: number;
}

export const begun = (joined: Joined): Lineage => ({
  joined,
  columns: joined.columns.map((column) => ({ ...column, fill: null })),
  next: joined.next,
});

/** When a table joined, with its columns then. A copy that was begun later than the one at `copied` does not count: it may never come to its end. */
export function joinOf(events: readonly Event[], copied: string): Extract<Event, { kind: 'join' }> | null {
  const joins = inOrder(events).filter((event) => event.kind === 'join');
  return joins.findLast(({ at }) => at <= copied) ?? joins[0] ?? null;
}

/**
 * Pure. What is known at a place follows from what is kept at the source alone, so a stream that is read again from any place says the same.
 * `copied` is the place of the copy that is followed. Names of columns are compared as MySQL does, without regard to case.
 */
export function lineageAt(events: readonly Event[], place: string, copied = place): Lineage | null {
  const join = joinOf(events, copied);
  if (!join) return null;
  let lineage = begun(join.joined);
  for (const event of inOrder(events))
    if (event.kind === 'alter' && event.at >= join.at && event.at < place) lineage = altered(lineage, event.steps);
  return lineage;
}

const inOrder = (events: readonly Event[]): Event[] => [...events].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));

/**
 * After an ALTER TABLE, whose steps happen at once: all of them name columns as they were before it, but those that come. A step that has been done
 * already (IF NOT EXISTS, IF EXISTS) does nothing.
 */
export function altered(lineage: Lineage, steps: readonly ColumnStep[]): Lineage {
  const kept = lineage.columns.flatMap((column) => {
    if (steps.some((step) => step.do === 'drop' && same(step.name, column.name))) return [];
    const renamed = steps.find((step) => step.do === 'rename' && same(step.from, column.name));
    const retyped = steps.findLast((step) => step.do === 'retype' && same(step.name, column.name));
    return [
      {
        ...column,
        ...(renamed?.do === 'rename' && { name: renamed.to }),
        ...(retyped?.do === 'retype' && { type: retyped.type }),
      },
    ];
  });
  let { next } = lineage;
  const added = steps.flatMap((step) => {
    if (step.do !== 'add' || kept.some(({ name }) => same(name, step.name))) return [];
    return [{ number: next++, name: step.name, fill: step.fill, ...(step.type !== undefined && { type: step.type }) }];
  });
  return { ...lineage, columns: [...kept, ...added], next };
}

export const named = ({ columns }: Lineage, name: string): KnownColumn | undefined => columns.find((column) => same(column.name, name));

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

/** Those of `names`, in their order, as they are numbered; null where they are not the ones that are known. */
export function numbered(lineage: Lineage, names: readonly string[]): (KnownColumn & { readonly fill: StepFill | null })[] | null {
  const found = names.map((name) => lineage.columns.find((column) => same(column.name, name)));
  return found.length === lineage.columns.length && found.every((column) => column !== undefined)
    ? found.map((column, place) => ({ ...column, name: names[place] ?? '' }))
    : null;
}

/**
 * For a table that has other columns than every statement in the log accounts for: somebody altered it with sql_log_bin off, say. What has come
 * must have been added, what has gone dropped; both at once could be a new name.
 *
 * @throws RESYNC_REQUIRED
 */
export function guessed(lineage: Lineage, names: readonly string[], table: string): ColumnStep[] {
  const added = names.filter((name) => !lineage.columns.some((column) => same(column.name, name)));
  const dropped = lineage.columns.filter(({ name }) => !names.some((one) => same(one, name))).map(({ name }) => name);
  if (added.length > 0 && dropped.length > 0) {
    throw unfollowable(
      `${table} has ${list(added)} now, and ${list(dropped)} no more, and no ALTER TABLE in the log says which became which.`,
      'Alter captured tables with sql_log_bin on.',
      { table, added, dropped },
    );
  }
  return [
    ...dropped.map((name): ColumnStep => ({ do: 'drop', name })),
    ...added.map((name): ColumnStep => ({ do: 'add', name, fill: { kind: 'computed' } })),
  ];
}

const list = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

/** A table that joins now, of which something may be known from before: a column keeps the number that it had. `types` are those of the catalog. */
export function joinedNow(
  names: readonly string[],
  before: Lineage | null,
  declared: readonly string[] = names,
  types: Readonly<Record<string, string>> = {},
): Joined {
  let next = before?.next ?? 1;
  const columns = names.map((name): KnownColumn => {
    const known = before?.columns.find((column) => same(column.name, name));
    const type = types[name];
    return { number: known?.number ?? next++, name, ...(type !== undefined && { type }) };
  });
  return { columns, next, declared: numbersNow(declared, columns) };
}

/** Of declared columns, where they are there. */
export const numbersNow = (declared: readonly string[], columns: readonly KnownColumn[]): Record<string, number> =>
  Object.fromEntries(
    declared.flatMap((name) => {
      const column = columns.find((one) => same(one.name, name));
      return column ? [[name, column.number]] : [];
    }),
  );
