import { readdirSync } from 'node:fs';
import { int4, int8, numeric, run as runValue, table, text, timestamptz } from '@millrace/core';
import { testContext } from '@millrace/core/testing';
import { afterEach, expect, test } from 'vitest';
import {
  type ApiFault,
  type ApiServer,
  type ApiServerOptions,
  apiServer,
  type PagingStyle,
  pagingStyles,
} from '../../../../test/api-server.ts';
import { readAll } from '../../test/read.ts';
import { cursor, http, linkHeader, nextUrl, offset, pageNumber, type RowsOptions } from './index.ts';

const orders = table('orders', { id: int8(), total: numeric(12, 2), note: text().orNull() }, { key: ['id'] });
const log = table('log', { note: text() });

/** Strings that parsers, databases and terminals stumble over. */
const hostile = [
  '',
  'null',
  '\\N',
  'a"b\\',
  ']},{"id":0}',
  'ligne\nune\r\n',
  '車庫 🏎️ é',
  '\u202e\u0001',
  "'; drop table orders; --",
  '=1+1',
  '</script>',
];
const record = (id: number): string =>
  `{ "id": 900719925474099${1000 + id}, "total": ${id}.10, "note": ${id % 4 === 0 ? 'null' : JSON.stringify(hostile[id % hostile.length])}, "more": {"id": [${id}, "]"]} }`;
const rowOf = (id: number) => ({
  id: BigInt(`900719925474099${1000 + id}`),
  total: `${id}.10`,
  note: id % 4 === 0 ? null : hostile[id % hostile.length],
});
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

const options: Readonly<Record<PagingStyle, RowsOptions<typeof orders>>> = {
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
  'offset-total': { records: 'items', pages: offset({ total: 'total', size: { param: 'limit', value: 500 } }) },
  post: { records: 'items', body: { kind: 'order' }, pages: cursor({ param: 'cursor', from: 'meta.next' }) },
};

let server: ApiServer;
afterEach(() => server[Symbol.asyncDispose]());
const start = async (more: Partial<ApiServerOptions> = {}, count = 35) => {
  server = await apiServer({ records: () => numbers(count).map(record), ...more });
};
const api = (attempts = 4) => http({ url: server.url, retry: { attempts, delay: '1ms', longestWait: '2s' }, timeout: '10s' });
const context = testContext();
const read = (style: PagingStyle, attempts?: number) => readAll(api(attempts).rows(style, orders, options[style]), {}, context);

test.each(pagingStyles)('%s: every record once, to the last digit', async (style) => {
  await start();
  expect((await read(style)).rows).toEqual(numbers(35).map(rowOf));
});

test.each(pagingStyles)('%s: no records are no rows, and a full last page is the last', async (style) => {
  let count = 0;
  await start({ records: () => numbers(count).map(record) });
  expect((await read(style)).rows).toEqual([]);
  count = 20;
  expect((await read(style)).rows).toHaveLength(20);
});

const faults: readonly (readonly [string, ApiFault])[] = [
  ['truncated JSON', { kind: 'truncated' }],
  ['a connection reset in the middle', { kind: 'cut' }],
  ['a connection reset before the answer', { kind: 'reset' }],
  ['a page of HTML', { kind: 'garbled' }],
  ['a truncated gzip stream', { kind: 'half gzip' }],
  ['an earlier page', { kind: 'stale' }],
  ['429 with seconds', { kind: 'status', status: 429, headers: { 'retry-after': '0' } }],
  ['429 with a date', { kind: 'status', status: 429, headers: { 'retry-after': new Date(Date.now() - 5_000).toUTCString() } }],
  ['429 without a word', { kind: 'status', status: 429 }],
  ['403 of a used-up limit', { kind: 'status', status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '0' } }],
  ['500', { kind: 'status', status: 500 }],
  ['503 with seconds', { kind: 'status', status: 503, headers: { 'retry-after': '0' } }],
  ['408', { kind: 'status', status: 408 }],
];

