import { int4, table, text, timestamptz } from '@millrace/core';
import { rowSourceConformance, testContext } from '@millrace/core/testing';
import { describe, expect, test } from 'vitest';
import { apiServer } from '../../../../test/api-server.ts';
import { readAll } from '../../test/read.ts';
import { cursor, http } from './index.ts';

const events = table('events', { id: int4(), at: timestamptz(), note: text().orNull() }, { key: ['id'] });
const minute = Date.parse('2026-03-29T00:00:00.000Z');
const row = (id: number) => ({
  id,
  at: new Date(minute + id * 60_000).toISOString().replace('Z', '000Z'),
  note: id % 3 === 0 ? null : `note ${id}`,
});
const rows = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => row(from + at));

/** An API of events, and a clock that stands behind the last of them. */
async function eventsApi(count: number) {
  const world = { count, filters: true };
  const server = await apiServer({
    records: () => rows(1, world.count).map((one) => JSON.stringify(one)),
    pageSize: 7,
    answer({ target }, response) {
      const since = new URL(target, 'http://x').searchParams.get('since');
      if (since === null || !world.filters) return false;
      // Some leave the bound itself out, and know no fractions.
      const later = rows(1, world.count).filter(({ at }) => at.slice(0, 19) > since.slice(0, 19));
      response.end(JSON.stringify({ items: later, meta: { next: null } }));
      return true;
    },
  });
  const selection = http({ url: server.url, retry: { delay: '1ms' } }).rows('cursor', events, {
    records: 'items',
    pages: cursor({ param: 'cursor', from: 'meta.next' }),
    since: { param: 'since' },
  });
  const context = () => testContext({ now: () => new Date(minute + world.count * 60_000 + 1_000) });
  return { world, server, selection, context };
}

describe('listings of APIs are read as every source is', () => {
  rowSourceConformance(test, async () => {
    const { world, server, selection, context } = await eventsApi(25);
    return {
      selection,
      rows: rows(1, 25),
      since: {
        column: 'at',
        async more() {
          world.count = 30;
          return rows(26, 30);
        },
      },
      splitBytes: 1_000,
      context: (options) => ({ ...context(), ...options }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  });
});

test('windows meet: every row is in one of them, whatever the API makes of their bounds', async () => {
  const { world, server, selection, context } = await eventsApi(10);
  await using _server = server;
  const ids: number[] = [];
  let low: string | null = null;
  for (const [count, filters] of [
    [10, true],
    [14, true],
    [14, true],
    [20, false],
  ] as const) {
    Object.assign(world, { count, filters });
    const read = await readAll(selection, { since: { column: 'at', low, lagMs: 60_000 } }, context());
    ids.push(...read.rows.map(({ id }) => id as number));
    low = read.plan.window?.high ?? null;
  }
  // The lag leaves out the last row.
  expect(ids).toEqual(rows(1, 19).map(({ id }) => id));
});

test('a row that changes while a window is read is in it as it was and as it is', async () => {
  const versions = [row(1), row(2), { ...row(1), at: row(3).at, note: 'changed' }, row(2)];
  const server = await apiServer({ records: () => versions.map((one) => JSON.stringify(one)) });
  await using _server = server;
  const selection = http({ url: server.url }).rows('single', events);
  const context = testContext({ now: () => new Date(minute + 3_600_000) });
  const read = await readAll(selection, { since: { column: 'at', low: null, lagMs: 0 } }, context);
  expect(read.rows).toEqual(versions.slice(0, 3));
  expect((await readAll(selection, {}, context)).rows).toEqual(versions.slice(0, 2));
});

test('what changes in the second in which a window ends is in the next one, though the API keeps whole seconds', async () => {
  const second = Date.parse('2026-03-29T00:00:05.000Z');
  const all = [{ id: 1, at: '2026-03-29T00:00:04Z' }];
  const server = await apiServer({ records: () => all.map((one) => JSON.stringify(one)) });
  await using _server = server;
  const selection = http({ url: server.url }).rows('single', events);
  const idsSince = async (low: string | null, now: number) => {
    const read = await readAll(selection, { since: { column: 'at', low, lagMs: 0 } }, testContext({ now: () => new Date(now) }));
    return { ids: read.rows.map(({ id }) => id), high: read.plan.window?.high ?? null };
  };
  const first = await idsSince(null, second + 300);
  all.push({ id: 2, at: '2026-03-29T00:00:05Z' });
  const next = await idsSince(first.high, second + 60_000);
  expect([first.ids, next.ids]).toEqual([[1], [2]]);
});

test.each([
  ['iso', '2026-03-28T23:59:59Z', '2026-03-29T00:00:02Z'],
  ['date', '2026-03-28', '2026-03-31'],
  ['seconds', '1774742399', '1774742402'],
  ['milliseconds', '1774742399000', '1774742402000'],
] as const)('a window is asked for in %s, and a little wider', async (format, from, to) => {
  const server = await apiServer({ records: () => [], answer: (_request, response) => !!response.end('[]') });
  await using _server = server;
  const selection = http({ url: server.url }).rows('x', events, { query: { a: 1 }, since: { param: 'from', until: 'to', format } });
  const context = testContext({ now: () => new Date('2026-03-29T00:00:00.5Z') });
  await readAll(selection, { since: { column: 'at', low: '2026-03-29T00:00:00.123456Z', lagMs: 0 } }, context);
  const asked = new URL(server.requests[0]!.target, server.url).searchParams;
  expect([asked.get('from'), asked.get('to')]).toEqual([from, to]);
});

test('a column that is no time has no windows here', async () => {
  const selection = http({ url: 'http://127.0.0.1:1/' }).rows('x', events);
  await expect(readAll(selection, { since: { column: 'id', low: null, lagMs: 0 } }, testContext())).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
});
