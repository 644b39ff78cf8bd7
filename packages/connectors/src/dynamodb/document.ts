import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { MillraceError, mismatch } from '@millrace/core/runtime';

/** A document as JSON text; numbers keep their digits. @throws TYPE_MISMATCH for bytes, which JSON has none of */
export function documentText(value: AttributeValue): string {
  if (value.S !== undefined) return JSON.stringify(value.S);
  if (value.N !== undefined) return value.N;
  if (value.BOOL !== undefined) return String(value.BOOL);
  if (value.NULL !== undefined) return 'null';
  if (value.M !== undefined)
    return `{${Object.entries(value.M)
      .map(([name, of]) => `${JSON.stringify(name)}:${documentText(of)}`)
      .join(',')}}`;
  if (value.L !== undefined) return `[${value.L.map(documentText).join(',')}]`;
  if (value.SS !== undefined) return JSON.stringify(value.SS);
  if (value.NS !== undefined) return `[${value.NS.join(',')}]`;
  throw mismatch({ kind: 'jsonb' }, 'B', 'it holds bytes, and JSON cannot', 'Read the attribute into a column of its own, as bytea().');
}

/** So deep DynamoDB takes documents. */
const deepest = 32;

/**
 * JSON text as a document. `number` checks a number's text.
 *
 * @throws VALUE_UNREPRESENTABLE for a null at the top, which is NULL here, and for what is nested deeper than a document may be
 */
export function textDocument(text: string, number: (text: string) => string): AttributeValue {
  const [value] = valueAt(text, skipped(text, 0), number, 0);
  if (value.NULL !== true) return value;
  throw new MillraceError('VALUE_UNREPRESENTABLE', {
    message: 'The JSON value null cannot be told from NULL in an item.',
    remedy: 'Filter such rows out, or cast the column to text.',
  });
}

type Read = readonly [value: AttributeValue, end: number];

function valueAt(text: string, at: number, number: (text: string) => string, depth: number): Read {
  if (depth === deepest && (text[at] === '{' || text[at] === '[')) throw tooDeep();
  switch (text[at]) {
    case '{':
      return objectAt(text, at, number, depth + 1);
    case '[':
      return listAt(text, at, number, depth + 1);
    case '"': {
      const [string, end] = stringAt(text, at);
      return [{ S: string }, end];
    }
    case 't':
      return [{ BOOL: true }, at + 4];
    case 'f':
      return [{ BOOL: false }, at + 5];
    case 'n':
      return [{ NULL: true }, at + 4];
    default: {
      const [digits = ''] = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(text.slice(at, at + 2_048)) ?? [];
      if (digits === '') throw mismatch({ kind: 'jsonb' }, text, 'it is no JSON');
      return [{ N: number(digits) }, at + digits.length];
    }
  }
}

function objectAt(text: string, start: number, number: (text: string) => string, depth: number): Read {
  const M: Record<string, AttributeValue> = Object.create(null);
  let at = skipped(text, start + 1);
  while (text[at] !== '}') {
    const [name, nameEnd] = stringAt(text, at);
    const [value, end] = valueAt(text, skipped(text, skipped(text, nameEnd) + 1), number, depth);
    M[name] = value;
    at = skipped(text, end);
    if (text[at] === ',') at = skipped(text, at + 1);
  }
  return [{ M }, at + 1];
}

function listAt(text: string, start: number, number: (text: string) => string, depth: number): Read {
  const L: AttributeValue[] = [];
  let at = skipped(text, start + 1);
  while (text[at] !== ']') {
    const [value, end] = valueAt(text, at, number, depth);
    L.push(value);
    at = skipped(text, end);
    if (text[at] === ',') at = skipped(text, at + 1);
  }
  return [{ L }, at + 1];
}

const tooDeep = (): MillraceError =>
  new MillraceError('VALUE_UNREPRESENTABLE', {
    message: `The JSON is nested deeper than ${deepest} levels, and no item is.`,
    remedy: 'Filter such rows out, or declare the column json(): that is kept as text.',
  });

function stringAt(text: string, start: number): readonly [string, number] {
  if (text[start] !== '"') throw mismatch({ kind: 'jsonb' }, text, 'it is no JSON');
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return [JSON.parse(text.slice(start, at + 1)) as string, at + 1];
}

function skipped(text: string, start: number): number {
  let at = start;
  while (at < text.length && ' \t\n\r'.includes(text[at] as string)) at++;
  if (at >= text.length) throw mismatch({ kind: 'jsonb' }, text, 'it is no JSON');
  return at;
}
