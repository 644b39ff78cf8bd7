import { int4, table } from '@millrace/core';
import { isMillraceError } from '@millrace/core/runtime';
import { testContext } from '@millrace/core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ApiFault, apiServer, type PagingStyle, pagingStyles } from '../../../../test/api-server.ts';
import { readAll } from '../../test/read.ts';
import { cursor, http, linkHeader, nextUrl, offset, pageNumber, type RowsOptions } from './index.ts';

const numbers = table('numbers', { id: int4() }, { key: ['id'] });
const ids = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

const options: Readonly<Record<PagingStyle, RowsOptions<typeof numbers>>> = {
  single: {},
  link: { pages: linkHeader() },
  'next-url': { records: 'data', pages: nextUrl('links.next') },
  'relative-url': { records: 'data', pages: nextUrl('links.next') },
  cursor: { records: 'items', pages: cursor({ param: 'cursor', from: 'meta.next' }) },
  'last-id': { records: 'data', pages: cursor({ param: 'after', fromLast: 'id', more: 'has_more' }) },
  page: { pages: pageNumber() },
  pages: { records: 'items', pages: pageNumber({ pages: 'pages' }) },
  'page-more': { records: 'items', pages: pageNumber({ first: 0, more: 'more' }) },
  offset: { pages: offset() },
  'offset-total': { records: 'items', pages: offset({ total: 'total' }) },
  post: { records: 'items', body: {}, pages: cursor({ param: 'cursor', from: 'meta.next' }) },
};

const read = async (url: string, style: PagingStyle) => {
  const api = http({ url, retry: { attempts: 3, delay: '1ms', longestWait: '1s' }, timeout: '10s' });
  const { rows } = await readAll(api.rows(style, numbers, options[style]), {}, testContext());
  return rows.map(({ id }) => id as number);
};

const faults = fc.constantFrom<ApiFault>(
  { kind: 'truncated' },
  { kind: 'cut' },
  { kind: 'reset' },
  { kind: 'garbled' },
  { kind: 'half gzip' },
  { kind: 'stale' },
  { kind: 'status', status: 429, headers: { 'retry-after': '0' } },
  { kind: 'status', status: 502, body: '<html>Bad gateway</html>' },
);
const troubles = fc.array(fc.record({ fault: faults, after: fc.nat(8), times: fc.integer({ min: 1, max: 4 }) }), { maxLength: 4 });

test('whatever goes wrong on the way, a listing is read whole and once, or not at all', async () => {
  const ends = { read: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...pagingStyles),
      fc.nat(40),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(undefined, 'gzip' as const, 'br' as const),
      troubles,
      async (style, count, pageSize, encoding, planned) => {
        const server = await apiServer({
          records: () => ids(count).map((id) => `{"id":${id}}`),
          pageSize,
          ...(encoding && { encoding }),
        });
        await using _server = server;
        for (const { fault, after, times } of planned) server.fail(fault, { after, times });
        try {
          expect(await read(server.url, style)).toEqual(ids(count));
          ends.read++;
        } catch (error) {
          if (!isMillraceError(error)) throw error;
          expect(error.code).toMatch(/^(WIRE_CORRUPT|CONNECTION_FAILED|REMOTE_THROTTLED|REMOTE_UNAVAILABLE|PAGES_MOVED)$/);
          expect(planned).not.toEqual([]);
          ends.failed++;
        }
      },
    ),
    { numRuns: 40 },
  );
  expect(ends.read).toBeGreaterThan(ends.failed);
});

test.each(['inserted', 'removed'] as const)('a listing whose records are %s while it is read loses none of the others', async (change) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<PagingStyle>('offset-total', 'cursor', 'last-id'),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.option(fc.nat()), { maxLength: 10 }),
      async (style, count, pageSize, changes) => {
        const all = ids(count);
        let asked = 0;
        const server = await apiServer({
          records: () => all.map((id) => `{"id":${id}}`),
          pageSize,
          answer() {
            const at = changes[asked++] ?? null;
            // Cursors of this server are places, and so move as offsets do; an id of the last record stays.
            if (at === null || (style === 'cursor' && change === 'removed')) return false;
            if (change === 'inserted') all.splice(at % (all.length + 1), 0, 1_000 + asked);
            else if (style !== 'last-id' || asked === 1) all.splice(at % all.length, 1);
            return false;
          },
        });
        await using _server = server;
        try {
          const found = await read(server.url, style);
          expect(new Set(found).size).toBe(found.length);
          expect(found).toEqual(expect.arrayContaining(all.filter((id) => id <= count)));
        } catch (error) {
          if (!isMillraceError(error) || error.code !== 'PAGES_MOVED') throw error;
        }
      },
    ),
    { numRuns: 30 },
  );
});
