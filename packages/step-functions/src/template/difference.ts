import type { Template } from './template.ts';

/** One resource, or one part of one, that differs between two templates. */
export interface Difference {
  readonly sign: '+' | '-' | '~';
  readonly what: string;
  /** `Properties.Cpu: "1024" → "2048"` */
  readonly details: readonly string[];
}

/** What a new template changes of a deployed one. Definitions of machines are compared state by state. Nothing where they are equal. */
export function differences(before: Pick<Template, 'Resources'> | null, after: Pick<Template, 'Resources'>): Difference[] {
  const old = before?.Resources ?? {};
  return [...new Set([...Object.keys(after.Resources), ...Object.keys(old)])].flatMap((name): Difference[] => {
    const [was, is] = [old[name], after.Resources[name]];
    if (!was && is) return [{ sign: '+', what: `${name} (${is.Type})`, details: [] }];
    if (was && !is) return [{ sign: '-', what: `${name} (${was.Type})`, details: [] }];
    const details = changes(readable(was), readable(is), '');
    return details.length > 0 ? [{ sign: '~', what: `${name} (${is?.Type})`, details }] : [];
  });
}

/** With the text of a definition as what it says. */
function readable(resource: Template['Resources'][string] | undefined): unknown {
  const text = resource?.Properties['DefinitionString'];
  if (typeof text !== 'string') return resource;
  try {
    return { ...resource, Properties: { ...resource?.Properties, DefinitionString: JSON.parse(text) } };
  } catch {
    return resource;
  }
}

function changes(was: unknown, is: unknown, path: string): string[] {
  if (JSON.stringify(was) === JSON.stringify(is)) return [];
  if (!isObject(was) || !isObject(is)) return [`${path}: ${short(was)} → ${short(is)}`];
  return [...new Set([...Object.keys(is), ...Object.keys(was)])].flatMap((name) =>
    changes(was[name], is[name], path === '' ? name : `${path}.${name}`),
  );
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function short(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
