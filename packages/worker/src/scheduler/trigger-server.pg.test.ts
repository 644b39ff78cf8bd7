import { connect } from 'node:net';
import { manual } from '@millrace/core/runtime';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ScheduleWorld, scheduled, scheduleWorld } from '../../test/schedule-world.ts';
import { type TriggerServer, triggerServer } from './trigger-server.ts';

let world: ScheduleWorld;
let server: TriggerServer;
beforeAll(async () => {
  world = await scheduleWorld();
  const pipelines = new Map([scheduled('nightly', manual, { params: { country: 'fr' } })]);
  server = await triggerServer({ launch: world.launch(pipelines), pipelines, token: 's3cret', now: () => world.store.now(), port: 0 });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const bearer = { authorization: 'Bearer s3cret' };
async function post(body: unknown, options: { path?: string; headers?: Record<string, string>; method?: string } = {}) {
  const { path = '/pipelines/nightly/runs', headers = bearer, method = 'POST' } = options;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(server.url + path, { method, headers, ...(method === 'POST' && { body: text }) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown>, headers: response.headers };
}

it('makes a run with what was asked, and one for each idempotency key', async () => {
  const body = {
    params: { country: 'de' },
    idempotencyKey: 'order 7',
    window: { start: '2026-03-01T00:00:00Z', end: '2026-03-02T00:00:00+01:00' },
  };
  const made = await post(body);
  expect(made).toMatchObject({ status: 201, body: { pipeline: 'nightly', created: true, run: expect.any(String) } });
  const again = await Promise.all([post(body), post(body)]);
  for (const one of again) expect(one).toMatchObject({ status: 200, body: { run: made.body['run'], created: false } });
  const { request } = await world.runs.read(made.body['run'] as string);
  expect(request).toMatchObject({ params: { country: 'de' }, window: { end: '2026-03-01T23:00:00.000Z' }, idempotencyKey: 'http:order 7' });
  const header = await post('', { headers: { ...bearer, 'idempotency-key': 'header' } });
  expect(header.status).toBe(201);
  expect((await post({}, { headers: { ...bearer, 'idempotency-key': 'header' } })).body['run']).toBe(header.body['run']);
  expect(await world.runsOf('nightly')).toHaveLength(2);
});

it.each<[what: string, status: number, body: unknown, options: Parameters<typeof post>[1]]>([
  ['no token', 401, {}, { headers: {} }],
  ['another token', 401, {}, { headers: { authorization: 'Bearer s3creT' } }],
  ['an empty token', 401, {}, { headers: { authorization: 'Bearer ' } }],
  ['another kind of password', 401, {}, { headers: { authorization: 'Basic czNjcmV0' } }],
  ['no token, where there is no such pipeline', 401, {}, { path: '/pipelines/other/runs', headers: {} }],
  ['no such pipeline', 404, {}, { path: '/pipelines/other/runs' }],
  ['no such path', 404, {}, { path: '/' }],
  ['a path that cannot be decoded', 404, {}, { path: '/pipelines/%ff/runs' }],
  ['GET', 405, {}, { method: 'GET' }],
  ['a key that was used for something else', 409, { idempotencyKey: 'order 7', params: { country: 'it' } }, {}],
  ['too much', 413, { params: { country: 'x'.repeat(70_000) } }, {}],
  ['no JSON', 422, '{', {}],
  ['a list', 422, [], {}],
  ['an unknown field', 422, { param: {} }, {}],
  ['a number for a parameter', 422, { params: { country: 1 } }, {}],
  ['a window without an end', 422, { window: { start: '2026-03-01T00:00:00Z' } }, {}],
  ['a time without an offset', 422, { logicalTime: '2026-03-01T00:00:00' }, {}],
  ['a key of no length', 422, { idempotencyKey: '' }, {}],
])('%s is %i', async (_, status, body, options) => {
  const before = (await world.runsOf('nightly')).length;
  const answer = await post(body, options);
  expect(answer.status).toBe(status);
  expect(answer.body).toMatchObject({
    error: expect.any(String),
    message: expect.stringMatching(/\w/),
    remedy: expect.stringMatching(/\w/),
  });
  expect(JSON.stringify(answer.body)).not.toContain('s3cret');
  expect(await world.runsOf('nightly')).toHaveLength(before);
});

it('a body without a length is cut off where it is too large', async () => {
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(16_384).fill(32)),
  });
  const init = { method: 'POST', headers: bearer, body: stream, duplex: 'half' };
  const answer = await fetch(`${server.url}/pipelines/nightly/runs`, init as RequestInit).then(
    ({ status }) => status,
    () => 'cut off',
  );
  expect([413, 'cut off']).toContain(answer);
});

it('only this machine can reach it unless it is asked to listen elsewhere', async () => {
  expect(new URL(server.url).hostname).toBe('127.0.0.1');
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
      socket.destroy();
      resolve();
    }).on('error', reject);
  });
});
