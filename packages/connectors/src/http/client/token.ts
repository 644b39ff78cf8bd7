import { createHash } from 'node:crypto';
import { MillraceError, type Setting } from '@millrace/core/runtime';
import type { ClientCredentials } from '../auth.ts';
import type { Calling } from './credentials.ts';
import { told } from './failure.ts';

export interface Token {
  readonly text: string;
  /** In the milliseconds of `now`. */
  readonly until: number;
}

/** What a token is asked for through: once, for a place of its own, without redirects. */
export interface TokenPort {
  post(url: string, headers: Readonly<Record<string, string>>, form: string, context: Calling): Promise<{ status: number; body: string }>;
  hide(text: string): string;
}

type Value = (setting: Setting, isName: boolean) => Promise<string>;

/** Of an answer that does not say how long its token is good. */
const unsaidMs = 5 * 60_000;
/** Asked for anew so long before it expires, at most. */
const marginMs = 60_000;

/** Tokens by who asks where, for the whole process: several steps of a pipeline share one. */
const kept = new Map<string, Promise<Token>>();

export function tokens(auth: ClientCredentials, port: TokenPort) {
  let key = '';
  return {
    /** @throws AUTHENTICATION_FAILED, REMOTE_REFUSED */
    async get(value: Value, context: Calling): Promise<Token> {
      const [url, id, secret] = [await value(auth.tokenUrl, true), await value(auth.clientId, true), await value(auth.clientSecret, false)];
      const { scope, parameters, sends = 'basic' } = auth;
      key = createHash('sha256')
        .update(JSON.stringify([url, id, secret, scope, parameters, sends]))
        .digest('hex');
      for (;;) {
        const known = kept.get(key);
        if (known) {
          // Where whoever asked for it was stopped or refused, the next one asks for himself.
          const token = await known.catch(() => null);
          if (token && context.now().getTime() < token.until) {
            port.hide(token.text);
            return token;
          }
          if (kept.has(key) && kept.get(key) !== known) continue;
        }
        const mine = key;
        const asked = ask(url, id, secret, auth, port, context);
        kept.set(mine, asked);
        try {
          return await asked;
        } catch (error) {
          if (kept.get(mine) === asked) kept.delete(mine);
          throw error;
        }
      }
    },
    /** It was refused. */
    forget(token: Token): void {
      const known = kept.get(key);
      const mine = key;
      known?.then(
        (now) => {
          if (now === token && kept.get(mine) === known) kept.delete(mine);
        },
        () => {},
      );
    },
  };
}

async function ask(
  url: string,
  id: string,
  secret: string,
  { scope, parameters = {}, sends = 'basic' }: ClientCredentials,
  port: TokenPort,
  context: Calling,
): Promise<Token> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', ...(scope !== undefined && { scope }), ...parameters });
  const headers: Record<string, string> = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  if (sends === 'body') {
    form.set('client_id', id);
    form.set('client_secret', secret);
  } else {
    // Both are encoded as forms are before they are joined: RFC 6749, 2.3.1.
    const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1);
    headers['authorization'] = `Basic ${port.hide(Buffer.from(`${encoded(id)}:${encoded(secret)}`).toString('base64'))}`;
  }
  const { status, body } = await port.post(url, headers, form.toString(), context);
  const answer = parsed(body);
  const text = answer['access_token'];
  if (status === 200 && typeof text === 'string' && text !== '') {
    const seconds = Number(answer['expires_in']);
    const ms = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : unsaidMs;
    return { text: port.hide(text), until: context.now().getTime() + ms - Math.min(marginMs, ms / 10) };
  }
  const said = typeof answer['error'] === 'string' ? `: ${told(answer['error'])}` : '';
  throw new MillraceError('AUTHENTICATION_FAILED', {
    message: `No token was given for the API (${status}${said}).`,
    remedy: 'Check tokenUrl, clientId, clientSecret and scope; some servers want sends: "body".',
    facts: { status },
  });
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    const answer: unknown = JSON.parse(body);
    return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
