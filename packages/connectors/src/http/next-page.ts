import { MillraceError } from '@millrace/core/runtime';
import { valueAt } from './json/path.ts';
import { plainValue } from './json/plain-value.ts';
import { linkTo } from './link-header.ts';
import type { Pages } from './pages.ts';

/** What the request of a page has beside that of the first: another URL, or parameters. */
export type PageRequest = { readonly url: string } | { readonly parameters: Readonly<Record<string, string>> };

/** A page that was read. */
export interface PageRead {
  /** Counted from 1. */
  readonly number: number;
  /** The URL it came from, for links that are relative. */
  readonly url: string;
  readonly records: number;
  /** Of all pages so far. */
  readonly recordsSoFar: number;
  /** As `valuesOf` has named them. */
  readonly values: ReadonlyMap<string, string | boolean | null>;
  readonly link: string | undefined;
  /** The last record, as it stands there. */
  readonly last: string | null;
}

export function firstPage(pages: Pages): PageRequest {
  switch (pages.kind) {
    case 'single':
    case 'link':
    case 'next-url':
      return { parameters: {} };
    case 'cursor':
      return { parameters: sizeOf(pages) };
    case 'page':
    case 'offset':
      return { parameters: { ...sizeOf(pages), [pages.param]: String(pages.first) } };
    default:
      return pages satisfies never;
  }
}

/** Null after the last page. @throws WIRE_CORRUPT where the page says that there is more, and not how to get it */
export function nextPage(pages: Pages, page: PageRead): PageRequest | null {
  switch (pages.kind) {
    case 'single':
      return null;
    case 'link': {
      const next = linkTo(page.link, 'next');
      return next === null ? null : { url: resolved(next, page) };
    }
    case 'next-url': {
      const next = page.values.get('next');
      return typeof next === 'string' && next !== '' ? { url: resolved(next, page) } : null;
    }
    case 'cursor': {
      const more = saysMore(page);
      if (more === false) return null;
      const next = 'page' in pages.from ? page.values.get('next') : cursorOf(page.last, pages.from.lastRecord);
      if (typeof next === 'string' && next !== '') return { parameters: { ...sizeOf(pages), [pages.param]: next } };
      if (more === true) throw noWayOn(page);
      return null;
    }
    case 'page': {
      const more = saysMore(page);
      const count = pageCountOf(page);
      if (more === false || (count !== null && page.number >= count)) return null;
      if (more === null && count === null && isWhole(page)) return null;
      return { parameters: { ...sizeOf(pages), [pages.param]: String(pages.first + page.number) } };
    }
    case 'offset': {
      const more = saysMore(page);
      if (more === false || (more === null && isWhole(page))) return null;
      // By what has come, and not by what was asked for: an API may give fewer.
      return { parameters: { ...sizeOf(pages), [pages.param]: String(pages.first + page.recordsSoFar) } };
    }
    default:
      return pages satisfies never;
  }
}

/** How many records there are in all, where the page says so. */
export const totalOf = (page: Pick<PageRead, 'values'>): number | null => numberOf(page, 'total');

/** How many pages there are in all, where the page says so. */
export const pageCountOf = (page: Pick<PageRead, 'values'>): number | null => numberOf(page, 'pages');

/** Nothing more is to come: all of it is there, or nothing came. */
function isWhole(page: PageRead): boolean {
  const total = totalOf(page);
  return page.records === 0 || (total !== null && page.recordsSoFar >= total);
}

function saysMore({ values }: PageRead): boolean | null {
  const more = values.get('more');
  if (more === undefined || more === null) return null;
  return more === true || more === 'true' || (typeof more === 'string' && /^[1-9]\d*$/.test(more));
}

function numberOf({ values }: Pick<PageRead, 'values'>, name: string): number | null {
  const value = values.get(name);
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : null;
}

const sizeOf = ({
  size,
}: {
  readonly size: { readonly param: string; readonly value: number } | null;
}): Readonly<Record<string, string>> => (size === null ? {} : { [size.param]: String(size.value) });

function cursorOf(last: string | null, path: readonly string[]): string | null {
  const value = last === null ? undefined : valueAt(plainValue(last), path);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : null;
}

function resolved(next: string, page: PageRead): string {
  if (URL.canParse(next, page.url)) return new URL(next, page.url).href;
  throw noWayOn(page);
}

const noWayOn = (page: PageRead): MillraceError =>
  new MillraceError('WIRE_CORRUPT', {
    message: `Page ${page.number} says that there is more, and not where.`,
    remedy: 'Check where pages says that the next page is named.',
    facts: { page: page.number },
  });
