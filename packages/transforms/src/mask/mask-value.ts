import { hash as digest } from 'node:crypto';
import type { Mask, TransformContext } from '@millrace/core/runtime';

/** What a mask makes of a value's text. Salts are looked up now, once. */
export async function maskText(mask: Mask, context: TransformContext): Promise<(text: string) => string | null> {
  switch (mask.mask) {
    case 'redact':
      return () => mask.with;
    case 'truncate':
      return (text) => first(text, mask.length);
    case 'hash': {
      const salt = await context.secret(mask.salt);
      return (text) => digest('sha256', salt + text, 'hex');
    }
    case 'tokenize': {
      const { prefix, keepLast } = mask;
      const salt = await context.secret(mask.salt);
      return (text) => prefix + digest('sha256', salt + text, 'hex').slice(0, 32) + last(text, keepLast);
    }
    default:
      return mask satisfies never;
  }
}

/** By code points, as databases count characters. */
const first = (text: string, length: number): string => (text.length <= length ? text : [...text].slice(0, length).join(''));

function last(text: string, length: number): string {
  if (length === 0) return '';
  return text.length <= length ? text : [...text].slice(-length).join('');
}
