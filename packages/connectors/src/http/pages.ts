import { type JsonPath, parsePath } from './json/path.ts';

/** How a listing is read to its end: see the functions that make it. */
export type Pages =
  | { readonly kind: 'single' }
  | { readonly kind: 'link' }
  | { readonly kind: 'next-url'; readonly at: readonly string[] }
  | ({ readonly kind: 'cursor'; readonly param: string; readonly from: CursorPlace } & Common)
  | ({ readonly kind: 'page'; readonly param: string; readonly first: number; readonly pages: readonly string[] | null } & Common)
  | ({ readonly kind: 'offset'; readonly param: string; readonly first: number } & Common);

type CursorPlace = { readonly page: readonly string[] } | { readonly lastRecord: readonly string[] };

interface Common {
  readonly size: PageSize | null;
  /** Where the answer says whether there is more. */
  readonly more: readonly string[] | null;
  /** Where the answer says how many records there are in all. */
  readonly total: readonly string[] | null;
}

export interface PageSize {
  readonly param: string;
  readonly value: number;
}

interface CommonOptions {
  /** How many records a page should have: `{ param: 'limit', value: 100 }`. The API may give fewer: a short page is not the last one. */
  readonly size?: PageSize;
  /** Where the answer says whether there is more: `'has_more'`. */
  readonly more?: JsonPath;
  /** Where the answer says how many records there are in all: what has been read is held against it. */
  readonly total?: JsonPath;
}

/** One answer has everything. The default. */
export const singlePage = (): Pages => Object.freeze({ kind: 'single' });

/** The header `Link: <…>; rel="next"` (RFC 8288) leads on. */
export const linkHeader = (): Pages => Object.freeze({ kind: 'link' });

/** The answer holds the URL of the next page: `nextUrl('links.next')`. */
export const nextUrl = (at: JsonPath): Pages => Object.freeze({ kind: 'next-url', at: parsePath(at) });

/**
 * The answer holds a cursor that the next request sends: `cursor({ param: 'cursor', from: 'meta.next_cursor' })`; or the last record does:
 * `cursor({ param: 'starting_after', fromLast: 'id', more: 'has_more' })`.
 */
export function cursor(
  options: CommonOptions & { readonly param: string } & ({ readonly from: JsonPath } | { readonly fromLast: JsonPath }),
): Pages {
  const from = 'from' in options ? { page: parsePath(options.from) } : { lastRecord: parsePath(options.fromLast) };
  return Object.freeze({ kind: 'cursor', param: options.param, from, ...common(options) });
}

/** Pages have numbers. Ends where `more`, `pages` or `total` says so, else with the first page that is empty. */
export function pageNumber(
  options: CommonOptions & {
    /** `'page'` by default. */
    readonly param?: string;
    /** 1 by default. */
    readonly first?: number;
    /** Where the answer says how many pages there are. */
    readonly pages?: JsonPath;
  } = {},
): Pages {
  const { param = 'page', first = 1, pages } = options;
  return Object.freeze({ kind: 'page', param, first, pages: pages === undefined ? null : parsePath(pages), ...common(options) });
}

/** Records are counted. Ends where `more` or `total` says so, else with the first page that is empty. */
export function offset(
  options: CommonOptions & { /** `'offset'` by default. */ readonly param?: string /** 0 by default. */; readonly first?: number } = {},
): Pages {
  const { param = 'offset', first = 0 } = options;
  return Object.freeze({ kind: 'offset', param, first, ...common(options) });
}

const common = ({ size, more, total }: CommonOptions): Common => ({
  size: size ?? null,
  more: more === undefined ? null : parsePath(more),
  total: total === undefined ? null : parsePath(total),
});

/** Values that a page's answer is asked for, by their names here. */
export function valuesOf(pages: Pages): Readonly<Record<string, readonly string[]>> {
  switch (pages.kind) {
    case 'single':
    case 'link':
      return {};
    case 'next-url':
      return { next: pages.at };
    case 'cursor':
      return { ...commonValues(pages), ...('page' in pages.from && { next: pages.from.page }) };
    case 'page':
      return { ...commonValues(pages), ...(pages.pages && { pages: pages.pages }) };
    case 'offset':
      return commonValues(pages);
    default:
      return pages satisfies never;
  }
}

const commonValues = ({ more, total }: Common): Record<string, readonly string[]> => ({ ...(more && { more }), ...(total && { total }) });
