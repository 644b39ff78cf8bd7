import { type LookupAddress, lookup as resolveName } from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isInside } from './place.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export interface Wire {
  readonly agents: { readonly http: http.Agent; readonly https: https.Agent };
  /** Of the authorities to trust, where they are not those of Node. */
  readonly ca: string | undefined;
  /** For every silence. */
  readonly silenceMs: number;
}

const connectMs = 10_000;

/** A name of a public host that leads inside. */
export class InsideAddress extends Error {}

/**
 * One request and the head of its answer; the body is still to come, and must be read or destroyed. To another host than the connection's go neither
 * its sockets nor its client certificate; to a `public` one nothing goes where its address is inside, as it is when the socket is made.
 */
export function exchange(
  { method, url, headers, body }: HttpRequest,
  { agents, ca, silenceMs }: Wire,
  signal: AbortSignal,
  to: 'ours' | 'listed' | 'public',
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const isTls = url.protocol === 'https:';
    const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (to === 'public' && isIP(hostname) !== 0 && isInside(hostname)) return reject(new InsideAddress(hostname));
    const request = (isTls ? https : http).request({
      method,
      hostname,
      port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
      path: url.pathname + url.search,
      headers: { ...headers, ...(body !== null && { 'content-length': String(Buffer.byteLength(body)) }) },
      agent: to !== 'ours' ? false : isTls ? agents.https : agents.http,
      signal,
      ...(to !== 'ours' && ca !== undefined && { ca }),
      ...(to === 'public' && { lookup: publicLookup }),
    });
    const connecting = setTimeout(() => request.destroy(timeout(`no connection within ${connectMs / 1000} s`)), connectMs);
    request.on('socket', (socket) => {
      const made = () => clearTimeout(connecting);
      if (!socket.connecting) made();
      else socket.once(isTls ? 'secureConnect' : 'connect', made);
    });
    request.setTimeout(silenceMs, () => request.destroy(timeout(`silent for ${silenceMs / 1000} s`)));
    request.once('close', () => clearTimeout(connecting));
    // A socket may fail once more when the answer has begun: whoever reads it is told.
    request.on('error', reject);
    request.once('response', (response) => {
      clearTimeout(connecting);
      resolve(response);
    });
    request.end(body ?? undefined);
  });
}

const timeout = (message: string): Error => Object.assign(new Error(message), { code: 'ETIMEDOUT' });

/** Looks at the addresses that the connection will go to, so that a name cannot mean another one a moment later. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0);
    const bad = addresses.find(({ address }) => isInside(address));
    if (bad) return callback(new InsideAddress(hostname), '', 0);
    const [one] = addresses as [LookupAddress];
    if (options.all) return (callback as unknown as (error: null, all: readonly LookupAddress[]) => void)(null, addresses);
    callback(null, one.address, one.family);
  });
};
