import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** The ways in which an API says where the next page is; each is a path of the server. */
export const pagingStyles = [
  'single',
  'link',
  'next-url',
  'relative-url',
  'cursor',
  'last-id',
  'page',
  'pages',
  'page-more',
  'offset',
  'offset-total',
  'post',
] as const;
export type PagingStyle = (typeof pagingStyles)[number];

/** What goes wrong with one answer. */
export type ApiFault =
  /** Half of the JSON, said to be all of it. */
  | { readonly kind: 'truncated' }
  /** The connection is reset after half of the answer. */
  | { readonly kind: 'cut' }
  /** The connection is reset before an answer. */
  | { readonly kind: 'reset' }
  /** A page of HTML, with status 200. */
  | { readonly kind: 'garbled' }
  /** Half of a gzip stream, said to be all of it. */
  | { readonly kind: 'half gzip' }
  /** The page before, as a cache would answer it. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export interface SeenRequest {
  readonly method: string;
  /** Path and query, as they came. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of the certificate that the client has shown. */
  readonly client: string | null;
}

export interface ApiServerOptions {
  /** JSON of each record, as the server writes it; asked for with each request. */
  readonly records: () => readonly string[];
  readonly pageSize?: number;
  /** Others are answered 401. */
  readonly allows?: (request: SeenRequest) => boolean;
  readonly encoding?: 'gzip' | 'br';
  /** Speaks TLS, and takes a certificate of the client where it has one of the authority's. PEM. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca: string };
  /** Answers before everything else, where it does. */
  readonly answer?: (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>;
}

export interface ApiServer extends AsyncDisposable {
  /** Ends in '/'. */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** The next answer from the `after`th on has this fault, so many times. */
  fail(fault: ApiFault, options?: { readonly after?: number; readonly times?: number }): void;
}

/** An API of records, as APIs are. */
export async function apiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { pageSize = 10, records, allows = () => true, encoding } = options;
  const requests: SeenRequest[] = [];
  const faults: { fault: ApiFault; after: number; left: number }[] = [];
  let before = '';

  const listener = (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  };
  const { tls } = options;
  const server = tls ? https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: target = '', headers } = message;
    const shown = tls && (message.socket as TLSSocket).getPeerCertificate();
    const request: SeenRequest = {
      method,
      target,
      headers,
      body: await bodyOf(message),
      client: shown?.subject ? String(shown.subject.CN) : null,
    };
    requests.push(request);
    if (await options.answer?.(request, response)) return;
    if (!allows(request)) return void response.writeHead(401).end('{"error":"who are you?"}');
    const page = pageOf(request);
    if (!page) return void response.writeHead(404).end('{"error":"nothing here"}');
    const fault = faults.find(({ after, left }) => left > 0 && requests.length > after);
    if (fault) fault.left--;
    const earlier = before;
    if (fault?.fault.kind !== 'stale') before = page.body;
    send(response, page, fault?.fault, earlier);
  }

  function send(response: ServerResponse, page: PageAnswer, fault: ApiFault | undefined, earlier: string): void {
    const head = { 'content-type': 'application/json; charset=utf-8', ...(page.link !== null && { link: page.link }) };
    const half = page.body.slice(0, Math.ceil(page.body.length / 2));
    switch (fault?.kind) {
      case undefined: {
        if (!encoding) return void response.writeHead(200, head).end(page.body);
        const packed = encoding === 'gzip' ? gzipSync(page.body) : brotliCompressSync(page.body);
        return void response.writeHead(200, { ...head, 'content-encoding': encoding }).end(packed);
      }
      case 'truncated':
        return void response.writeHead(200, head).end(half);
      case 'cut':
        response.writeHead(200, { ...head, 'content-length': Buffer.byteLength(page.body) });
        return void response.write(half, () => response.socket?.resetAndDestroy());
      case 'reset':
        return void response.socket?.resetAndDestroy();
      case 'garbled':
        return void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please sign in</html>');
      case 'half gzip': {
        const packed = gzipSync(page.body);
        return void response.writeHead(200, { ...head, 'content-encoding': 'gzip' }).end(packed.subarray(0, packed.length / 2));
      }
      case 'stale':
        return void response.writeHead(200, head).end(earlier === '' ? page.body : earlier);
      case 'status':
        return void response.writeHead(fault.status, fault.headers).end(fault.body ?? '{"error":"not now"}');
      default:
        fault satisfies never;
    }
  }

  interface PageAnswer {
    readonly body: string;
    readonly link: string | null;
  }

  function pageOf({ target, body }: SeenRequest): PageAnswer | null {
    const asked = new URL(target, url);
    const style = asked.pathname.slice(1) as PagingStyle;
    const all = records();
    const parameters =
      style === 'post' ? (JSON.parse(body === '' ? '{}' : body) as Record<string, string>) : Object.fromEntries(asked.searchParams);
    const number = (name: string, otherwise: number): number => (parameters[name] === undefined ? otherwise : Number(parameters[name]));
    const from = (at: number): { list: string; to: number; isLast: boolean } => {
      const to = Math.min(at + pageSize, all.length);
      return { list: `[${all.slice(at, to).join(',')}]`, to, isLast: to >= all.length };
    };
    const leadingTo = (at: number, relative = false): string => {
      const next = new URL(asked);
      next.searchParams.set('from', String(at));
      return relative ? next.search : next.href;
    };
    const plain = (text: string): PageAnswer => ({ body: text, link: null });
    switch (style) {
      case 'single':
        return plain(`[${all.join(',')}]`);
      case 'link': {
        const { list, to, isLast } = from(number('from', 0));
        return { body: list, link: isLast ? `<${url}link>; rel="first"` : `<${url}link>; rel="first", <${leadingTo(to)}>; rel="next"` };
      }
      case 'next-url':
      case 'relative-url': {
        const { list, to, isLast } = from(number('from', 0));
        const next = isLast ? null : leadingTo(to, style === 'relative-url');
        return plain(`{"data":${list},"links":{"self":"x","next":${JSON.stringify(next)}}}`);
      }
      case 'cursor':
      case 'post': {
        const { list, to, isLast } = from(number('cursor', 0));
        return plain(`{"meta":{"next":${isLast ? 'null' : `"${to}"`}},"items":${list}}`);
      }
      case 'last-id': {
        const at = all.findIndex((text) => /"id": ?(\d+)/.exec(text)?.[1] === parameters['after']) + 1;
        const { list, isLast } = from(at);
        return plain(`{"data":${list},"has_more":${!isLast}}`);
      }
      case 'page':
        return plain(from((number('page', 1) - 1) * pageSize).list);
      case 'pages':
        return plain(`{"pages":${Math.ceil(all.length / pageSize)},"items":${from((number('page', 1) - 1) * pageSize).list}}`);
      case 'page-more': {
        const { list, isLast } = from(number('page', 0) * pageSize);
        return plain(`{"items":${list},"more":${!isLast}}`);
      }
      case 'offset':
        return plain(from(number('offset', 0)).list);
      case 'offset-total':
        return plain(`{"total":${all.length},"items":${from(number('offset', 0)).list}}`);
      default:
        style satisfies never;
        return null;
    }
  }

  return {
    url,
    requests,
    fail: (fault, { after = 0, times = 1 } = {}) => void faults.push({ fault, after, left: times }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
