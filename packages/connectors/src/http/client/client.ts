import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, isMillraceError, MillraceError, mayPass, milliseconds, type Setting } from '@millrace/core/runtime';
import type { HttpOptions } from '../connection-options.ts';
import { acceptedEncodings, textOf } from './body.ts';
import { type Credentials, credentials } from './credentials.ts';
import { exchange, type HttpRequest, type Wire } from './exchange.ts';
import { failureAt, type Refusal, refusalOf, wayFailure } from './failure.ts';
import { type Hidden, hiddenTexts } from './hidden.ts';
import type { Pace } from './pace.ts';
import { type HttpPlace, httpPlace, isInside, labelOf, leads, shownUrl } from './place.ts';
import { askedWait, ownPause } from './wait.ts';

/** As few headers as a request needs; what a caller gives comes on top. */
const plainHeaders = { accept: 'application/json', 'accept-encoding': acceptedEncodings, 'user-agent': 'millrace' };
const mostRedirects = 5;

export interface Asked {
  readonly method: HttpRequest['method'];
  readonly url: URL;
  /** Sent to the connection's own place alone. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent wherever a redirect leads. */
  readonly everywhere?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For messages: `reading page 3`. */
  readonly doing: string;
  /** Statuses beside 2xx that are an answer. */
  readonly accept?: readonly number[];
}

/**
 * A connection's requests for one attempt at a stage: paced, with credentials, sent again where that may help. Nothing of a connection goes to another
 * host than its own, and no credential into a message.
 */
export class HttpClient implements AsyncDisposable {
  readonly place: HttpPlace;
  readonly #context: Context;
  readonly #pace: Pace | null;
  readonly #hidden: Hidden;
  readonly #credentials: Credentials;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #wire: Wire;
  readonly #retry: { readonly attempts: number; readonly delayMs: number; readonly longestMs: number };
  /** True once the API itself has answered from an address inside: then other hosts may be inside as well. */
  #isInside = false;

