import { createHash } from 'node:crypto';
import { type Context, MillraceError, type Window } from '@millrace/core/runtime';
import { contentOf } from './client/body.ts';
import type { HttpClient } from './client/client.ts';
import { firstPage, nextPage, type PageRequest, pageCountOf, totalOf } from './next-page.ts';
import { emptyPage, type Page, takePage } from './page-body.ts';
import { valuesOf } from './pages.ts';
import { pageAsked } from './requests.ts';
import type { Reading } from './rows-options.ts';
import { sinceParameters } from './since.ts';

export interface ListedPage {
  readonly number: number;
  /** The text of each record, in order. */
  records(): AsyncGenerator<string, void, undefined>;
  /** To be told when all records have been gone through. */
  went(came: Came): void;
}

/** Records of a page that hold nothing but rows whose keys had come before. */
export interface Came {
  /** As they were. */
  readonly repeated: number;
  /** Changed meanwhile. */
  readonly changed: number;
}

/** Pages that are kept in memory; larger ones go to the spool. */
const memoryBytes = 4 * 1024 * 1024;
/** How often a page is asked for that turns out to be an earlier one. */
const repeatAttempts = 3;
/** Rows that come at its beginning push others to the next page, also to a last one that has nothing else. */
const mostBarrenPages = 2;
/** A listing that goes on with nothing in it for so long has no end. */
const mostEmptyPages = 1_000;

/**
 * The pages of a listing, one after the other, to the end that the API says. One that goes in circles, answers an earlier page again, or has another number of
 * records than it says is an error: it would be read in part, or twice, without a word.
 *
 * @throws PAGES_MOVED where reading it again may help, REMOTE_REFUSED where not
 */
export async function* listing(
  client: HttpClient,
  reading: Reading,
  window: Window | null,
  context: Context,
): AsyncGenerator<ListedPage, void, undefined> {
  const { pages, options, path } = reading;
  const { since, maxPages = 100_000 } = options;
  const inWindow = window && since ? sinceParameters(since, window) : {};
  const asked = new Set<string>();
  const isCounted = pages.kind === 'page' || pages.kind === 'offset';
  const take = pageTaker(client, reading, context);
  let records = 0;
  let repeated = 0;
  let changed = 0;
  let empty = 0;
  let barren = 0;
  let firstTotal: number | null = null;
  let lastTotal = 0;
  let lastPageCount = 0;

  let next: PageRequest | null = firstPage(pages);
  for (let number = 1; next !== null; number++) {
    const request = pageAsked(client.place, reading, inWindow, next, context.run);
    const name = createHash('sha256')
      .update(JSON.stringify([request.url.href, request.body]))
      .digest('base64');
    if (asked.has(name)) throw endless(path, `the page after ${number - 1} is one that has been read`);
    if (number > maxPages) throw endless(path, `it has more than ${maxPages} pages`);
    asked.add(name);

    const { page, link } = await take({ ...request, doing: `reading page ${number}` }, number);
    await using _page = page;
    const { scanned } = page;
    if (scanned.list === 'absent' && options.mayBeAbsent !== true) throw noList(reading, number);
    records += scanned.records;
    empty = scanned.records === 0 ? empty + 1 : 0;
    if (empty > mostEmptyPages) throw endless(path, `its last ${empty} pages were empty`);
    const total = totalOf(scanned);
    if (total !== null && total < lastTotal)
      throw moved(
        path,
        `it had ${lastTotal} records, and with page ${number} it has ${total}: those behind the ones that went have moved up`,
      );
    const pageCount = pageCountOf(scanned);
    if (pageCount !== null && pageCount < lastPageCount)
      throw moved(path, `it had ${lastPageCount} pages, and with page ${number} it has ${pageCount}`);
    firstTotal ??= total;
    lastTotal = total ?? lastTotal;
    lastPageCount = pageCount ?? lastPageCount;

    let last: string | null = null;
    let came: Came = { repeated: 0, changed: 0 };
    yield {
      number,
      async *records() {
        for await (const text of page.records()) {
          last = text;
          yield text;
        }
      },
      went: (told) => {
        came = told;
      },
    };
    repeated += came.repeated;
    changed += came.changed;
    if (came.changed > 0 && isCounted)
      throw moved(path, 'rows that had come have changed and come again: those that stood between have moved up, some of them unseen');
    barren = came.repeated > 0 && came.repeated === scanned.records ? barren + 1 : 0;
    if (barren > mostBarrenPages) throw moved(path, `its last ${barren} pages have nothing that earlier ones had not`);
    const { values } = scanned;
    next = nextPage(pages, { number, url: request.url.href, records: scanned.records, recordsSoFar: records, values, link, last });
  }

  // Records that came while it was read may have pushed others to a page where they came again, and be unseen themselves.
  const distinct = records - repeated - changed;
  if (records < lastTotal || distinct < (firstTotal ?? 0))
    throw moved(path, `it says that there are ${lastTotal} records, and ${distinct} have come`);
  if (firstTotal !== null && records > lastTotal && !reading.hasKey)
    throw moved(path, `it says that there are ${lastTotal} records, and ${records} have come, some of them twice`);
  if (repeated > 0) context.log.info(`${path}: ${repeated} records came twice and were read once; the listing moved while it was read`);
}

