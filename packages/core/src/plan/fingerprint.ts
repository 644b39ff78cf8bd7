import { createHash } from 'node:crypto';

/** SHA-256 of the canonical JSON of a value, in hex: the same whatever the order of properties. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** JSON with sorted properties; bigint as a number, `undefined` and functions left out. */
export function canonicalJson(value: unknown): string {
  return write(value, new Map());
}

/** `seen`: a plan repeats the same frozen column lists many times over. */
function write(value: unknown, seen: Map<readonly unknown[], string>): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (!Array.isArray(value)) return writeObject(value as Record<string, unknown>, seen);
  const known = seen.get(value);
  if (known !== undefined) return known;
  let text = '';
  for (const item of value) text += `${text === '' ? '' : ','}${write(item ?? null, seen)}`;
  text = `[${text}]`;
  seen.set(value, text);
  return text;
}

function writeObject(value: Record<string, unknown>, seen: Map<readonly unknown[], string>): string {
  let text = '';
  for (const name of Object.keys(value).sort()) {
    const item = value[name];
    if (item === undefined || typeof item === 'function') continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${write(item, seen)}`;
  }
  return `{${text}}`;
}
