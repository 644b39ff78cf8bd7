import type { Mask, SecretRef } from '@millrace/core/runtime';
import { type Expression, textOf } from './expression.ts';
import { literal } from './literal.ts';

/**
 * A mask as SQL. A salt is never written into a statement: it is a setting of the transaction, bound as a parameter before, and
 * read by its number here.
 */
export function maskSql(column: Expression, mask: Mask, salt: (ref: SecretRef) => number): string {
  const text = textOf(column);
  switch (mask.mask) {
    case 'hash':
      return hash(text, salt(mask.salt));
    case 'tokenize':
      return `${literal(mask.prefix)} || left(${hash(text, salt(mask.salt))}, 32) || right(${text}, ${Math.max(0, Math.trunc(mask.keepLast))})`;
    case 'redact':
      return mask.with === null ? 'NULL::text' : `CASE num_nulls(${column.sql}) WHEN 0 THEN ${literal(mask.with)}::text END`;
    case 'truncate':
      return `left(${text}, ${Math.max(0, Math.trunc(mask.length))})`;
    default:
      return mask satisfies never;
  }
}

const hash = (text: string, salt: number): string =>
  `encode(sha256(convert_to(current_setting('${saltSetting(salt)}') || ${text}, 'UTF8')), 'hex')`;

export const saltSetting = (number: number): string => `millrace.salt_${number}`;
