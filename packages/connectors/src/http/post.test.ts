import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, bytea, float8, int4, int8, json, numeric, table, text, timestamptz } from '@millrace/core';
import type { Target } from '@millrace/core/runtime';
import { afterEach, expect, test } from 'vitest';
import { type ApiServer, type ApiServerOptions, apiServer } from '../../../../test/api-server.ts';
import { bundled } from '../../../../test/bundle.ts';
import { loadRows, type TestLoad, testContext } from '../../test/load.ts';
import { s3 } from '../s3/index.ts';
import { bearer, type HttpOptions, http, type PostOptions } from './index.ts';

const noted = table('noted', { id: int4(), note: text().orNull() }, { key: ['id'] });
const rows = (count: number, from = 1) =>
  Array.from({ length: count }, (_, at) => ({ id: from + at, note: at % 2 ? `n${from + at}` : null }));

let server: ApiServer;
afterEach(() => server[Symbol.asyncDispose]());
const start = async (options: Partial<ApiServerOptions> = {}) => {
  server = await apiServer({
    records: () => [],
    answer: (_request, response) => !!response.writeHead(202).end('{"taken":true}'),
    ...options,
  });
};
const send = (splits: TestLoad['splits'], post: PostOptions = {}, more: Partial<TestLoad> = {}, options: Partial<HttpOptions> = {}) => {
  const api = http({ url: server.url, retry: { attempts: 3, delay: '1ms' }, ...options });
  return loadRows(api.post('import', post) as Target<never>, { schema: noted, splits, ...more });
};
const bodies = () => server.requests.map(({ body }) => JSON.parse(body) as unknown);
const keys = () => server.requests.map(({ headers }) => headers['idempotency-key']);

test('rows go in batches, in order, each with a key of its own', async () => {
  await start();
  const receipt = await send([rows(5), rows(2, 6)], { batchRows: 2 });
  expect(bodies()).toEqual([rows(2), rows(2, 3), rows(1, 5), rows(2, 6)]);
  expect(receipt).toMatchObject({ rows: 7, loadId: 'load-1', checkpoint: { window: null } });
  expect(new Set(keys()).size).toBe(4);
  expect(server.requests[0]).toMatchObject({ method: 'POST', target: '/import', headers: { 'content-type': 'application/json' } });
});

test.each<[PostOptions, string, string]>([
  [{ body: 'list' }, '[{"id":1,"note":null},{"id":2,"note":"n2"}]', 'application/json'],
  [{ body: { list: 'events' }, method: 'PUT' }, '{"events":[{"id":1,"note":null},{"id":2,"note":"n2"}]}', 'application/json'],
  [{ body: 'lines' }, '{"id":1,"note":null}\n{"id":2,"note":"n2"}\n', 'application/x-ndjson'],
  [{ body: 'row' }, '{"id":1,"note":null}', 'application/json'],
  [{ batchBytes: 25 }, '[{"id":1,"note":null}]', 'application/json'],
])('%j', async (post, body, type) => {
  await start();
  await send([rows(2)], post);
  expect(server.requests[0]).toMatchObject({ method: post.method ?? 'POST', body, headers: { 'content-type': type } });
});

test('values are JSON, and no digit is lost', async () => {
  await start();
  const all = table('all', { a: int8(), b: numeric(), c: float8(), d: json(), e: bytea(), f: array(int8()), g: timestamptz(), h: text() });
  const row = {
    a: 9007199254740993n,
    b: '1.10',
    c: Number.NaN,
    d: '{\n "x": 1.0}',
    e: new Uint8Array([1, 255]),
    f: [1n, null],
    g: '2026-03-29T00:00:00.000001Z',
    h: '\u2028"\\\n',
  };
  await send([[row]], {}, { schema: all });
  await send([[row]], { numbers: 'number' }, { schema: all });
  const rest = '"d":{  "x": 1.0},"e":"\\\\x01ff"';
  expect(server.requests.map(({ body }) => body)).toEqual([
    `[{"a":"9007199254740993","b":"1.10","c":"NaN",${rest},"f":["1",null],"g":"2026-03-29T00:00:00.000001Z","h":"\u2028\\"\\\\\\n"}]`,
    `[{"a":9007199254740993,"b":1.10,"c":"NaN",${rest},"f":[1,null],"g":"2026-03-29T00:00:00.000001Z","h":"\u2028\\"\\\\\\n"}]`,
  ]);
});

