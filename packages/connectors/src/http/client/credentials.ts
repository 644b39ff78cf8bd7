import type { Context, Setting } from '@millrace/core/runtime';
import type { HttpAuth } from '../auth.ts';
import type { HttpRequest } from './exchange.ts';
import type { Hidden } from './hidden.ts';
import { type Token, type TokenPort, tokens } from './token.ts';

export type Calling = Pick<Context, 'secret' | 'signal' | 'now'>;

export interface Credentials {
  /** The request with what says who asks. */
  apply(request: HttpRequest, context: Calling): Promise<HttpRequest>;
  /** A URL of another host, without a key that the API has written into it. */
  without(url: URL): URL;
  /** The API has refused them (401). True where there are others now. */
  renew(context: Calling): Promise<boolean>;
}

/** Looks secrets up when they are first needed, and anew when they are refused: they may have been changed since. */
export function credentials(auth: HttpAuth | undefined, hidden: Hidden, port: TokenPort): Credentials {
  const values = new Map<string, string>();
  const token = auth?.kind === 'client-credentials' ? tokens(auth, port) : null;
  let used: Token | null = null;

  /** Names of users and places are hidden where they are secrets only: `anna` is a part of words. */
  async function value(setting: Setting, context: Calling, isName = false): Promise<string> {
    if (typeof setting === 'string') return isName ? setting : hidden.add(setting);
    const known = values.get(setting.name) ?? hidden.add(await context.secret(setting));
    values.set(setting.name, known);
    return known;
  }

  async function another(setting: Setting, context: Calling): Promise<boolean> {
    if (typeof setting === 'string') return false;
    const refused = values.get(setting.name);
    const now = hidden.add(await context.secret(setting, refused));
    values.set(setting.name, now);
    return now !== refused;
  }

  async function headersFor(request: HttpRequest, context: Calling): Promise<Readonly<Record<string, string>>> {
    switch (auth?.kind) {
      case undefined:
        return {};
      case 'basic': {
        const pair = `${await value(auth.user, context, true)}:${await value(auth.password, context)}`;
        return { authorization: `Basic ${hidden.add(Buffer.from(pair).toString('base64'))}` };
      }
      case 'bearer':
        return { authorization: `Bearer ${await value(auth.token, context)}` };
      case 'api-key':
        return auth.in === 'header' ? { [auth.name.toLowerCase()]: await value(auth.value, context) } : {};
      case 'client-credentials':
        used = await token!.get((setting, isName) => value(setting, context, isName), context);
        return { authorization: `Bearer ${used.text}` };
      case 'custom': {
        const { method, url, headers, body } = request;
        const hiding = {
          signal: context.signal,
          now: () => context.now(),
          secret: async (...asked: Parameters<Calling['secret']>) => hidden.add(await context.secret(...asked)),
        };
        const added = await auth.sign({ method, url: new URL(url), headers, body }, hiding);
        return Object.fromEntries(Object.entries(added).map(([name, text]) => [name.toLowerCase(), hidden.addPassing(text)]));
      }
      default:
        return auth satisfies never;
    }
  }

  return {
    async apply(request, context) {
      const headers = { ...request.headers, ...(await headersFor(request, context)) };
      if (auth?.kind !== 'api-key' || auth.in !== 'query') return { ...request, headers };
      const url = new URL(request.url);
      url.searchParams.set(auth.name, await value(auth.value, context));
      return { ...request, url, headers };
    },
    without(url) {
      if (auth?.kind !== 'api-key' || auth.in !== 'query') return url;
      const key = typeof auth.value === 'string' ? auth.value : values.get(auth.value.name);
      if (!url.searchParams.getAll(auth.name).some((value) => value === key)) return url;
      const clean = new URL(url);
      clean.searchParams.delete(auth.name);
      return clean;
    },
    async renew(context) {
      switch (auth?.kind) {
        case undefined:
        case 'custom':
          return false;
        case 'basic': {
          const [user, password] = [await another(auth.user, context), await another(auth.password, context)];
          return user || password;
        }
        case 'bearer':
          return await another(auth.token, context);
        case 'api-key':
          return await another(auth.value, context);
        case 'client-credentials':
          if (used) token!.forget(used);
          return used !== null;
        default:
          return auth satisfies never;
      }
    },
  };
}
