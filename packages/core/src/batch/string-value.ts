import { isIP, isIPv4 } from 'node:net';
import { MillraceError } from '../error/index.ts';
import { type ColumnType, typeName } from '../schema/index.ts';
import type { TextCodec } from './codec.ts';
import { mismatch } from './mismatch.ts';

/** Types whose value is their text. `fit` refuses or straightens a string that is otherwise fine for a database. */
export function stringCodec(type: ColumnType, fit: (text: string) => string = (text) => text): TextCodec {
  return {
    parse: (text) => text,
    conform: (value) => fit(plainText(type, value)),
    print: (value) => value as string,
  };
}

const unsendable = /[\0\p{Surrogate}]/u;

function plainText(type: ColumnType, value: unknown): string {
  if (typeof value !== 'string') {
    const remedy =
      typeof value === 'object'
        ? 'Write it as text yourself, for example with JSON.stringify().'
        : 'Write it as text yourself, for example with String().';
    throw mismatch(type, value, 'it is not text', remedy);
  }
  if (unsendable.test(value)) {
    if (value.includes('\0')) throw mismatch(type, value, 'databases keep no NUL character in text', 'Take it out, or use bytea().');
    throw mismatch(
      type,
      value,
      'it holds half of a surrogate pair, which UTF-8 cannot say',
      'Cut text by code points ([...text]) or call toWellFormed().',
    );
  }
  return value;
}

/** Code points, as databases count characters. */
function characters(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) === 0xd800) count--;
  return count;
}

export function varcharCodec(type: ColumnType, length: number | undefined): TextCodec {
  return stringCodec(type, (text) => {
    if (length !== undefined && text.length > length && characters(text) > length) {
      throw mismatch(type, text, `it has ${characters(text)} characters`, 'Cut it yourself, or make the column longer.');
    }
    return text;
  });
}

/** Blank-padded on both sides of the wire; blanks past the length mean nothing in SQL and go. */
export function charCodec(type: ColumnType, length: number): TextCodec {
  return stringCodec(type, (text) => {
    const all = characters(text);
    if (all <= length) return all === length ? text : text + ' '.repeat(length - all);
    const bare = text.replace(/ +$/, '');
    const count = characters(bare);
    if (count > length) throw mismatch(type, text, `it has ${count} characters`, 'Cut it yourself, or make the column longer.');
    return bare + ' '.repeat(length - count);
  });
}

export function bitCodec(type: ColumnType, length: number | undefined, exact: boolean): TextCodec {
  return stringCodec(type, (text) => {
    if (!/^[01]*$/.test(text)) throw mismatch(type, text, 'bits are written with 0 and 1');
    if (length !== undefined && (exact ? text.length !== length : text.length > length))
      throw mismatch(type, text, `it has ${text.length} bits`);
    return text;
  });
}

export function enumCodec(type: Extract<ColumnType, { kind: 'enum' }>): TextCodec {
  const labels = new Set(type.labels);
  return stringCodec(type, (text) => {
    if (!labels.has(text))
      throw mismatch(
        type,
        text,
        `it is none of ${type.labels
          .slice(0, 10)
          .map((label) => JSON.stringify(label))
          .join(', ')}`,
      );
    return text;
  });
}

export function uuidCodec(type: ColumnType): TextCodec {
  return stringCodec(type, (text) => {
    if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) return text;
    const digits = text
      .trim()
      .replace(/^\{(.*)\}$/, '$1')
      .replaceAll('-', '')
      .toLowerCase();
    if (!/^[0-9a-f]{32}$/.test(digits)) throw mismatch(type, text, 'it is not a UUID');
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  });
}

export function jsonCodec(type: ColumnType): TextCodec {
  return stringCodec(type, (text) => {
    try {
      JSON.parse(text);
    } catch (cause) {
      throw mismatch(type, text, `it is not JSON (${(cause as Error).message})`, 'Pass JSON text, for example from JSON.stringify().');
    }
    if (type.kind === 'jsonb' && /(?:^|[^\\])(?:\\\\)*\\u0000/.test(text))
      throw mismatch(type, text, 'jsonb keeps no \\u0000', 'Take it out, or use json().');
    return text;
  });
}

export function addressCodec(type: ColumnType): TextCodec {
  return stringCodec(type, (text) => {
    const [address = '', mask, rest] = text.split('/');
    const width = isIPv4(address) ? 32 : 128;
    const fits = isIP(address) !== 0 && rest === undefined && (mask === undefined || (/^\d{1,3}$/.test(mask) && Number(mask) <= width));
    if (!fits || address.includes('%')) throw mismatch(type, text, 'it is not an internet address');
    return text;
  });
}

export function macCodec(type: ColumnType, bytes: 6 | 8): TextCodec {
  return stringCodec(type, (text) => {
    const digits = text.trim().replace(/[:.-]/g, '').toLowerCase();
    if (!/^[0-9a-f]+$/.test(digits) || digits.length !== bytes * 2) throw mismatch(type, text, `it is not an address of ${bytes} bytes`);
    return (digits.match(/../g) as string[]).join(':');
  });
}

export function boolCodec(type: ColumnType): TextCodec {
  return {
    parse: (text) => text === 't' || text === 'true',
    conform(value) {
      if (typeof value === 'boolean') return value;
      if (value === 't' || value === 'true') return true;
      if (value === 'f' || value === 'false') return false;
      throw mismatch(type, value, 'it is neither true nor false');
    },
    print: (value) => (value ? 't' : 'f'),
  };
}

export function byteaCodec(type: ColumnType): TextCodec {
  return {
    parse: bytesOfHex,
    conform(value) {
      if (value instanceof Uint8Array)
        return Buffer.isBuffer(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value;
      if (typeof value === 'string' && /^\\x(?:[0-9a-fA-F]{2})*$/.test(value)) return bytesOfHex(value);
      throw mismatch(type, value, 'it is not bytes', 'Pass a Uint8Array, for example from new TextEncoder().encode(text).');
    },
    print(value) {
      const bytes = value as Uint8Array;
      return `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
    },
  };
}

/** @throws VALUE_UNREPRESENTABLE for the escape format, which a session with `bytea_output = hex` never prints */
function bytesOfHex(text: string): Uint8Array {
  if (!text.startsWith('\\x')) {
    throw new MillraceError('VALUE_UNREPRESENTABLE', {
      message: `A ${typeName({ kind: 'bytea' })} value is not in hex form.`,
      remedy: 'Set bytea_output = hex for the session that reads it.',
    });
  }
  const hex = Buffer.from(text.slice(2), 'hex');
  const bytes = new Uint8Array(hex.length);
  bytes.set(hex);
  return bytes;
}
