import { baseType, type ColumnSchema, type ColumnType, conform, inColumn, MillraceError, mismatch } from '@millrace/core/runtime';
import { elementsOf, type Fields, type Found, parseRecord } from './json/parse.ts';

/** Where a column's value is: a path within the row's record, or within the one around it, in whose list the row stands. */
export interface FieldPlace {
  readonly path: readonly string[];
  readonly outer: boolean;
}

/**
 * How records become rows of a table. Without `each` a record is a row; with it each element of that list within a record is one.
 * What a record does not have is NULL. Which JSON becomes which type is the table in `docs/connectors/http.md`.
 *
 * @throws WIRE_CORRUPT for what is no JSON, TYPE_MISMATCH with the column's name for what does not fit
 */
export function recordReader(
  columns: readonly ColumnSchema[],
  places: readonly FieldPlace[],
  each: readonly string[] | null,
): (text: string) => unknown[][] {
  const converters = columns.map(converterOf);
  const width = columns.length;
  const placesWhere = (outer: boolean) => places.flatMap((place, column) => (place.outer === outer ? [{ path: place.path, column }] : []));
  const own = fieldsOf(placesWhere(false));
  if (each === null) {
    return (text) => {
      const found = parseRecord(text, own, width);
      return [converters.map((convert, column) => convert(found[column]!))];
    };
  }
  const around = fieldsOf([...placesWhere(true), { path: each, column: width }]);
  return (text) => {
    const outer = parseRecord(text, around, width + 1);
    const list = outer[width]!;
    if (list.is === 'absent' || list.is === 'null') return [];
    if (list.is !== 'list') throw notAList(each);
    return elementsOf(list.text).map((element) => {
      const inner = parseRecord(textOf(element), own, width);
      return converters.map((convert, column) => convert((places[column]!.outer ? outer : inner)[column]!));
    });
  };
}

function fieldsOf(wanted: readonly { readonly path: readonly string[]; readonly column: number }[]): Fields {
  type Growing = { readonly inside: Map<string, Growing>; readonly columns: number[] };
  const root: Growing = { inside: new Map(), columns: [] };
  for (const { path, column } of wanted) {
    let at = root;
    for (const name of path) {
      const next = at.inside.get(name) ?? { inside: new Map(), columns: [] };
      at.inside.set(name, next);
      at = next;
    }
    at.columns.push(column);
  }
  return root;
}

type Convert = (found: Found) => unknown;

function converterOf({ name, type, nullable }: ColumnSchema): Convert {
  const convert = valueFor(type);
  return (found) => {
    if (found.is === 'null' || found.is === 'absent') {
      if (nullable) return null;
      const why = found.is === 'null' ? 'it is null and the column is not nullable' : 'the record does not have it';
      throw inColumn(
        name,
        mismatch(type, null, why, `Declare "${name}" with .orNull(), or name its place with fields: { ${name}: 'path' }.`),
      );
    }
    try {
      return convert(found);
    } catch (error) {
      throw inColumn(name, error);
    }
  };
}

/** Of what is there. */
function valueFor(type: ColumnType): Convert {
  const base = baseType(type);
  const fitting = conform(type);
  switch (base.kind) {
    case 'json':
    case 'jsonb':
      return (found) => fitting(textOf(found));
    case 'array': {
      const element = valueFor(base.of);
      const items = (found: Found): unknown => {
        if (found.is === 'null') return null;
        return found.is === 'list' && !isJson(base.of) ? elementsOf(found.text).map(items) : element(found);
      };
      return (found) => {
        if (found.is !== 'list') throw mismatch(type, shownValue(found), 'it is not a list');
        return fitting(elementsOf(found.text).map(items));
      };
    }
    case 'bool':
      return (found) => fitting(found.is === 'true' ? true : found.is === 'false' ? false : plain(type, found));
    case 'int2':
    case 'int4':
    case 'int8':
      return (found) => fitting(found.is === 'number' ? whole(found.text) : plain(type, found));
    case 'float4':
    case 'float8':
    case 'numeric':
    case 'text':
    case 'varchar':
    case 'char':
      return (found) => fitting(found.is === 'number' ? found.text : plain(type, found));
    default:
      return (found) => fitting(plain(type, found));
  }
}

const isJson = (type: ColumnType): boolean => ['json', 'jsonb'].includes(baseType(type).kind);

/** `1e3` and `1.0` are whole numbers, too; what is not is left for the column to refuse. */
function whole(text: string): string {
  if (/^-?\d+$/.test(text)) return text;
  const digits = String(decimal(text));
  return /\.0*$/.test(digits) ? digits.replace(/\.0*$/, '') : digits;
}

const decimal = conform({ kind: 'numeric' });

/** @throws TYPE_MISMATCH for what is not in quotes */
function plain(type: ColumnType, found: Found): string {
  if (found.is === 'string') return found.value;
  const remedy =
    found.is === 'list' || found.is === 'object' ? 'Name a place within it with fields, or declare the column json().' : undefined;
  throw mismatch(type, shownValue(found), 'it is of another kind', remedy);
}

const shownValue = (found: Found): unknown =>
  found.is === 'list'
    ? []
    : found.is === 'object'
      ? {}
      : found.is === 'true'
        ? true
        : found.is === 'false'
          ? false
          : 'text' in found
            ? found.text
            : null;

function textOf(found: Found): string {
  return 'text' in found ? found.text : found.is === 'absent' ? 'null' : found.is;
}

const notAList = (each: readonly string[]): MillraceError =>
  new MillraceError('TYPE_MISMATCH', {
    message: `"${each.join('.')}" of a record is not a list.`,
    remedy: 'Name a list with each, or leave it out.',
    facts: { each: each.join('.') },
  });
