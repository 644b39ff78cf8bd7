import { MillraceError } from '@millrace/core/runtime';

/** A place within JSON: `'meta.next'`, `'lines.0.sku'`; as a list where a name holds a dot: `['a.b', 'c']`. `''` is the whole. */
export type JsonPath = string | readonly (string | number)[];

/** @throws PIPELINE_INVALID */
export function parsePath(path: JsonPath): readonly string[] {
  const parts = typeof path === 'string' ? (path === '' ? [] : path.split('.')) : path.map(String);
  if (typeof path === 'string' ? !parts.includes('') : true) return parts;
  throw new MillraceError('PIPELINE_INVALID', {
    message: `"${path as string}" is not a path within JSON.`,
    remedy: "Write it like 'data.items' or, where a name holds a dot, ['a.b', 'items'].",
  });
}

/** As a message shows it. */
export const shownPath = (path: readonly string[]): string => (path.length === 0 ? 'the whole answer' : `"${path.join('.')}"`);

/** What stands at a path of parsed JSON; undefined where nothing does. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}
