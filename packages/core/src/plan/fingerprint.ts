import { createHash } from 'node:crypto';

/** SHA-256, in hex, of a value's JSON. The order of properties counts, so build the value in one place. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** A copy that is plain JSON: bigints as text, functions and `undefined` left out. */
export function plainJson(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => plainJson(item) ?? null);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined && typeof item !== 'function')
      .map(([name, item]) => [name, plainJson(item)]),
  );
}
