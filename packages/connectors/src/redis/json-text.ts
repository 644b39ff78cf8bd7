import { baseType, type ColumnSchema, type ColumnType } from '@millrace/core/runtime';

/**
 * A row as JSON. What JSON.parse would not keep is a string: whole numbers past 2^53, more than 15 digits, NaN and infinities. A column of JSON
 * that is NULL is left out, for null is a value of it.
 */
export function jsonText(columns: readonly ColumnSchema[], row: ReadonlyMap<string, string | null>): string {
  const fields = columns.flatMap(({ name, type }) => {
    const text = row.get(name) ?? null;
    if (text === null && isJson(type)) return [];
    return [`${JSON.stringify(name)}:${text === null ? 'null' : jsonValue(type, text)}`];
  });
  return `{${fields.join(',')}}`;
}

const isJson = (type: ColumnType): boolean => ['json', 'jsonb'].includes(baseType(type).kind);

function jsonValue(type: ColumnType, text: string): string {
  switch (baseType(type).kind) {
    case 'bool':
      return text === 't' ? 'true' : 'false';
    case 'int2':
    case 'int4':
    case 'int8':
      return Number.isSafeInteger(Number(text)) ? text : JSON.stringify(text);
    case 'float4':
    case 'float8':
      return /[Ny]$/.test(text) ? JSON.stringify(text) : text;
    case 'numeric':
      return /[Ny]$/.test(text) || text.replace(/\D/g, '').length > 15 ? JSON.stringify(text) : text;
    case 'json':
    case 'jsonb':
      return text;
    default:
      return JSON.stringify(text);
  }
}

/** The same row, to the letter; null where somebody else has written there. A column that the text does not have is NULL. */
export function jsonFields(columns: readonly ColumnSchema[], text: string): Map<string, string | null> | null {
  const types = new Map(columns.map(({ name, type }) => [name, type]));
  const row = new Map<string, string | null>(columns.map(({ name }) => [name, null]));
  for (const [name, value] of topLevel(text) ?? []) {
    const type = types.get(name);
    if (type && (value !== 'null' || isJson(type))) row.set(name, plainText(type, value));
  }
  return text.startsWith('{') ? row : null;
}

function plainText(type: ColumnType, value: string): string {
  if (isJson(type)) return value;
  if (value.startsWith('"')) return JSON.parse(value) as string;
  return baseType(type).kind === 'bool' ? value.charAt(0) : value;
}

/** Fields of an object by name, each with the text of its value. Null where it is no object. */
function topLevel(text: string): [name: string, value: string][] | null {
  const fields: [string, string][] = [];
  for (let at = 1; at < text.length && text[at] !== '}'; ) {
    if (text[at] !== '"') return null;
    const colon = closingQuote(text, at) + 1;
    const end = endOfValue(text, colon + 1);
    fields.push([JSON.parse(text.slice(at, colon)) as string, text.slice(colon + 1, end)]);
    at = end + (text[end] === ',' ? 1 : 0);
  }
  return fields;
}

/** Up to a comma or bracket of its own level. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = closingQuote(text, at);
    else if (char === '{' || char === '[') depth++;
    else if (depth === 0 && (char === ',' || char === '}')) return at;
    else if (char === '}' || char === ']') depth--;
  }
  return text.length;
}

function closingQuote(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}
