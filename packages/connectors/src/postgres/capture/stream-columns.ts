import { type ColumnChange, type ColumnSchema, type ColumnType, type RowSchema, sameType } from '@millrace/core/runtime';
import { oneByOne } from '../../changes/renames.ts';
import { readable } from '../drift.ts';

/** A column as a relation of the stream has it. */
export interface NamedColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly typeOid: number;
  readonly modifier: number;
}

/** A column as the catalog, or a message of the trigger, has it. */
export interface SourceColumn extends NamedColumn {
  /** Its attnum: it stays when the column is renamed, and is never used again. */
  readonly number: number;
  readonly notNull: boolean;
  readonly fill: Fill;
}

/** What rows that were there before a column was added have in it. */
export type Fill =
  /** A constant as text, or null for NULL. */
  | { readonly kind: 'constant'; readonly value: string | null }
  /** Each row has one of its own, which the stream does not bring. */
  | { readonly kind: 'computed' };

/** A column of the rows that are handed on. */
export interface StreamColumn {
  readonly column: ColumnSchema;
  /** Where it is known. */
  readonly number: number | null;
  /** Place in the relation; -1 where it has no such column yet. */
  readonly source: number;
  /** The type at the source. */
  readonly from: ColumnType | null;
  readonly fill: Fill;
}

export interface ColumnsParts {
  readonly declared: RowSchema;
  /** Numbers of the declared columns, by name. */
  readonly declaredNumbers: Readonly<Record<string, number>>;
  /** Numbers of the columns there were when the table joined the stream, by name; null where nobody remembers. */
  readonly joined: Readonly<Record<string, number>> | null;
  /** Columns that the relation has here. */
  readonly relation: readonly NamedColumn[];
  /** Columns as they are known best: of the last message of the trigger, or of the catalog now. */
  readonly known: readonly SourceColumn[];
  /** Columns of the catalog when somebody last looked. */
  readonly catalog: readonly SourceColumn[];
  /** Numbers of declared columns that the stream has had under their declared names: other names come later. */
  readonly passed: ReadonlySet<number>;
}

const nothing: Fill = { kind: 'constant', value: null };

/**
 * The columns that rows have at a place in the stream. Pure; what it says does not depend on what came before in this session, so a stream that
 * is read again from any place says the same.
 *
 * - a column of the relation that is declared, by its name or, renamed since, by its number
 * - one that came after the table joined
 * - a declared one that the relation does not have yet, since the declaration is ahead of the stream: NULL
 */
export function columnsAt(parts: ColumnsParts): StreamColumn[] {
  const { declared, declaredNumbers, joined, relation, known } = parts;
  const isExact = sameColumns(relation, known);
  const knownByName = new Map(known.map((column) => [column.name, column]));
  const knownNumbers = new Set(known.map(({ number }) => number));
  const found = relation.map(({ name, type }, source) => {
    const exact = isExact ? known[source] : knownByName.get(name);
    // Where the catalog is ahead of the stream, a name means what it meant when the table was declared.
    const number = isExact ? exact?.number : (declaredNumbers[name] ?? joined?.[name] ?? exact?.number);
    return { name, type, source, number: number ?? null, known: exact?.number === number ? exact : undefined };
  });
  const taken = new Set<number>();
  const columns = declared.columns.flatMap((column): StreamColumn[] => {
    const number = declaredNumbers[column.name] ?? null;
    const here =
      (number !== null ? found.find((one) => one.number === number) : undefined) ??
      found.find((one) => one.name === column.name && (number === null || one.number === null));
    if (here) {
      taken.add(here.source);
      const type = readable(here.type, column.type) ? column.type : here.type;
      const nullable = column.nullable || here.known?.notNull === false;
      const isLater = here.name !== column.name && number !== null && isToBeRenamed(column.name, number, here.name, parts);
      return [
        {
          column: { name: isLater ? column.name : here.name, type, nullable },
          number,
          source: here.source,
          from: here.type,
          fill: nothing,
        },
      ];
    }
    const isToCome = !isExact && (number !== null ? knownNumbers.has(number) : knownByName.has(column.name));
    return isToCome ? [{ column, number, source: -1, from: null, fill: nothing }] : [];
  });
  const late = found.flatMap((one): StreamColumn[] => {
    if (taken.has(one.source) || joined === null || isJoined(one, joined)) return [];
    const { name, type, number, source } = one;
    return [
      { column: { name, type, nullable: one.known?.notNull !== true }, number, source, from: type, fill: one.known?.fill ?? nothing },
    ];
  });
  return [...columns, ...late];
}

