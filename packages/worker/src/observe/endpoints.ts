import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { MillraceError } from '@millrace/core/runtime';

export interface Answer {
  readonly status: 200 | 503;
  readonly body: string;
}

export interface EndpointOptions {
  /** 127.0.0.1 by default: whoever wants to be seen from outside says so. */
  readonly host?: string;
  /** 0: any that is free. */
  readonly port: number;
  /** What is answered under a path. */
  readonly paths: Readonly<Record<string, () => Promise<Answer>>>;
  /** How long an answer may take, 5 s by default. */
  readonly answerMs?: number;
}

export interface Endpoints extends AsyncDisposable {
  readonly url: string;
}

/** `/metrics` is Prometheus' text, the others are one word for a load balancer and a line for a person. */
const types: Readonly<Record<string, string>> = { '/metrics': 'text/plain; version=0.0.4; charset=utf-8' };

/** Serves until disposed; then connections are cut, also those that a prober keeps open. @throws CONFIG_INVALID where the port is taken */
export async function serveEndpoints({ host = '127.0.0.1', port, paths, answerMs = 5_000 }: EndpointOptions): Promise<Endpoints> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000, maxHeaderSize: 8_192 },
    (request, response) => {
      void respond(request, response, paths, answerMs);
    },
  );
  server.maxConnections = 64;
  server.on('clientError', (_, socket) => socket.destroy());
  await listen(server, host, port);
  server.unref();
  const address = server.address() as AddressInfo;
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  paths: EndpointOptions['paths'],
  answerMs: number,
): Promise<void> {
  request.on('error', () => {});
  response.on('error', () => {});
  request.resume();
  const path = (request.url ?? '').replace(/[?#].*$/s, '');
  const answer = Object.hasOwn(paths, path) ? paths[path] : undefined;
  const reads = request.method === 'GET' || request.method === 'HEAD';
  if (!answer || !reads) {
    response.writeHead(answer ? 405 : 404, { 'content-type': 'text/plain; charset=utf-8', ...(answer ? { allow: 'GET, HEAD' } : {}) });
    response.end(answer ? 'method not allowed\n' : `not found; there are ${Object.keys(paths).join(', ')}\n`);
    return;
  }
  const { status, body } = await inTime(answer, answerMs);
  response.writeHead(status, { 'content-type': types[path] ?? 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function inTime(answer: () => Promise<Answer>, answerMs: number): Promise<Answer> {
  const done = new AbortController();
  const late = sleep(answerMs, { status: 503, body: `no answer within ${answerMs} ms\n` } as const, { signal: done.signal, ref: false });
  late.catch(() => {});
  try {
    return await Promise.race([answer(), late]);
  } catch {
    return { status: 503, body: 'the question could not be answered; the log says why\n' };
  } finally {
    done.abort();
  }
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      server.on('error', () => {}); // one connection could not be taken; others can
      resolve();
    });
  }).catch((cause: NodeJS.ErrnoException) => {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The endpoints cannot be served on ${host}:${port}: ${cause.code ?? cause.message}.`,
      remedy: 'Choose another host or port for them.',
      facts: { host, port },
      cause,
    });
  });
}