type Taken = { readonly page: Page; readonly link: string | undefined };

/** Takes pages in that are other than all before them. A cache on the way may answer an old one, so such a page is asked for again. */
function pageTaker(client: HttpClient, { records, pages, options, path }: Reading, context: Context) {
  const wanted = { records, values: valuesOf(pages) };
  const limits = {
    pageBytes: options.maxPageBytes ?? 1024 ** 3,
    recordBytes: options.maxRecordBytes ?? 32 * 1024 * 1024,
    memoryBytes,
  };
  const digests = new Map<string, number>();

  return async (request: Parameters<HttpClient['ask']>[0], number: number): Promise<Taken> => {
    for (let attempt = 1; ; attempt++) {
      const again = attempt > 1 ? { everywhere: { 'cache-control': 'no-cache' } } : {};
      const taken = await client.ask({ ...request, ...again }, async (response): Promise<Taken> => {
        const { link } = response.headers;
        const page = response.statusCode === 204 ? emptyPage : await takePage(contentOf(response), wanted, context.spool, limits);
        return { page, link: Array.isArray(link) ? link.join(', ') : link };
      });
      const { page } = taken;
      if (page.scanned.records === 0) return taken;
      const earlier = digests.get(page.digest);
      if (earlier === undefined) {
        digests.set(page.digest, number);
        return taken;
      }
      await page[Symbol.asyncDispose]();
      if (attempt === repeatAttempts) throw moved(path, `page ${number} is page ${earlier} again`);
      await client.pause(attempt);
    }
  };
}

const moved = (path: string, why: string): MillraceError =>
  new MillraceError('PAGES_MOVED', {
    message: `The listing "${path}" was not read whole and once: ${why}.`,
    remedy:
      'Read again with backoff. Where it happens each time, the API may take no notice of a parameter that pages names, its total may be an estimate (leave it out), or the listing changes faster than it is read: read it by a cursor, or in an order that stays.',
    facts: { path },
  });

const endless = (path: string, why: string): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `The listing "${path}" does not end: ${why}.`,
    remedy: 'Check what pages says against the documentation of the API; maxPages may be raised.',
    facts: { path },
  });

const noList = ({ path, records }: Reading, number: number): MillraceError =>
  new MillraceError('REMOTE_REFUSED', {
    message: `Page ${number} of "${path}" has no list at "${records.join('.')}".`,
    remedy: 'Correct records; where a page without records has no list either, say mayBeAbsent: true.',
    facts: { path, page: number },
  });