/** Whether the declared name of a column is a later one than the name that it has in the stream here. */
function isToBeRenamed(declared: string, number: number, here: string, { joined, catalog, passed }: ColumnsParts): boolean {
  if (passed.has(number)) return false;
  const isNow = (name: string): boolean => catalog.some((column) => column.name === name && column.number === number);
  return joined === null ? isNow(declared) : joined[declared] !== number && !isNow(here);
}

const isJoined = (one: { readonly name: string; readonly number: number | null }, joined: Readonly<Record<string, number>>): boolean =>
  one.number === null ? joined[one.name] !== undefined : Object.values(joined).includes(one.number);

export function sameColumns(relation: readonly NamedColumn[], known: readonly NamedColumn[]): boolean {
  return (
    relation.length === known.length &&
    relation.every(({ name, typeOid, modifier }, at) => {
      const other = known[at] as NamedColumn;
      return name === other.name && typeOid === other.typeOid && modifier === other.modifier;
    })
  );
}

/**
 * What has to happen to a table to have the columns `after`, one thing after another. Drops come first, so that a name is free again. `name`: of
 * the table, at the source.
 *
 * @throws RESYNC_REQUIRED for columns that have taken one another's names
 */
export function columnChanges(name: string, before: readonly StreamColumn[], after: readonly StreamColumn[]): ColumnChange[] {
  const matches = new Map<StreamColumn, StreamColumn>();
  const left = new Set(before);
  for (const now of after) {
    const was = [...left].find((one) =>
      one.number !== null && now.number !== null ? one.number === now.number : one.column.name === now.column.name,
    );
    if (!was) continue;
    matches.set(now, was);
    left.delete(was);
  }
  const drops = [...left].map(({ column }): ColumnChange => ({ change: 'drop', name: column.name }));
  const renames: ColumnChange[] = [];
  const retypes: ColumnChange[] = [];
  const adds: ColumnChange[] = [];
  for (const now of after) {
    const was = matches.get(now)?.column;
    const { column } = now;
    if (!was) {
      adds.push({
        change: 'add',
        column,
        fill: now.fill.kind === 'constant' ? now.fill.value : null,
        ...(now.fill.kind === 'computed' && { computed: true }),
      });
      continue;
    }
    if (was.name !== column.name) renames.push({ change: 'rename', from: was.name, to: column.name });
    if (!sameType(was.type, column.type) || was.nullable !== column.nullable)
      retypes.push({ change: 'retype', name: column.name, from: { ...was, name: column.name }, to: column });
  }
  return [
    ...drops,
    ...oneByOne(
      name,
      renames.map((rename) => [rename]),
    ),
    ...retypes,
    ...adds,
  ];
}

/** The declared columns before the stream has said anything. */
export const declaredStreamColumns = (declared: RowSchema, numbers: Readonly<Record<string, number>>): StreamColumn[] =>
  declared.columns.map((column) => ({ column, number: numbers[column.name] ?? null, source: -1, from: null, fill: nothing }));

/** The key by the names that its columns have here; none where one of them is gone. */
export function keyAt(
  declared: RowSchema,
  numbers: Readonly<Record<string, number>>,
  columns: readonly StreamColumn[],
): string[] | undefined {
  const names = declared.key?.map((name) => {
    const number = numbers[name];
    return columns.find((one) => (number !== undefined && one.number !== null ? one.number === number : one.column.name === name))?.column
      .name;
  });
  return names?.every((name) => name !== undefined) ? (names as string[]) : undefined;
}
