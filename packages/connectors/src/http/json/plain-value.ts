import { randomUUID } from 'node:crypto';
import { conform } from '@millrace/core/runtime';

/** No text of an API begins like this. */
const mark = `millrace-number-${randomUUID()}:`;
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Digits are lost only where there are many of them, or a power. */
const suspicious = /\d{16}|\.\d{15}|\d\.\d*\d{12}|\d[eE][+-]?\d/;

/**
 * JSON text, known to be whole, as JavaScript values, for functions that take such: a number that a JavaScript number cannot hold is a bigint
 * where it is whole, else the text of its digits.
 */
export function plainValue(text: string): unknown {
  if (!suspicious.test(text)) return JSON.parse(text);
  return JSON.parse(marked(text), (_, value) =>
    typeof value === 'string' && value.startsWith(mark) ? exactValue(value.slice(mark.length)) : value,
  );
}

/** With text in place of the numbers that lose digits. */
function marked(text: string): string {
  let made = '';
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 34) at = endOfString(text, at);
    if (code !== 45 && !(code >= 48 && code <= 57)) continue;
    number.lastIndex = at;
    const [one = '-'] = number.exec(text) ?? [];
    if (!isExact(one)) {
      made += text.slice(from, at) + JSON.stringify(mark + one);
      from = at + one.length;
    }
    at += one.length - 1;
  }
  return made + text.slice(from);
}

/** The place of the quote that ends it. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  for (let code = text.charCodeAt(at); code !== 34 && at < text.length; code = text.charCodeAt(++at)) if (code === 92) at++;
  return at;
}

const decimal = conform({ kind: 'numeric' });
const digitsOf = (text: string): string =>
  String(decimal(text))
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');

function isExact(text: string): boolean {
  const number = Number(text);
  if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number))) return false;
  return number === 0 ? !/[1-9]/.test(text.replace(/[eE].*/, '')) : digitsOf(text) === digitsOf(String(number));
}

function exactValue(text: string): bigint | string {
  const digits = digitsOf(text);
  return digits.includes('.') ? text : BigInt(digits);
}