test.each(pagingStyles)('%s: faults of every kind, one after the other, cost requests and no records', async (style) => {
  for (const [, fault] of faults) {
    await start();
    server.fail(fault, { after: style === 'single' ? 0 : 1 });
    expect((await read(style)).rows, fault.kind).toEqual(numbers(35).map(rowOf));
    await server[Symbol.asyncDispose]();
  }
  await start({}, 0);
});

test.each(faults)('%s that does not pass ends the read with an error, and no row of the page has been handed on', async (_, fault) => {
  await start();
  server.fail(fault, { after: 2, times: 1_000 });
  const source = await api(2).rows('offset', orders, options.offset).open(context);
  await using _source = source;
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1, earlier: null });
  const channel = await source.open(plan.splits[0]!, 'batches');
  const drain = async () => {
    if (channel.format === 'batches') for await (const batch of channel.batches) void batch;
  };
  const code = /^(WIRE_CORRUPT|CONNECTION_FAILED|REMOTE_THROTTLED|REMOTE_UNAVAILABLE|PAGES_MOVED)$/;
  await expect(drain()).rejects.toMatchObject({ code: expect.stringMatching(code) });
});

test.each(['gzip', 'br'] as const)('answers in %s are read', async (encoding) => {
  await start({ encoding });
  expect((await read('link')).rows).toEqual(numbers(35).map(rowOf));
  expect(server.requests[0]?.headers['accept-encoding']).toBe('gzip, br');
});

test('a short page is not the last one: APIs give fewer than they are asked for', async () => {
  await start({ pageSize: 3 });
  expect((await read('offset-total')).rows).toHaveLength(35);
  expect(server.requests[1]?.target).toBe('/offset-total?limit=500&offset=3');
});

test('rows that move to a later page while it is read come once', async () => {
  let inserted = 0;
  await start({
    records: () => [...numbers(inserted).map((n) => record(100 + n)), ...numbers(30).map(record)],
    answer() {
      inserted = Math.min(3, inserted + 1);
      return false;
    },
  });
  expect((await read('offset')).rows.map(({ id }) => id)).toEqual([rowOf(101), ...numbers(30).map(rowOf)].map(({ id }) => id));
});

test('rows that move to an earlier page are missed, and the total says so', async () => {
  let gone = 0;
  await start({
    records: () => numbers(30).slice(gone).map(record),
    answer({ target }) {
      if (target.includes('offset=10')) gone = 2;
      return false;
    },
  });
  await expect(read('offset-total')).rejects.toMatchObject({ code: 'PAGES_MOVED', message: expect.stringContaining('it has 28') });
});

test('fewer pages than before are told as well', async () => {
  let gone = 0;
  await start({
    records: () => numbers(30).slice(gone).map(record),
    answer({ target }) {
      if (target.includes('page=2')) gone = 15;
      return false;
    },
  });
  await expect(read('pages')).rejects.toMatchObject({ code: 'PAGES_MOVED', message: expect.stringContaining('it had 3 pages') });
});

test('rows without a key that come twice are told by the total', async () => {
  const pages = [
    ['1', '2'],
    ['2', '3'],
  ].map((page, at) => `{"items":[${page.map((note) => `{"note":"${note}"}`).join(',')}],"total":3,"next":${at === 0 ? '"x"' : 'null'}}`);
  await start({ answer: (_request, response) => !!response.end(pages.shift()) });
  const rows = { records: 'items', pages: cursor({ param: 'c', from: 'next', total: 'total' }) };
  await expect(readAll(api().rows('x', log, rows), {}, context)).rejects.toMatchObject({
    code: 'PAGES_MOVED',
    message: expect.stringContaining('some of them twice'),
  });
});