test('a zero below zero stays one', async () => {
  await start();
  await send([[{ c: -0 }, { c: 0 }]], {}, { schema: table('zeros', { c: float8() }) });
  expect(server.requests[0]?.body).toBe('[{"c":-0},{"c":0}]');
});

test('nothing is sent before the commit', async () => {
  await start();
  const broken = async () => {
    throw new Error('a check has failed');
  };
  const channel: TestLoad['channel'] = (schema) => ({
    format: 'batches',
    schema,
    batches: { [Symbol.asyncIterator]: () => ({ next: broken }) },
  });
  await expect(send([rows(3)], {}, { channel })).rejects.toThrow('a check has failed');
  expect(server.requests).toEqual([]);
});

test('a load that is repeated sends the same keys for the same rows, and other keys for others', async () => {
  await start();
  await send([rows(4)], { batchRows: 2 });
  await send([rows(4)], { batchRows: 2 }, { epoch: 2 });
  expect(keys().slice(2)).toEqual(keys().slice(0, 2));
  await send([[...rows(2), { id: 9, note: 'changed' }, { id: 4, note: null }]], { batchRows: 2 });
  expect(keys()[4]).toBe(keys()[0]);
  expect(keys()[5]).not.toBe(keys()[1]);
  await send([rows(4)], { batchRows: 2 }, { id: 'load-2' });
  expect(keys().slice(0, 6)).not.toContain(keys()[6]);
});

test('a load that is killed between its requests is sent again, and who remembers keys has every row once', async () => {
  const taken = new Map<string, string>();
  await start({
    answer({ headers, body }, response) {
      taken.set(String(headers['idempotency-key']), body);
      return !!response.end();
    },
  });
  await using attempts = await killed({ url: server.url });
  expect(await attempts.run('http.post.sent:2', 'http.post.sent:1', '')).toEqual(['SIGKILL', 'SIGKILL', 0]);
  expect(server.requests).toHaveLength(2 + 1 + 3);
  expect([...taken.values()].flatMap((body) => JSON.parse(body) as unknown[])).toEqual([1, 2, 3, 4, 5].map((id) => ({ id })));
});

test('a window that was sent and not noted is sent again under the same keys; once noted it is not', async () => {
  await start();
  await using attempts = await killed({ url: server.url, ledger: `file:${mkdtempSync(join(tmpdir(), 'millrace-ledger-'))}` });
  expect(await attempts.run('http.post.done:1', '', '')).toEqual(['SIGKILL', 0, 0]);
  expect(server.requests).toHaveLength(3 + 3);
  expect(keys().slice(3)).toEqual(keys().slice(0, 3));
});

