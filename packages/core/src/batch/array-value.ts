import { MillraceError } from '../error/index.ts';
import type { ColumnType } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

type ArrayType = Extract<ColumnType, { kind: 'array' }>;

/** Postgres keeps no more dimensions than this (MAXDIM). */
const mostDimensions = 6;

/** Arrays, `{1,NULL,"a b"}`: nested JavaScript arrays whose leaves are values of the element's codec. */
export function arrayCodec(type: ArrayType, element: TextCodec): TextCodec {
  // `box` alone parts its elements with a semicolon.
  const separator = type.of.kind === 'other' && type.of.name === 'box' ? ';' : ',';
  const itemsOf = (text: string): unknown => {
    try {
      return parseArray(text, { ...element, parse: (item) => item }, separator);
    } catch {
      throw mismatch(type, text, 'it is not an array as Postgres writes one');
    }
  };
  return {
    parse: (text) => parseArray(text, element, separator),
    conform(value) {
      return conformNested(type, element, typeof value === 'string' ? itemsOf(value) : value);
    },
    print: (value) => printArray(value as readonly unknown[], element, separator),
  };
}

function parseArray(text: string, element: TextCodec, separator: string): unknown[] {
  if (text.startsWith('[')) {
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `The array ${JSON.stringify(text.slice(0, 60))} does not begin at index 1, which a JavaScript array cannot say.`,
      remedy: 'Leave the column untouched by functions, or select it as text or renumbered (array[1:n] := …) at the source.',
    });
  }
  let at = 0;
  const broken = () =>
    new MillraceError('WIRE_CORRUPT', {
      message: `${JSON.stringify(text.slice(0, 60))} is not an array as Postgres prints it.`,
      remedy: 'Run it again.',
    });
  const list = (): unknown[] => {
    const items: unknown[] = [];
    at++;
    if (text[at] === '}') {
      at++;
      return items;
    }
    for (;;) {
      items.push(text[at] === '{' ? list() : text[at] === '"' ? quoted() : bare());
      const next = text[at++];
      if (next === '}') return items;
      if (next !== separator) throw broken();
    }
  };
  const quoted = (): unknown => {
    let item = '';
    let from = ++at;
    for (; ; at++) {
      const char = text[at];
      if (char === undefined) throw broken();
      if (char === '"') break;
      if (char !== '\\') continue;
      item += text.slice(from, at);
      from = ++at;
    }
    item += text.slice(from, at++);
    return element.parse(item);
  };
  const bare = (): unknown => {
    const from = at;
    while (at < text.length && text[at] !== separator && text[at] !== '}') at++;
    const item = text.slice(from, at);
    return item === 'NULL' ? null : element.parse(item);
  };
  if (text[0] !== '{') throw broken();
  const value = list();
  if (at !== text.length) throw broken();
  return value;
}

function conformNested(type: ArrayType, element: TextCodec, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw mismatch(type, value, 'it is not an array');
  const shape: number[] = [];
  for (let level: unknown = value; Array.isArray(level); level = level[0]) shape.push(level.length);
  if (shape.length > mostDimensions) throw mismatch(type, value, `it has more than ${mostDimensions} dimensions`);
  if (shape.length > 1 && shape.includes(0)) throw mismatch(type, value, 'an empty array cannot stand inside an array');
  const level = (items: readonly unknown[], depth: number): unknown[] => {
    if (items.length !== shape[depth]) throw mismatch(type, value, 'its inner arrays differ in length, and SQL arrays are rectangles');
    return Array.from(items, (item) => {
      const inner = depth + 1 < shape.length;
      if (inner !== Array.isArray(item)) throw mismatch(type, value, 'some of its items are arrays and some are not');
      if (inner) return level(item as unknown[], depth + 1);
      if (item === undefined) throw mismatch(type, value, 'an item is undefined', 'Write null where NULL is meant.');
      return item === null ? null : element.conform(item);
    });
  };
  return level(value, 0);
}

/** What Postgres quotes: nothing at all, its own syntax, white space, and the word NULL. */
const needsQuotes = /^$|["\\{} \t\n\r\v\f]|^null$/i;

function printArray(items: readonly unknown[], element: TextCodec, separator: string): string {
  const printed = items.map((item) => {
    if (item === null) return 'NULL';
    if (Array.isArray(item)) return printArray(item, element, separator);
    const text = element.print(item);
    return needsQuotes.test(text) || text.includes(separator) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;
  });
  return `{${printed.join(separator)}}`;
}