test.each([
  [offset(), 'PAGES_MOVED'],
  [cursor({ param: 'offset', fromLast: 'place' }), null],
])('a row that changes moves to the end, and takes the place of one that is not seen where rows are counted', async (pages, code) => {
  const dated = table('dated', { id: int4(), at: timestamptz() }, { key: ['id'] });
  const day = (id: number) => `2026-03-${String(id).padStart(2, '0')}T00:00:00Z`;
  const all = numbers(25).map((id) => ({ id, at: day(id), place: id }));
  await start({
    answer({ target }, response) {
      const from = Number(new URL(target, server.url).searchParams.get('offset') ?? 0);
      const list = pages.kind === 'offset' ? all.slice(from, from + 10) : all.filter(({ place }) => place > from).slice(0, 10);
      response.end(JSON.stringify(list));
      // The first row changes, once, when it has been read.
      if (all[0]?.id === 1) all.push({ ...all.shift()!, at: '2026-03-28T00:00:00Z', place: 26 });
      return true;
    },
  });
  const since = { column: 'at', low: null, lagMs: 0 };
  const reading = readAll(api().rows('x', dated, { pages }), { since }, { ...context, now: () => new Date('2026-03-29T00:00:00Z') });
  if (code !== null) await expect(reading).rejects.toMatchObject({ code });
  else expect((await reading).rows.map(({ id }) => id)).toEqual([...numbers(25), 1]);
});

test.each([
  [
    'a next link that leads to its own page',
    { records: 'data', pages: nextUrl('links.self') },
    '{"data":[{"id":1,"total":1}],"links":{"self":"/x"}}',
    'REMOTE_REFUSED',
  ],
  ['a page parameter that the API takes no notice of', { pages: pageNumber() }, '[{"id":1,"total":1}]', 'PAGES_MOVED'],
  [
    'a cursor that never ends and brings nothing',
    { records: 'data', pages: cursor({ param: 'c', from: 'next' }), maxPages: 20 },
    null,
    'REMOTE_REFUSED',
  ],
] as const)('%s ends with an error', async (_, rows, body, code) => {
  let asked = 0;
  await start({
    answer(_request, response) {
      response.end(body ?? `{"data":[],"next":"${++asked}"}`);
      return true;
    },
  });
  await expect(readAll(api().rows('x', orders, rows as RowsOptions<typeof orders>), {}, context)).rejects.toMatchObject({ code });
  expect(server.requests.length).toBeLessThan(30);
});

test('pages of a table without a key may not be equal', async () => {
  const first = numbers(10).map((n) => `{"note":"${n}"}`);
  await start({ records: () => [...first, ...first] });
  await expect(readAll(api().rows('offset', log, { pages: offset() }), {}, context)).rejects.toMatchObject({ code: 'PAGES_MOVED' });
});

test.each([
  ['an object where the list should be', {}, '{"error":"quota"}', /something else/],
  ['no list where it should be', { records: 'data' }, '{"error":"quota"}', /no list at "data"/],
] as const)('%s is an error, though the status is 200', async (_, rows, body, message) => {
  await start({ answer: (_request, response) => !!response.end(body) });
  await expect(readAll(api().rows('x', orders, rows), {}, context)).rejects.toMatchObject({
    code: 'REMOTE_REFUSED',
    message: expect.stringMatching(message),
  });
});

test('null, an absent list that may be absent, and 204 are no records', async () => {
  const bodies = ['{"data":null}', '{"next":null}', null];
  await start({
    answer(_request, response) {
      const body = bodies.shift();
      if (body === null) response.writeHead(204).end();
      else response.end(body);
      return true;
    },
  });
  const rows = api().rows('x', orders, { records: 'data', mayBeAbsent: true });
  for (let at = 0; at < 3; at++) expect((await readAll(rows, {}, context)).rows).toEqual([]);
});

test('a page that is larger than memory should hold goes through a file, and the file goes', async () => {
  const wide = 'x'.repeat(10_000);
  await start({ records: () => numbers(1_200).map((id) => `{"id":${id},"total":0,"note":"${wide}"}`) });
  const { rows } = await read('single');
  expect(rows).toHaveLength(1_200);
  expect(rows.at(-1)).toEqual({ id: 1200n, total: '0.00', note: wide });
  expect(readdirSync(context.spool)).toEqual([]);
});