  private constructor(parts: {
    place: HttpPlace;
    context: Context;
    pace: Pace | null;
    hidden: Hidden;
    headers: Readonly<Record<string, string>>;
    wire: Wire;
    options: HttpOptions;
  }) {
    const { auth, retry = {} } = parts.options;
    this.place = parts.place;
    this.#context = parts.context;
    this.#pace = parts.pace;
    this.#hidden = parts.hidden;
    this.#headers = parts.headers;
    this.#wire = parts.wire;
    this.#retry = {
      attempts: retry.attempts ?? 6,
      delayMs: milliseconds(retry.delay ?? '500ms'),
      longestMs: milliseconds(retry.longestWait ?? '5m'),
    };
    this.#credentials = credentials(auth, parts.hidden, {
      hide: (text) => parts.hidden.add(text),
      post: (url, headers, form) => this.#postForm(url, headers, form),
    });
  }

  static async open(options: HttpOptions, pace: Pace | null, context: Context): Promise<HttpClient> {
    const hidden = hiddenTexts();
    const value = async (setting: Setting) => (typeof setting === 'string' ? setting : context.secret(setting));
    const hide = async (setting: Setting) => (typeof setting === 'string' ? setting : hidden.add(await value(setting)));
    const place = httpPlace(await value(options.url), labelOf(options.url), options.hosts ?? []);
    const headers: Record<string, string> = {};
    for (const [name, setting] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = await hide(setting);
    const { ca, cert, key } = options.tls ?? {};
    const tls = {
      ...(ca !== undefined && { ca: await value(ca) }),
      ...(cert !== undefined && { cert: await value(cert) }),
      ...(key !== undefined && { key: await hide(key) }),
    };
    const wire: Wire = {
      agents: { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true, ...tls }) },
      ca: tls.ca,
      silenceMs: milliseconds(options.timeout ?? '60s'),
    };
    return new HttpClient({ place, context, pace, hidden, headers, wire, options });
  }

  /**
   * Sends a request and has its answer read. `read` may be called again where an answer turned out broken, so it begins anew each time; what it throws
   * that may pass is such a case.
   *
   * @throws what the API, or the way there, said at last
   */
  async ask<T>(asked: Asked, read: (response: IncomingMessage) => Promise<T>): Promise<T> {
    const { signal } = this.#context;
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      await this.#pace?.turn(signal);
      let refusal: Refusal;
      let wait: number | null = null;
      try {
        const response = await this.#follow(asked);
        const status = response.statusCode ?? 0;
        if ((status >= 200 && status < 300) || asked.accept?.includes(status)) return await this.#read(response, read);
        wait = askedWait(response.headers, this.#context.now());
        refusal = await refusalOf(response);
        if (status === 401 && !renewed && (await this.#credentials.renew(this.#context))) {
          renewed = true;
          continue;
        }
      } catch (error) {
        signal.throwIfAborted();
        refusal = this.#refusalOf(error);
      }
      if (!refusal.passes || attempt >= this.#retry.attempts) throw this.#failure(asked, refusal);
      if (wait !== null && wait > this.#retry.longestMs) throw this.#failure(asked, tooLong(refusal, wait));
      // Who says "at once" may say so many times.
      const pause = Math.max(wait ?? 0, ownPause(attempt, this.#retry.delayMs));
      if (refusal.code === 'REMOTE_THROTTLED' && pause > 5_000)
        this.#context.log.info(`${this.place.label} asked us to wait ${Math.ceil(pause / 1000)} s`);
      await rest(pause, signal);
    }
  }

  /** Before something is asked for once more, though it came. */
  async pause(attempt: number): Promise<void> {
    await rest(ownPause(attempt, this.#retry.delayMs), this.#context.signal);
  }

  async #read<T>(response: IncomingMessage, read: (response: IncomingMessage) => Promise<T>): Promise<T> {
    try {
      return await read(response);
    } finally {
      // What was not read to its end would hold a socket that the next request could have.
      if (!response.readableEnded) response.destroy();
    }
  }

  /** The answer at the end of all redirects. */
  async #follow(asked: Asked): Promise<IncomingMessage> {
    const { signal } = this.#context;
    let url = asked.url;
    for (let redirects = 0; ; redirects++) {
      const isOurs = leads(this.place, url, redirects === 0 ? 'a link' : 'a redirect').to === 'itself';
      const bare: HttpRequest = {
        method: asked.method,
        url: isOurs ? url : this.#credentials.without(url),
        headers: { ...plainHeaders, ...(isOurs && { ...this.#headers, ...asked.headers }), ...asked.everywhere },
        body: isOurs ? (asked.body ?? null) : null,
      };
      const request = isOurs ? await this.#credentials.apply(bare, this.#context) : bare;
      const response = await exchange(request, this.#wire, signal, isOurs ? 'ours' : this.#isInside ? 'listed' : 'public');
      if (isOurs) this.#isInside = isInside(response.socket.remoteAddress ?? '');
      const location = response.headers.location;
      if (!redirected.has(response.statusCode ?? 0) || location === undefined) return response;
      await drained(response);
      if (asked.method !== 'GET' && asked.method !== 'HEAD') throw this.#unfollowed(url, location);
      if (redirects === mostRedirects || !URL.canParse(location, url.href)) throw this.#unfollowed(url, location);
      url = new URL(location, url);
    }
  }

  #refusalOf(error: unknown): Refusal {
    const failed = isMillraceError(error) ? null : wayFailure(error);
    if (failed) return failed;
    if (!isMillraceError(error)) throw error;
    const { code, message, remedy, facts } = error;
    return { code, why: message, remedy, facts, passes: mayPass(error) };
  }

  #failure({ method, url, doing }: Pick<Asked, 'method' | 'url' | 'doing'>, refusal: Refusal): MillraceError {
    const { code, message, remedy, facts } = failureAt(`${method} ${shownUrl(this.place, url)}, ${doing}`, refusal);
    return new MillraceError(code, { message: this.#hidden.clean(message), remedy, facts });
  }

  #unfollowed(url: URL, location: string): MillraceError {
    const to = URL.canParse(location, url.href) ? shownUrl(this.place, new URL(location, url)) : 'nowhere';
    return new MillraceError('REMOTE_REFUSED', {
      message: `it answered with a redirect to ${to}, which is not followed.`,
      remedy: 'Give http() the URL where the API is.',
    });
  }

  /** For a token: at a place of its own, and nowhere else. */
  async #postForm(at: string, headers: Readonly<Record<string, string>>, form: string): Promise<{ status: number; body: string }> {
    const { signal } = this.#context;
    const { base } = httpPlace(at, 'tokenUrl', []);
    // A token's URL is that of a resource, not of what stands under it.
    const url = new URL(at);
    if (base.protocol === 'http:' && this.place.base.protocol === 'https:')
      throw new MillraceError('CONFIG_INVALID', { message: 'tokenUrl is not encrypted.', remedy: 'Give it with https.' });
    for (let attempt = 1; ; attempt++) {
      let refusal: Refusal | null;
      let wait: number | null = null;
      try {
        const request = { method: 'POST', url, headers: { ...plainHeaders, ...headers }, body: form } as const;
        const response = await exchange(request, this.#wire, signal, 'ours');
        const status = response.statusCode ?? 0;
        if (status < 500 && status !== 429) return { status, body: await textOf(response, 64 * 1024) };
        wait = askedWait(response.headers, this.#context.now());
        refusal = await refusalOf(response);
      } catch (error) {
        signal.throwIfAborted();
        refusal = wayFailure(error);
        if (!refusal) throw error;
      }
      if (!refusal.passes || attempt >= this.#retry.attempts || (wait ?? 0) > this.#retry.longestMs) {
        const { code, message, remedy, facts } = failureAt('POST tokenUrl, asking for a token', refusal);
        throw new MillraceError(code, { message: this.#hidden.clean(message), remedy, facts });
      }
      await rest(Math.max(wait ?? 0, ownPause(attempt, this.#retry.delayMs)), signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wire.agents.http.destroy();
    this.#wire.agents.https.destroy();
  }
}

const rest = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());

/** What a redirect says beside its place, so that the next request can have the socket; a long one is not worth it. */
async function drained(response: IncomingMessage): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > 64 * 1024) break;
    }
  } catch {
    // Where it leads is known.
  }
}

const redirected: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

const tooLong = (refusal: Refusal, wait: number): Refusal => ({
  ...refusal,
  why: `${refusal.why} It asked us to come back in ${Math.ceil(wait / 1000)} s.`,
  remedy: 'Run it again then, or let an attempt wait that long: retry: { longestWait: "1h" }.',
});
