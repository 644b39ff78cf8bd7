import type { Json } from '@millrace/core/runtime';
import type { TemplateValue } from '../asl.ts';

/** Where the state of an execution holds the values of its run; and the execution itself, which is the same after a redrive. */
const paths: Readonly<Record<string, string>> = {
  execution: '$$.Execution.Id',
  id: '$.run',
  date: '$.date',
  logicalTime: '$.time',
  'window.start': '$.window.start',
  'window.end': '$.window.end',
};

export type Filled = { readonly template: TemplateValue } | { readonly impossible: string };

/**
 * Parameters of a plan as a template: `{ "day": { "$run": "date" } }` becomes `{ "day.$": "$.date" }`. A value that stands in a list itself needs
 * the whole list to be text and numbers, for an intrinsic function to make it.
 */
export function filled(parameters: Json): Filled {
  try {
    return { template: fill(parameters) };
  } catch (error) {
    if (error instanceof Impossible) return { impossible: error.message };
    throw error;
  }
}

class Impossible extends Error {}

function fill(value: Json): TemplateValue {
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return value.map(fill);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]): [string, TemplateValue] => {
      if (name.endsWith('.$')) throw new Impossible(`the parameter "${name}" has a name that Step Functions reads as a path`);
      const path = pathOf(one);
      if (path !== null) return [`${name}.$`, path];
      if (isList(one) && one.some((item) => pathOf(item) !== null)) return [`${name}.$`, `States.Array(${one.map(argument).join(', ')})`];
      return [name, fill(one)];
    }),
  );
}

/** Of an intrinsic function: a path, or what stands for itself. */
export function argument(item: Json): string {
  const path = pathOf(item);
  if (path !== null) return path;
  if (typeof item === 'number') return String(item);
  if (typeof item === 'string') return `'${item.replaceAll(/[\\'{}]/g, '\\$&')}'`;
  throw new Impossible('a value of the run stands in a list beside something else than text and numbers');
}

/** The path of a run's value; null for everything else. */
export function pathOf(value: Json | undefined): string | null {
  const of = runValueOf(value);
  if (of === null) return null;
  if (!of.startsWith('params.')) return paths[of] ?? null;
  const name = of.slice('params.'.length);
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new Impossible(`the parameter "${name}" of the pipeline has a name that no path can have`);
  return `$.params.${name}`;
}

function runValueOf(value: Json | undefined): string | null {
  if (typeof value !== 'object' || value === null || isList(value)) return null;
  const { $run } = value;
  return typeof $run === 'string' && Object.keys(value).length === 1 ? $run : null;
}

/** True where a value of the run that is named so stands anywhere in it. */
export function uses(value: Json | undefined, of: string): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (runValueOf(value) === of) return true;
  return Object.values(value).some((one) => uses(one as Json, of));
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);