test('pages and records that are larger than they may be are refused', async () => {
  await start();
  const rows = (more: RowsOptions<typeof orders>) => readAll(api().rows('single', orders, more), {}, context);
  await expect(rows({ maxPageBytes: 500 })).rejects.toMatchObject({
    code: 'MEMORY_EXHAUSTED',
    message: expect.stringContaining('500 bytes'),
  });
  await expect(rows({ maxRecordBytes: 50 })).rejects.toMatchObject({
    code: 'MEMORY_EXHAUSTED',
    message: expect.stringContaining('50 bytes'),
  });
});

test('a record that does not fit says which, and where', async () => {
  await start({ records: () => [record(1), '{"id":2,"total":1.234}'] });
  await expect(read('single')).rejects.toMatchObject({
    code: 'TYPE_MISMATCH',
    message: expect.stringMatching(/^Record 2 of page 1 of "single": Column "total": .*1\.234/),
    facts: { column: 'total' },
  });
});

test('lists within records become rows, with values of the record around them', async () => {
  const lines = table('lines', { order_id: int4(), place: text(), sku: text() });
  await start({
    records: () => [
      '{"lines":[{"product":{"sku":"a"}},{"product":{"sku":"b"}}],"id":1,"ship":{"city":"Oslo"}}',
      '{"id":2,"ship":{"city":"Bern"},"lines":[]}',
      '{"id":3,"ship":{"city":"Rome"}}',
      '{"id":4,"ship":{"city":"Lima"},"lines":[{"product":{"sku":"c"}}]}',
    ],
  });
  const rows = api().rows('single', lines, { each: 'lines', fields: { order_id: '../id', place: '../ship.city', sku: 'product.sku' } });
  expect((await readAll(rows, {}, context)).rows).toEqual([
    { order_id: 1, place: 'Oslo', sku: 'a' },
    { order_id: 1, place: 'Oslo', sku: 'b' },
    { order_id: 4, place: 'Lima', sku: 'c' },
  ]);
});

test('parameters of the run stand in query and path, and cannot lead elsewhere', async () => {
  await start({ answer: (_request, response) => !!response.end('[]') });
  const run = { ...context.run, params: { shop: 'a/../b?c', up: '..' } };
  const asked = (path: string, rows: RowsOptions) => readAll(api().rows(path, orders, rows as never), {}, { ...context, run });
  await asked('shops/{shop}/orders', {
    path: { shop: runValue.param('shop') },
    query: { day: runValue.date, state: ['new', 'old'], all: true },
  });
  expect(server.requests[0]?.target).toBe('/shops/a%2F..%2Fb%3Fc/orders?day=2026-03-29&state=new&state=old&all=true');
  await expect(asked('shops/{up}', { path: { up: runValue.param('up') } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(asked('../admin', {})).resolves.toBeDefined();
  await expect(asked('//elsewhere.example.com/x', {})).resolves.toBeDefined();
  expect(server.requests.slice(1).map(({ target }) => target)).toEqual(['/admin', '/elsewhere.example.com/x']);
});

test('records are shaped by a Standard Schema', async () => {
  await start({ records: () => ['{"ID":"7","total":12345678901234567890.12}', '{"ID":"x","total":1}'] });
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value: unknown) => {
        const { ID, total } = value as { ID: string; total: unknown };
        return /^\d+$/.test(ID) ? { value: { id: ID, total, note: typeof total } } : { issues: [{ message: 'no number', path: ['ID'] }] };
      },
    },
  } as const;
  const exact = table('exact', { id: int8(), total: numeric(), note: text() });
  const rows = api().rows('single', exact, { schema });
  await expect(readAll(rows, {}, context)).rejects.toMatchObject({
    code: 'TYPE_MISMATCH',
    message: expect.stringContaining('at "ID": no number'),
  });
  await server[Symbol.asyncDispose]();
  await start({ records: () => ['{"ID":"7","total":12345678901234567890.12}'] });
  expect((await readAll(api().rows('single', exact, { schema }), {}, context)).rows).toEqual([
    { id: 7n, total: '12345678901234567890.12', note: 'string' },
  ]);
});
