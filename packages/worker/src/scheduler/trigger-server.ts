import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMillraceError, MillraceError, storeError } from '@millrace/core/runtime';
import type { Deployed, Launch } from './launch.ts';
import { parseTrigger, TriggerRefused, type TriggerRequest } from './trigger-request.ts';

export interface TriggerServerOptions {
  readonly launch: Launch;
  readonly pipelines: ReadonlyMap<string, Deployed>;
  /** What callers must send as `Authorization: Bearer …`. */
  readonly token: string;
  /** The time of the state store. */
  readonly now: () => Promise<Date>;
  /** 0 for any that is free. */
  readonly port: number;
  /** 127.0.0.1 by default: only who is on this machine. */
  readonly host?: string;
  /** Of a request's body; 65,536 bytes by default. */
  readonly maxBytes?: number;
  readonly onError?: (error: unknown) => void;
}

export interface TriggerServer extends AsyncDisposable {
  readonly url: string;
}

/**
 * Starts runs by HTTP: `POST /pipelines/<name>/runs` with a JSON object of `params`, `logicalTime`, `window`, `fullRefresh` and
 * `idempotencyKey` (or the header `Idempotency-Key`), all of them optional. Answers 201 with the run's id, 200 where the key has its
 * run already, else a code with `error`, `message` and `remedy`: 401 no or another token · 404 no such pipeline · 405 not POST ·
 * 409 the key was used for something else, or the pipeline runs and may not twice · 413 too large · 422 what is asked makes no sense ·
 * 503 the state database is away, try again.
 */
export async function triggerServer(options: TriggerServerOptions): Promise<TriggerServer> {
  const expected = digest(options.token);
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, maxHeaderSize: 16_384 }, (request, response) => {
    answer(request, options, expected)
      .catch((error: unknown) => failure(error, options.onError))
      .then(({ status, body }) => send(response, status, body));
  });
  const { host = '127.0.0.1', port } = options;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((cause: NodeJS.ErrnoException) => {
    throw new MillraceError('CONFIG_INVALID', {
      message: `Requests cannot be taken on ${host}:${port}: ${cause.code ?? cause.message}.`,
      remedy: 'Choose another host or port for them.',
      facts: { host, port },
      cause,
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 5_000).unref();
      }),
  };
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function answer(request: IncomingMessage, options: TriggerServerOptions, expected: Buffer): Promise<Answer> {
  const { launch, pipelines, maxBytes = 65_536 } = options;
  // Before anything is told, also of which pipelines there are.
  if (!authorized(request, expected))
    throw new TriggerRefused(401, 'The bearer token is missing or another one.', 'Send "Authorization: Bearer <token>".');
  const pipeline = pipelineOf(request.url ?? '');
  if (pipeline === undefined || !pipelines.has(pipeline))
    throw new TriggerRefused(
      404,
      pipeline === undefined ? 'There is nothing at this path.' : `There is no pipeline "${pipeline}".`,
      'POST to /pipelines/<name>/runs.',
    );
  if (request.method !== 'POST') throw new TriggerRefused(405, `${request.method} is not possible here.`, 'Use POST.');
  const asked = parseTrigger(await bodyOf(request, maxBytes), request.headers['idempotency-key']);
  const launched = await launch.launch({
    pipeline,
    logicalTime: asked.logicalTime ?? (await options.now()).toISOString(),
    window: asked.window,
    params: asked.params,
    fullRefresh: asked.fullRefresh,
    // Apart from the keys of schedules.
    idempotencyKey: `http:${asked.idempotencyKey ?? randomUUID()}`,
  });
  if (!launched.created && !isSame(asked, launched.request))
    throw new TriggerRefused(
      409,
      `The idempotency key was used before, for run ${launched.run}, which was asked for something else.`,
      'Use another key for another run.',
    );
  return { status: launched.created ? 201 : 200, body: { run: launched.run, pipeline, created: launched.created } };
}

function authorized({ headers }: IncomingMessage, expected: Buffer): boolean {
  const token = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  // Digests are of one length, and compared in the same time wherever they differ.
  return timingSafeEqual(digest(token ?? ''), expected) && token !== undefined;
}

const digest = (token: string): Buffer => createHash('sha256').update(token).digest();

function pipelineOf(url: string): string | undefined {
  const name = /^\/pipelines\/([^/?]+)\/runs\/?(?:\?.*)?$/.exec(url)?.[1];
  try {
    return name === undefined ? undefined : decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new TriggerRefused(413, `The body has more than ${maxBytes} bytes.`, 'Put what is large into a file or a table, and send where it is.');
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isSame(
  asked: TriggerRequest,
  made: {
    readonly params: Readonly<Record<string, string>>;
    readonly window: unknown;
    readonly logicalTime: string;
    readonly fullRefresh: boolean;
  },
): boolean {
  return (
    Object.entries(asked.params).every(([name, value]) => made.params[name] === value) &&
    JSON.stringify(asked.window) === JSON.stringify(made.window) &&
    (asked.logicalTime === null || asked.logicalTime === made.logicalTime) &&
    asked.fullRefresh === made.fullRefresh
  );
}

function failure(error: unknown, onError: (error: unknown) => void = () => {}): Answer {
  if (error instanceof TriggerRefused)
    return { status: error.status, body: { error: error.code, message: error.message, remedy: error.remedy } };
  const { code, message, remedy } = storeError(error);
  if (isMillraceError(error)) {
    if (code === 'CONFIG_INVALID') return { status: 422, body: { error: code, message, remedy } };
    if (code === 'RUN_HELD') return { status: 409, body: { error: code, message, remedy } };
    if (error.entry.retry === 'backoff') {
      onError(error);
      return {
        status: 503,
        body: { error: code, message: 'The state database is away.', remedy: 'Try again in a moment, with the same idempotency key.' },
      };
    }
  }
  onError(error);
  return { status: 500, body: { error: 'INTERNAL', message: 'The run could not be made.', remedy: 'The log of the scheduler says why.' } };
}

function send(response: ServerResponse, status: number, body: Readonly<Record<string, unknown>>): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 405 && { allow: 'POST' }),
    // What was not read of the body must not be taken for the next request.
    ...(status >= 400 && { connection: 'close' }),
  });
  response.end(`${JSON.stringify(body)}\n`);
}
