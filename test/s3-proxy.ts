import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { payloadOf } from './aws-chunked.ts';
import { checksum } from './checksum.ts';

/**
 * A loopback proxy in front of moto. It keeps the promises of S3 that moto does not keep (the list is in README.md)
 * and injects the faults a test asks for. It holds a request's body in memory, so it is no place to measure speed.
 */
export interface S3Proxy extends AsyncDisposable {
  endpoint: string;
  /** Every request so far, oldest first, also those a fault answered. */
  requests: S3Request[];
  /** The next `times` requests that match get this fault; of several faults, the one asked for first. */
  fail(fault: Fault): void;
  /** Forgets the faults not yet used, and the requests seen. */
  heal(): void;
}

export interface S3Request {
  method: string;
  /** Path and query as they came, percent-encoded: `/bucket/key?partNumber=1&uploadId=…`. */
  path: string;
  headers: IncomingHttpHeaders;
  bytes: number;
  /** What the client saw; null when the connection was cut. */
  status: number | null;
}

export interface Fault {
  method?: string;
  /** Matches against path and query. A string matches when it is contained. */
  path?: RegExp | string;
  /** Lets this many matching requests pass first. */
  after?: number;
  /** How many requests fail; 1 unless told, `Infinity` for ever. */
  times?: number;
  /**
   * A number is answered as that status with S3's error document, and moto sees nothing.
   * `cut` ends the connection in the middle of the body: of the answer for GET, of the request otherwise.
   * `lost` carries the request out, and cuts the connection before the answer: the client cannot know.
   * `slow` carries the request out, `ms` later. `stall` never answers.
   */
  with: 400 | 403 | 404 | 409 | 412 | 429 | 500 | 502 | 503 | 504 | 'cut' | 'lost' | 'slow' | 'stall';
  /** For `slow`: 1,500 unless told. */
  ms?: number;
}

const errors: Record<number, [code: string, message: string]> = {
  400: ['BadRequest', 'injected'],
  403: ['AccessDenied', 'Access Denied'],
  404: ['NoSuchKey', 'The specified key does not exist.'],
  409: ['ConditionalRequestConflict', 'The conditional request cannot succeed due to a conflicting operation against this resource.'],
  412: ['PreconditionFailed', 'At least one of the pre-conditions you specified did not hold'],
  429: ['TooManyRequests', 'Please reduce your request rate.'],
  500: ['InternalError', 'We encountered an internal error. Please try again.'],
  502: ['BadGateway', 'Bad gateway'],
  503: ['SlowDown', 'Please reduce your request rate.'],
  504: ['GatewayTimeout', 'Gateway timeout'],
};

