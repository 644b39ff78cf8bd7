import { MillraceError } from '@millrace/core/runtime';

/** What a record has for a column, as it stands there. A string is decoded; everything else is its own text, so that no digit is lost. */
export type Found =
  | { readonly is: 'absent' | 'null' | 'true' | 'false' }
  | { readonly is: 'string'; readonly value: string; readonly text: string }
  | { readonly is: 'number' | 'list' | 'object'; readonly text: string };

/** Which fields of a record are wanted: a tree of names, with the columns that a place goes to. */
export interface Fields {
  readonly inside: Pick<ReadonlyMap<string, Fields>, 'size' | 'get' | 'values'>;
  readonly columns: readonly number[];
}

/** Deeper than any API means it, and well before the stack ends. */
const deepest = 512;

const absent: Found = Object.freeze({ is: 'absent' });

/**
 * One record, to the letter of the grammar (RFC 8259), for what is wanted of it: `found[column]`. Where a name stands twice, the last one counts.
 *
 * @throws WIRE_CORRUPT
 */
export function parseRecord(text: string, fields: Fields, width: number): Found[] {
  const found: Found[] = new Array(width).fill(absent);
  // Most records have neither; then the end of a string is the next quote.
  const hasControls = control.test(text);
  let nextEscape = text.indexOf('\\');
  let at = 0;

  function value(wanted: Fields | undefined, depth: number): void {
    if (depth > deepest) throw corrupt(text, `it is nested more than ${deepest} deep`);
    const from = at;
    const code = text.charCodeAt(at);
    const isWanted = wanted !== undefined && wanted.columns.length > 0;
    if (code === 34) {
      const isPlain = string();
      if (isWanted)
        put(wanted, { is: 'string', value: isPlain ? text.slice(from + 1, at - 1) : unescaped(from), text: text.slice(from, at) });
    } else if (code === 123) {
      object(wanted, depth);
      if (isWanted) put(wanted, { is: 'object', text: text.slice(from, at) });
    } else if (code === 91) {
      list(wanted, depth);
      if (isWanted) put(wanted, { is: 'list', text: text.slice(from, at) });
    } else if (code === 45 || (code >= 48 && code <= 57)) {
      number();
      if (isWanted) put(wanted, { is: 'number', text: text.slice(from, at) });
    } else {
      const is = code === 116 ? 'true' : code === 102 ? 'false' : 'null';
      if (!text.startsWith(is, at)) throw corrupt(text, `something that is no value stands at ${at}`);
      at += is.length;
      if (isWanted) put(wanted, { is });
    }
  }

  function put({ columns }: Fields, one: Found): void {
    for (const column of columns) found[column] = one;
  }

  function object(wanted: Fields | undefined, depth: number): void {
    at++;
    if (next() === 125) return void at++;
    const isLookedInto = wanted !== undefined && wanted.inside.size > 0;
    for (;;) {
      if (next() !== 34) throw corrupt(text, `a name is missing at ${at}`);
      const from = at;
      const isPlain = string();
      const field = isLookedInto ? wanted.inside.get(isPlain ? text.slice(from + 1, at - 1) : unescaped(from)) : undefined;
      if (next() !== 58) throw corrupt(text, `a ":" is missing at ${at}`);
      at++;
      if (field) forget(field);
      next();
      value(field, depth + 1);
      const after = next();
      at++;
      if (after === 125) return;
      if (after !== 44) throw corrupt(text, `a "," is missing at ${at - 1}`);
    }
  }

  function list(wanted: Fields | undefined, depth: number): void {
    at++;
    if (next() === 93) return void at++;
    const isLookedInto = wanted !== undefined && wanted.inside.size > 0;
    for (let index = 0; ; index++) {
      next();
      value(isLookedInto ? wanted.inside.get(String(index)) : undefined, depth + 1);
      const after = next();
      at++;
      if (after === 93) return;
      if (after !== 44) throw corrupt(text, `a "," is missing at ${at - 1}`);
    }
  }

  /** Past a string. True where it says what stands there, and false where something in it is escaped. */
  function string(): boolean {
    const from = at + 1;
    if (nextEscape >= 0 && nextEscape < from) nextEscape = text.indexOf('\\', from);
    const end = text.indexOf('"', from);
    if (!hasControls && end >= 0 && (nextEscape < 0 || nextEscape > end)) {
      at = end + 1;
      return true;
    }
    let isPlain = true;
    for (at = from; ; at++) {
      const code = text.charCodeAt(at);
      if (code === 34) {
        at++;
        return isPlain;
      }
      if (code === 92) {
        isPlain = false;
        at++;
      } else if (!(code >= 32)) throw corrupt(text, Number.isNaN(code) ? 'it ends within a string' : `a control character stands at ${at}`);
    }
  }

  function unescaped(from: number): string {
    try {
      return JSON.parse(text.slice(from, at)) as string;
    } catch {
      throw corrupt(text, `the string at ${from} has an escape that is none`);
    }
  }

  function number(): void {
    const from = at;
    if (text.charCodeAt(at) === 45) at++;
    const isZero = text.charCodeAt(at) === 48;
    const whole = digits();
    let isNumber = whole > 0 && !(isZero && whole > 1);
    if (text.charCodeAt(at) === 46) {
      at++;
      isNumber = digits() > 0 && isNumber;
    }
    if ((text.charCodeAt(at) | 32) === 101) {
      at++;
      const sign = text.charCodeAt(at);
      if (sign === 43 || sign === 45) at++;
      isNumber = digits() > 0 && isNumber;
    }
    if (!isNumber) throw corrupt(text, `something that is no number stands at ${from}`);
  }

  function digits(): number {
    const from = at;
    for (let code = text.charCodeAt(at); code >= 48 && code <= 57; code = text.charCodeAt(++at));
    return at - from;
  }

  /** What an earlier field of the same name has said. */
  function forget(fields: Fields): void {
    for (const column of fields.columns) found[column] = absent;
    for (const inner of fields.inside.values()) forget(inner);
  }

  /** The next character that is no white space. */
  function next(): number {
    for (;;) {
      const code = text.charCodeAt(at);
      if (code > 32 || (code !== 32 && code !== 10 && code !== 13 && code !== 9)) return code;
      at++;
    }
  }

  next();
  value(fields, 0);
  next();
  if (at < text.length) throw corrupt(text, `something stands behind its end at ${at}`);
  return found;
}

