import type { Mask, SecretRef } from '@millrace/core/runtime';
import { invalid } from '../transform-step.ts';

type MaskOf<Kind extends Mask['mask']> = Extract<Mask, { mask: Kind }>;

/**
 * SHA-256 of the salt and the value, 64 hex digits: equal values stay equal, so joins and counts still work, and nobody who
 * lacks the salt can try values out. `hash({ salt: secret('PII_SALT') })`
 */
export function hash(options: { readonly salt: SecretRef }): MaskOf<'hash'> {
  return Object.freeze({ mask: 'hash', salt: saltOf('hash', options.salt) });
}

/** One fixed text in place of every value, or NULL: `redact()` gives `[redacted]`, `redact({ with: null })` empties the column. */
export function redact(options?: { readonly with: string }): MaskOf<'redact'> & { readonly with: string };
export function redact(options: { readonly with: null }): MaskOf<'redact'> & { readonly with: null };
export function redact(options: { readonly with: string | null } = { with: '[redacted]' }): MaskOf<'redact'> {
  return Object.freeze({ mask: 'redact', with: options.with });
}

/**
 * A shorter stand-in that can be told from a value: the prefix, 32 hex digits of the hash, the last characters of the value.
 * `tokenize({ salt: secret('PII_SALT'), prefix: 'iban_', keepLast: 4 })`
 */
export function tokenize(options: { readonly salt: SecretRef; readonly prefix?: string; readonly keepLast?: number }): MaskOf<'tokenize'> {
  const { prefix = '', keepLast = 0 } = options;
  return Object.freeze({ mask: 'tokenize', salt: saltOf('tokenize', options.salt), prefix, keepLast: countOf('tokenize', keepLast) });
}

/** The first characters of the value. `truncate(3)` */
export function truncate(length: number): MaskOf<'truncate'> {
  return Object.freeze({ mask: 'truncate', length: countOf('truncate', length) });
}

function saltOf(mask: string, salt: SecretRef): SecretRef {
  if (salt?.kind === 'secret') return salt;
  throw invalid(
    `${mask}: the salt is not a secret.`,
    `Name one, so that it stands in no file and no plan: ${mask}({ salt: secret('PII_SALT') }).`,
  );
}

function countOf(mask: string, count: number): number {
  if (Number.isInteger(count) && count >= 0) return count;
  throw invalid(`${mask}: ${count} is not a number of characters.`, 'Use a whole number from 0.');
}
