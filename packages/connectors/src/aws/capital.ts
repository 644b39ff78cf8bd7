import type { Json } from '@millrace/core/runtime';

type Parameters = Readonly<Record<string, Json>>;

/**
 * Parameters as a state machine writes them, with every name in PascalCase, in the names of an API that begins them with a small letter (ECS,
 * the RDS Data API). Names that are the author's own do not occur in what these APIs take.
 */
export const uncapitalised = (parameters: Parameters): Parameters =>
  renamed(parameters, (name) => name.charAt(0).toLowerCase() + name.slice(1));

/** An author's options (`workerType`) as parameters of the call (`WorkerType`), one level deep; what is undefined is left out. */
export function capitalised<Value>(options: Readonly<Record<string, Value | undefined>>): Record<string, Value> {
  const named: Record<string, Value> = {};
  for (const [name, value] of Object.entries(options)) if (value !== undefined) named[name.charAt(0).toUpperCase() + name.slice(1)] = value;
  return named;
}

function renamed<Value extends Json>(value: Value, rename: (name: string) => string): Value {
  if (Array.isArray(value)) return value.map((one: Json) => renamed(one, rename)) as unknown as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [rename(name), renamed(one as Json, rename)])) as Value;
}
