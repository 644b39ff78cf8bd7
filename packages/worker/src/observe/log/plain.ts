import { isMillraceError } from '@millrace/core/runtime';

/** How deep fields go, how many there are of one value, and how long a text is: a log line must not be a dump. */
const deepest = 8;
const widest = 100;
const longest = 16_384;

/** Any value as plain JSON of a bounded size: errors with what lay behind them, big integers as text, cycles cut. Never throws. */
export function plain(value: unknown): unknown {
  return reduce(value, 0, []);
}

function reduce(value: unknown, depth: number, above: readonly object[]): unknown {
  if (typeof value === 'string') return value.length > longest ? `${value.slice(0, longest)}… (${value.length} characters)` : value;
  if (typeof value === 'bigint' || typeof value === 'symbol') return value.toString();
  if (typeof value === 'function') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (above.includes(value)) return '[circular]';
  if (depth === deepest) return '[…]';
  const inside = (item: unknown): unknown => reduce(item, depth + 1, [...above, value]);
  try {
    if (value instanceof Error) return errorFields(value, inside);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof Map) return first([...value].map(([key, item]) => [String(key), inside(item)] as const));
    if (value instanceof Set) return [...value].slice(0, widest).map(inside);
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (Array.isArray(value)) return value.slice(0, widest).map(inside);
    return first(Object.keys(value).map((name) => [name, inside((value as Record<string, unknown>)[name])] as const));
  } catch (error) {
    return `[unreadable: ${String(error)}]`;
  }
}

const first = (entries: readonly (readonly [string, unknown])[]) => Object.fromEntries(entries.slice(0, widest));

function errorFields(error: Error, inside: (value: unknown) => unknown): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const more = isMillraceError(error) ? { code: error.code, remedy: error.remedy, facts: error.facts } : { ...error };
  return {
    type: name,
    message: inside(message),
    ...(isMillraceError(error) ? {} : { stack: inside(stack) }),
    ...(inside(more) as object),
    ...(cause === undefined ? {} : { cause: inside(cause) }),
    ...(error instanceof AggregateError ? { errors: inside(error.errors) } : {}),
  };
}
