import { bindArgument, MillraceError, type RunFacts } from '@millrace/core/runtime';
import type { Asked } from './client/client.ts';
import { type HttpPlace, under } from './client/place.ts';
import type { PageRequest } from './next-page.ts';
import type { ParameterValue, Reading } from './rows-options.ts';

/** The request of a page: what the listing asks always, the window, and what leads to the page. */
export function pageAsked(
  place: HttpPlace,
  { path, options }: Reading,
  window: Readonly<Record<string, string>>,
  page: PageRequest,
  run: RunFacts,
): Omit<Asked, 'doing'> {
  const url = 'url' in page ? new URL(page.url) : under(place, filled(path, options.path ?? {}, run));
  const parameters = 'url' in page ? {} : { ...window, ...page.parameters };
  const headers = options.headers ?? {};
  if (options.body !== undefined) {
    const body = JSON.stringify({ ...options.body, ...parameters });
    return { method: 'POST', url, headers: { 'content-type': 'application/json', ...headers }, body };
  }
  if (!('url' in page)) {
    for (const [name, value] of Object.entries(options.query ?? {}))
      for (const one of Array.isArray(value) ? (value as readonly ParameterValue[]) : [value as ParameterValue])
        url.searchParams.append(name, String(bindArgument(one, run)));
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  }
  return { method: 'GET', url, headers };
}

/** @throws CONFIG_INVALID for a value that would lead elsewhere */
export function filled(path: string, values: Readonly<Record<string, ParameterValue>>, run: RunFacts): string {
  return path.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) return whole;
    const text = String(bindArgument(value, run));
    if (text !== '' && text !== '.' && text !== '..') return encodeURIComponent(text);
    throw new MillraceError('CONFIG_INVALID', {
      message: `"${text}" cannot stand for {${name}} in the path "${path}".`,
      remedy: 'Give the run another value.',
      facts: { name },
    });
  });
}