/** A load in processes of its own, one after the other, each killed where it is told. */
async function killed(load: { readonly url: string; readonly ledger?: string }) {
  const program = await bundled(new URL('../../test/post-once.ts', import.meta.url));
  let epoch = 0;
  const attempt = async (failpoint: string) => {
    const child = spawn(process.execPath, [program.file, JSON.stringify({ ...load, epoch: ++epoch })], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, MILLRACE_FAILPOINT: failpoint },
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return signal ?? code;
  };
  return {
    async run(...failpoints: readonly string[]) {
      const ends = [];
      for (const failpoint of failpoints) ends.push(await attempt(failpoint));
      return ends;
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

test('what fails on the way is sent again under its key', async () => {
  const statuses = [500, 429, 202, 202];
  await start({ answer: (_request, response) => !!response.writeHead(statuses.shift() ?? 500, { 'retry-after': '0' }).end() });
  await send([rows(4)], { batchRows: 2 });
  expect(bodies()).toEqual([rows(2), rows(2), rows(2), rows(2, 3)]);
  expect(new Set(keys().slice(0, 3)).size).toBe(1);
});

test('what is refused fails the load, with what the receiver says', async () => {
  await start({ answer: (_request, response) => !!response.writeHead(422).end('id 1 is taken') });
  await expect(send([rows(1)])).rejects.toMatchObject({ code: 'REMOTE_REFUSED', message: expect.stringContaining('id 1 is taken') });
  await expect(send([rows(1)], { accept: [422] })).resolves.toMatchObject({ rows: 1 });
});

test('an answer for each row by itself is no answer for all of them', async () => {
  await start({ answer: (_request, response) => !!response.writeHead(207).end('[{"status":201},{"status":400,"error":"no such id"}]') });
  await expect(send([rows(2)])).rejects.toMatchObject({ code: 'REMOTE_REFUSED', message: expect.stringContaining('no such id') });
  expect(server.requests).toHaveLength(1);
  await expect(send([rows(2)], { accept: [207] })).resolves.toMatchObject({ rows: 2 });
});

test('a request that is too large goes in halves', async () => {
  await start({ answer: ({ body }, response) => !!response.writeHead((JSON.parse(body) as []).length > 2 ? 413 : 200).end() });
  await send([rows(5)]);
  const taken = bodies().filter((body) => (body as []).length <= 2);
  expect(taken.flat()).toEqual(rows(5));
  expect(new Set(keys()).size).toBe(server.requests.length);
});

test('requests go side by side where that is wanted', async () => {
  let open = 0;
  let most = 0;
  await start({
    async answer(_request, response) {
      most = Math.max(most, ++open);
      await new Promise((done) => setTimeout(done, 20));
      open--;
      return !!response.end();
    },
  });
  await send([rows(12)], { batchRows: 1, concurrency: 3 });
  expect(most).toBe(3);
  expect(bodies().flat()).toHaveLength(12);
});

test('redirects of what does something are not followed, and credentials stay', async () => {
  const other = await apiServer({ records: () => [] });
  await using _other = other;
  await start({ answer: (_request, response) => !!response.writeHead(307, { location: `${other.url}import` }).end() });
  const options = { auth: bearer('travelling-secret'), hosts: [new URL(other.url).host] };
  await expect(send([rows(1)], {}, {}, options)).rejects.toMatchObject({ code: 'REMOTE_REFUSED' });
  expect(other.requests).toEqual([]);
});

const window = (low: string | null, high: string) => ({ column: 'id', low, high });

test('a window has no place at a receiver', async () => {
  await start();
  await expect(send([rows(1)], {}, { window: window(null, '9') })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('with a ledger, windows follow one another, and a load that is noted is not sent again', async () => {
  await start();
  const lake = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
  const post = { ledger: s3({ url: `file:${lake}` }) };
  const one = await send([rows(2)], post, { id: 'one', window: window(null, '5') });
  expect(await send([rows(2)], post, { id: 'one', window: window(null, '5'), epoch: 2 })).toEqual(one);
  await send([rows(1, 6)], post, { id: 'two', window: window('5', '9') });
  await expect(send([rows(1)], post, { id: 'three', window: window('5', '7') })).rejects.toMatchObject({ code: 'CHECKPOINT_MOVED' });
  expect(bodies()).toEqual([rows(2), rows(1, 6)]);

  const target = http({ url: server.url }).post('import', post);
  await using sink = await target.open(testContext());
  expect(await sink.checkpoint({ pipeline: 'nightly', step: 'facts' })).toEqual({ window: window('5', '9'), loadId: 'two' });
  expect(await sink.checkpoint({ pipeline: 'nightly', step: 'other' })).toBe(null);
});

test('of two attempts that send at the same time one is noted', async () => {
  await start();
  const post = { ledger: s3({ url: `file:${mkdtempSync(join(tmpdir(), 'millrace-ledger-'))}` }) };
  const [one, two] = await Promise.all([1, 2].map((epoch) => send([rows(2)], post, { epoch, window: window(null, '5') })));
  expect(two).toEqual(one);
  const both = ['a', 'b'].map((id) => send([rows(2)], post, { id, window: window('5', '9') }));
  const ends = (await Promise.allSettled(both)).map((end) => (end.status === 'rejected' ? end.reason.code : 'sent')).sort();
  expect(ends).toEqual([expect.stringMatching(/^(LOAD_CONFLICT|CHECKPOINT_MOVED)$/), 'sent']);
});

test('its files go, also those of a load that fails', async () => {
  await start();
  const spool = mkdtempSync(join(tmpdir(), 'millrace-post-'));
  await send([rows(3)], {}, { context: testContext(undefined, { spool }) });
  expect(readdirSync(spool)).toEqual([]);
});
