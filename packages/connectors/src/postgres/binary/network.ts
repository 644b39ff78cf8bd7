import { isIPv4 } from 'node:net';
import { int32, uint16 } from './field.ts';

/** `byte family, byte prefix length, byte is cidr, byte address length, address`. Families are Postgres's own: 2 and 3. */
export function networkDecoder(kind: 'inet' | 'cidr'): (b: Buffer, start: number) => string {
  return (b, start) => {
    const prefix = b[start + 1]!;
    const isV4 = b[start] === 2;
    const address = isV4 ? v4(b, start + 4) : v6(b, start + 4);
    return kind === 'inet' && prefix === (isV4 ? 32 : 128) ? address : `${address}/${prefix}`;
  };
}

const v4 = (b: Buffer, at: number): string => `${b[at]}.${b[at + 1]}.${b[at + 2]}.${b[at + 3]}`;

/** The longest run of zero words (two or more) becomes `::`; an embedded IPv4 address is shown as one. Source: pg_inet_net_ntop. */
function v6(b: Buffer, at: number): string {
  const words = Array.from({ length: 8 }, (_, word) => uint16(b, at + 2 * word));
  let [best, bestLength] = [-1, 1];
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && words[to] === 0) to++;
    if (to - from > bestLength) [best, bestLength] = [from, to - from];
    if (to > from) from = to;
  }
  const embedded = best === 0 && (bestLength === 6 || (bestLength === 5 && words[5] === 0xffff));
  const shown = embedded ? words.slice(0, 6) : words;
  const tail = embedded ? [v4(b, at + 12)] : [];
  if (best < 0) return [...shown.map(hex), ...tail].join(':');
  const before = shown.slice(0, best).map(hex).join(':');
  const after = [...shown.slice(best + bestLength).map(hex), ...tail].join(':');
  return `${before}::${after}`;
}

const hex = (word: number): string => word.toString(16);

/** The bytes of an address that `conform` has let through. */
export function networkEncoder(kind: 'inet' | 'cidr'): (text: string) => Buffer {
  return (text) => {
    const [address = '', mask] = text.split('/');
    const isV4 = isIPv4(address);
    const bytes = isV4 ? address.split('.').map(Number) : v6Bytes(address);
    return Buffer.from([
      isV4 ? 2 : 3,
      mask === undefined ? bytes.length * 8 : Number(mask),
      kind === 'cidr' ? 1 : 0,
      bytes.length,
      ...bytes,
    ]);
  };
}

function v6Bytes(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const left = words(head);
  if (tail === undefined) return left;
  const right = words(tail);
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right];
}

function words(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((word) => {
    if (word.includes('.')) return word.split('.').map(Number);
    const value = Number.parseInt(word, 16);
    return [value >> 8, value & 255];
  });
}

export function decodeMac(b: Buffer, start: number, end: number): string {
  return Array.from(b.subarray(start, end), (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export const encodeMac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');

/** `int32 bits`, then the bits, the first one highest. */
export function decodeBits(b: Buffer, start: number): string {
  const count = int32(b, start);
  let text = '';
  for (let bit = 0; bit < count; bit++) text += (b[start + 4 + (bit >> 3)]! >> (7 - (bit & 7))) & 1;
  return text;
}

export function encodeBits(text: string): Buffer {
  const out = Buffer.alloc(4 + Math.ceil(text.length / 8));
  out.writeInt32BE(text.length);
  for (let bit = 0; bit < text.length; bit++) if (text.charCodeAt(bit) === 49) out[4 + (bit >> 3)]! |= 128 >> (bit & 7);
  return out;
}