/** Of a list that is taken apart: what is found takes some hundred bytes for each. */
const mostElements = 1_000_000;

const nothing: Fields['inside'] = new Map();

/** Elements of a list, each as `Found`. @throws MEMORY_EXHAUSTED */
export function elementsOf(text: string): Found[] {
  const count = countElements(text);
  if (count > mostElements) throw tooMany(count);
  const inside = {
    size: count,
    get: (index: string): Fields => ({ inside: nothing, columns: [Number(index)] }),
    values: () => nothing.values(),
  };
  return parseRecord(text, { inside, columns: [] }, count);
}

/** How many elements a list that is known to be whole has. */
function countElements(text: string): number {
  let count = 0;
  let depth = 0;
  let isEmpty = true;
  let inString = false;
  for (let at = 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 92) at++;
      else if (code === 34) inString = false;
      continue;
    }
    if (code === 34) inString = true;
    if (depth === 0 && code === 93) break;
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) isEmpty = false;
    if (code === 91 || code === 123) depth++;
    else if (code === 93 || code === 125) depth--;
    else if (code === 44 && depth === 0) count++;
  }
  return isEmpty ? 0 : count + 1;
}

const control = /[\0-\x1f]/;

const tooMany = (count: number): MillraceError =>
  new MillraceError('MEMORY_EXHAUSTED', {
    message: `A list within a record has ${count} elements, and at most ${mostElements} are taken apart.`,
    remedy: 'Ask the API for smaller records, or declare the column json().',
    facts: { count },
  });

function corrupt(text: string, why: string): MillraceError {
  return new MillraceError('WIRE_CORRUPT', {
    message: `A record is not whole JSON: ${why}.`,
    remedy: 'Tried again; where it happens each time, look at what the API answers.',
    facts: { length: text.length },
  });
}