export async function startS3Proxy(upstream: string): Promise<S3Proxy> {
  const target = new URL(upstream);
  const requests: S3Request[] = [];
  let faults: { fault: Fault; skip: number; left: number }[] = [];
  const writing = new Map<string, Promise<unknown>>();
  const sockets = new Set<Socket>();

  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch((error: unknown) => {
      if (outgoing.headersSent) outgoing.destroy(error instanceof Error ? error : undefined);
      else answer(outgoing, 502, ['BadGateway', String(error)]);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.keepAliveTimeout = 1_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const seen: S3Request = {
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers: incoming.headers,
      bytes: 0,
      status: null,
    };
    requests.push(seen);
    outgoing.once('finish', () => {
      seen.status = outgoing.statusCode;
    });
    const fault = nextFault(seen);
    if (fault?.with === 'cut' && seen.method !== 'GET') return cutRequest(incoming, seen);
    const body = await bodyOf(incoming);
    seen.bytes = body.length;
    if (fault?.with === 'stall') return;
    if (typeof fault?.with === 'number') return answer(outgoing, fault.with, errors[fault.with] ?? ['Injected', 'injected']);
    if (fault?.with === 'slow') await sleep(fault.ms ?? 1_500, undefined, { ref: false });

    const damage = damageOf(incoming, body);
    if (damage) return answer(outgoing, 400, damage);
    const carryOut = () => forward(incoming, body, outgoing, fault);
    const conditional = isWrite(seen) && (incoming.headers['if-none-match'] || incoming.headers['if-match']);
    if (!isWrite(seen)) return carryOut();
    // One write at a time for each key: moto looks and then writes, and a second writer may come between.
    await inTurn(seen.path.split('?')[0] ?? '', async () => {
      const refusal = conditional ? await refusalOf(incoming) : null;
      if (refusal) return answer(outgoing, refusal, errors[refusal]!);
      await carryOut();
    });
  }

  function nextFault(seen: S3Request): Fault | undefined {
    for (const armed of faults) {
      const { method, path } = armed.fault;
      if (method && method !== seen.method) continue;
      if (typeof path === 'string' ? !seen.path.includes(path) : path && !path.test(seen.path)) continue;
      if (armed.left <= 0) continue;
      if (armed.skip > 0) {
        armed.skip--;
        continue;
      }
      armed.left--;
      return armed.fault;
    }
    return undefined;
  }

  async function inTurn(key: string, work: () => Promise<void>): Promise<void> {
    const before = writing.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    writing.set(key, mine);
    try {
      await mine;
    } finally {
      if (writing.get(key) === mine) writing.delete(key);
    }
  }

  /** What S3 says to a conditional write that does not hold: moto ignores the conditions of copies and of multipart `If-Match`. */
  async function refusalOf(incoming: IncomingMessage): Promise<404 | 412 | null> {
    const head = await fetch(new URL((incoming.url ?? '/').split('?')[0] ?? '/', target), {
      method: 'HEAD',
      headers: authorization(incoming),
    });
    const tag = head.ok ? head.headers.get('etag') : null;
    if (incoming.headers['if-none-match'] === '*') return tag === null ? null : 412;
    const wanted = incoming.headers['if-match'];
    if (wanted === undefined) return null;
    if (tag === null) return 404;
    return wanted === '*' || wanted === tag || `"${wanted}"` === tag ? null : 412;
  }

  function forward(incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse, fault: Fault | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { ...incoming.headers };
      delete headers['expect'];
      delete headers['transfer-encoding'];
      delete headers['connection'];
      if (body.length > 0 || headers['content-length'] !== undefined) headers['content-length'] = String(body.length);
      const onward = request(
        { host: target.hostname, port: target.port, method: incoming.method, path: incoming.url, headers, agent: false },
        (reply) => {
          if (fault?.with === 'lost') {
            reply.resume().once('end', () => {
              outgoing.socket?.destroy();
              resolve();
            });
            return;
          }
          outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
          if (fault?.with === 'cut') {
            const half = Math.floor(Number(reply.headers['content-length'] ?? 0) / 2);
            let sent = 0;
            reply.on('data', (chunk: Buffer) => {
              const piece = chunk.subarray(0, Math.max(0, half - sent));
              sent += piece.length;
              if (piece.length > 0) outgoing.write(piece);
            });
            // A moment for the half to arrive: destroying the socket at once would drop it too.
            reply.once('end', () => setTimeout(() => outgoing.socket?.destroy(), 20).unref());
            reply.once('close', resolve);
            return;
          }
          reply.pipe(outgoing);
          reply.once('error', reject);
          outgoing.once('close', resolve);
        },
      );
      onward.once('error', reject);
      onward.end(body);
    });
  }

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fail: (fault) => void faults.push({ fault, skip: fault.after ?? 0, left: fault.times ?? 1 }),
    heal() {
      faults = [];
      requests.length = 0;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Reads half of what was announced, then hangs up. */
function cutRequest(incoming: IncomingMessage, seen: S3Request): void {
  const half = Math.floor(Number(incoming.headers['content-length'] ?? 0) / 2);
  const hangUp = () => void incoming.socket.destroy();
  if (half === 0) return hangUp();
  incoming.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length;
    if (seen.bytes >= half) hangUp();
  });
  incoming.once('end', hangUp);
  incoming.once('error', () => {});
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** S3 refuses a body that is not the one its checksum was made of; moto stores it. */
function damageOf(incoming: IncomingMessage, raw: Buffer): [code: string, message: string] | null {
  if (incoming.method !== 'PUT' || incoming.headers['x-amz-copy-source']) return null;
  const { body, trailers } = payloadOf(raw, incoming.headers);
  const announced = incoming.headers['x-amz-decoded-content-length'] ?? incoming.headers['content-length'];
  if (announced !== undefined && Number(announced) !== body.length) {
    return ['IncompleteBody', 'You did not provide the number of bytes specified by the Content-Length HTTP header.'];
  }
  const md5 = incoming.headers['content-md5'];
  if (md5 !== undefined && md5 !== checksum('md5', body))
    return ['BadDigest', 'The Content-MD5 you specified did not match what we received.'];
  for (const [name, value] of Object.entries({ ...incoming.headers, ...trailers })) {
    const algorithm = /^x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)$/.exec(name)?.[1];
    if (algorithm && checksum(algorithm, body) !== value) {
      return ['BadDigest', `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`];
    }
  }
  return null;
}

function isWrite(seen: S3Request): boolean {
  return seen.method === 'PUT' || seen.method === 'DELETE' || (seen.method === 'POST' && /[?&]uploadId=/.test(seen.path));
}

function authorization(incoming: IncomingMessage): Record<string, string> {
  const value = incoming.headers.authorization;
  return value ? { authorization: value } : {};
}

function answer(outgoing: ServerResponse, status: number, [code, message]: [code: string, message: string]): void {
  const document = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>proxy</RequestId></Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(document) });
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : document);
}
