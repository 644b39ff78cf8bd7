import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { type Answer, serveEndpoints } from './endpoints.ts';
import { healthOf } from './health.ts';

const ok: Answer = { status: 200, body: 'ok\n' };

it('answers what it has, by GET and HEAD, and nothing else', async () => {
  await using served = await serveEndpoints({
    port: 0,
    paths: { '/health': async () => ok, '/metrics': async () => ({ status: 200, body: 'm 1\n' }) },
  });
  expect(served.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const metrics = await fetch(`${served.url}/metrics?x=1`);
  expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await metrics.text()).toBe('m 1\n');
  expect((await fetch(`${served.url}/health`, { method: 'HEAD' })).status).toBe(200);
  expect((await fetch(`${served.url}/health`, { method: 'POST', body: 'x'.repeat(100_000) })).status).toBe(405);
  expect((await fetch(`${served.url}/constructor`)).status).toBe(404);
});

it('does not hang with what it asks, nor fail with it', async () => {
  await using served = await serveEndpoints({
    port: 0,
    answerMs: 50,
    paths: { '/ready': () => new Promise(() => {}), '/metrics': () => Promise.reject(new Error('geheim')) },
  });
  expect((await fetch(`${served.url}/ready`)).status).toBe(503);
  const failed = await fetch(`${served.url}/metrics`);
  expect(failed.status).toBe(503);
  expect(await failed.text()).not.toContain('geheim');
});

it('closes at once, also on a prober that keeps its connection', async () => {
  const served = await serveEndpoints({ port: 0, paths: { '/health': () => new Promise(() => {}) } });
  const socket = connect(Number(new URL(served.url).port), '127.0.0.1');
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await served[Symbol.asyncDispose]();
  await closed;
});

it('says which port is taken', async () => {
  await using served = await serveEndpoints({ port: 0, paths: {} });
  await expect(serveEndpoints({ port: Number(new URL(served.url).port), paths: {} })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('EADDRINUSE'),
  });
});

it('is healthy while the main loop turns, and ready while everything is there and nobody has asked it to end', async () => {
  let connected = false;
  const { paths, turned, draining } = healthOf({
    silenceMs: 300,
    ready: {
      'state store': () => true,
      dispatch: () => connected,
    },
  });
  expect((await paths['/health']()).status).toBe(200);
  turned();
  expect((await paths['/health']()).status).toBe(200);
  await new Promise((resolve) => setTimeout(resolve, 350));
  expect((await paths['/health']()).status).toBe(503);
  turned();
  expect((await paths['/health']()).status).toBe(200);
  expect(await paths['/ready']()).toEqual({ status: 503, body: 'not there: dispatch\n' });
  connected = true;
  expect((await paths['/ready']()).status).toBe(200);
  draining();
  await new Promise((resolve) => setTimeout(resolve, 350));
  expect((await paths['/health']()).status).toBe(200);
  expect(await paths['/ready']()).toEqual({ status: 503, body: 'draining\n' });
});
