import { mkdtempSync, readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { int4, run, table, text } from '@millrace/core';
import { rowSourceConformance, testContext } from '@millrace/core/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { type ApiServer, apiServer, type SeenRequest } from '../../../../test/api-server.ts';
import { readAll } from '../../test/read.ts';
import { bearer, type HttpOptions, http } from './index.ts';

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => ({
    id: from + at,
    note: (from + at) % 3 === 0 ? null : `note ${from + at} ${'x'.repeat(50)}`,
  }));
const csv = (of: readonly { id: number; note: string | null }[]): Buffer =>
  Buffer.from(`id,note\n${of.map(({ id, note }) => `${id},${note ?? ''}`).join('\n')}\n`);

interface Served {
  readonly body: Buffer;
  readonly etag?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Files as a web server has them: HEAD, ranges, tags. */
const serving = (files: Record<string, Served>, faults: { noHead?: boolean; cut?: number; noRanges?: boolean } = {}) => {
  return ({ method, target, headers }: SeenRequest, response: ServerResponse): boolean => {
    const file = files[target];
    if (!file) return !!response.writeHead(404).end();
    if (method === 'HEAD' && faults.noHead) return !!response.writeHead(405).end();
    const { body, etag = '"v1"', headers: more = {} } = file;
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    const isPart = start > 0 && !faults.noRanges && headers['if-range'] === etag;
    const part = isPart ? body.subarray(start) : body;
    const range = isPart ? { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` } : {};
    response.writeHead(isPart ? 206 : 200, { 'content-length': part.length, ...(etag !== '' && { etag }), ...range, ...more });
    if (method === 'HEAD') return !!response.end();
    if (faults.cut === undefined || faults.cut-- <= 0) return !!response.end(part);
    response.write(part.subarray(0, Math.ceil(part.length / 2)), () => setTimeout(() => response.socket?.resetAndDestroy(), 20));
    return true;
  };
};

let server: ApiServer;
afterEach(() => server[Symbol.asyncDispose]());
const start = async (...of: Parameters<typeof serving>) => {
  server = await apiServer({ records: () => [], answer: serving(...of) });
};
const place = (more: Partial<HttpOptions> = {}) => http({ url: `${server.url}out`, retry: { attempts: 4, delay: '1ms' }, ...more });
const context = () => testContext({ memoryBudget: 256 * 1024 * 1024, spool: mkdtempSync(join(tmpdir(), 'millrace-http-')) });
const byId = (found: { readonly rows: readonly Readonly<Record<string, unknown>>[] }) =>
  [...found.rows].sort((a, b) => Number(a['id']) - Number(b['id']));

test('files are read by their names, compressed or not', async () => {
  await start({ '/out/a.csv': { body: csv(rows(1, 20)) }, '/out/b.csv.gz': { body: gzipSync(csv(rows(21, 40))) } });
  expect(byId(await readAll(place().csv('{a.csv,b.csv.gz}', noted), {}, context()))).toEqual(rows(1, 40));
  await expect(readAll(place().csv('{a,c}.csv', noted), {}, context())).rejects.toMatchObject({
    code: 'TABLE_MISSING',
    message: expect.stringContaining('out/c.csv'),
  });
  expect((await readAll(place().csv('{a,c}.csv', noted, { mayBeEmpty: true }), {}, context())).rows).toHaveLength(20);
});

test('a name may hold a value of the run', async () => {
  await start({ '/out/2026-03-29/a.csv': { body: csv(rows(1, 5)) } });
  const named = place().csv('{day}/a.csv', noted, { path: { day: run.date } });
  expect((await readAll(named, {}, context())).rows).toEqual(rows(1, 5));
  const wrong = place().csv('{day}/a.csv', noted, { path: { day: '*/..' } });
  await expect(readAll(wrong, {}, context())).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

describe('files on a web server are read as every source is', () => {
  rowSourceConformance(test, async () => {
    await start({ '/out/a.csv': { body: csv(rows(1, 20)) }, '/out/b.csv': { body: csv(rows(21, 40)) } });
    return {
      selection: place().csv('{a,b}.csv', noted),
      rows: rows(1, 40),
      splitBytes: 1_000,
      context: (options) => ({ ...context(), ...options }),
      async [Symbol.asyncDispose]() {},
    };
  });
});

test('a download that is cut goes on where it was cut', async () => {
  const body = csv(rows(1, 20_000));
  await start({ '/out/a.csv': { body } }, { cut: 2 });
  expect((await readAll(place().csv('a.csv', noted), {}, context())).rows).toHaveLength(20_000);
  const ranges = server.requests.flatMap(({ method, headers }) => (method === 'GET' ? [headers.range] : []));
  expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/), expect.stringMatching(/^bytes=\d+-$/)]);
});

test.each([
  ['no ranges', { noRanges: true, cut: 1 }, '"v1"'],
  ['no HEAD', { noHead: true }, '"v1"'],
  ['no tags', { cut: 1 }, ''],
  ['weak tags', { cut: 1 }, 'W/"v1"'],
] as const)('a server with %s will do', async (_, faults, etag) => {
  await start({ '/out/a.csv': { body: csv(rows(1, 5_000)), etag } }, { ...faults });
  expect((await readAll(place().csv('a.csv', noted), {}, context())).rows).toEqual(rows(1, 5_000));
});

test('what the server compresses on the way is unpacked, and what is compressed stays so', async () => {
  const packed = gzipSync(csv(rows(1, 10)));
  const headers = { 'content-encoding': 'gzip' };
  await start({ '/out/a.csv': { body: packed, headers }, '/out/b.csv.gz': { body: packed, headers } });
  for (const name of ['a.csv', 'b.csv.gz'])
    expect((await readAll(place().csv(name, noted), {}, context())).rows, name).toEqual(rows(1, 10));
});

test('a file that is unpacked as it comes begins anew where it was cut', async () => {
  const headers = { 'content-encoding': 'gzip' };
  await start({ '/out/a.csv': { body: gzipSync(csv(rows(1, 20_000))), headers } }, { cut: 2 });
  expect((await readAll(place().csv('a.csv', noted), {}, context())).rows).toHaveLength(20_000);
  const got = server.requests.filter(({ method }) => method === 'GET');
  expect(got.map(({ headers }) => headers.range)).toEqual([undefined, undefined, undefined]);
});

test('a file that changes between its parts is noticed', async () => {
  const files: Record<string, Served> = { '/out/a.csv': { body: csv(rows(1, 20)) } };
  await start(files);
  const own = context();
  await using source = await place().csv('a.csv', noted).open(own);
  const plan = await source.plan({ absorbed: [], since: null, splitBytes: 1, earlier: null });
  files['/out/a.csv'] = { body: csv(rows(1, 21)), etag: '"v2"' };
  await expect(source.open(plan.splits[0]!, 'csv')).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' });
  expect(readdirSync(own.spool).filter((name) => name.startsWith('in-'))).toEqual([]);
});

test('a file may lie at a listed host, which is told nothing', async () => {
  const files = await apiServer({ records: () => [], answer: serving({ '/signed/a.csv': { body: csv(rows(1, 5)) } }) });
  await using _files = files;
  server = await apiServer({
    records: () => [],
    answer: (_request, response) => !!response.writeHead(302, { location: `${files.url}signed/a.csv` }).end(),
  });
  const options = { auth: bearer('travelling-secret'), headers: { 'X-Tenant': 'travelling-secret' } };
  await expect(readAll(place(options).csv('a.csv', noted), {}, context())).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
  const listed = place({ ...options, hosts: [new URL(files.url).host] });
  expect((await readAll(listed.csv('a.csv', noted), {}, context())).rows).toEqual(rows(1, 5));
  expect(JSON.stringify(files.requests)).not.toContain('travelling-secret');
});

test.each(['*.csv', 'a?.csv', '[ab].csv'])('%s cannot be listed', (name) => {
  expect(() => http({ url: 'https://example.com/' }).csv(name, noted)).toThrow(expect.objectContaining({ code: 'PIPELINE_INVALID' }));
});
