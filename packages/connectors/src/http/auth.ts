import type { Context, Setting } from '@millrace/core/runtime';

/** How requests say who asks. Credentials go to the place of the connection alone: to no other host, and along no redirect to one. */
export type HttpAuth =
  | { readonly kind: 'basic'; readonly user: Setting; readonly password: Setting }
  | { readonly kind: 'bearer'; readonly token: Setting }
  | { readonly kind: 'api-key'; readonly in: 'header' | 'query'; readonly name: string; readonly value: Setting }
  | ({ readonly kind: 'client-credentials' } & ClientCredentials)
  | { readonly kind: 'custom'; readonly sign: SignRequest };

export interface ClientCredentials {
  readonly tokenUrl: Setting;
  readonly clientId: Setting;
  readonly clientSecret: Setting;
  readonly scope?: string;
  /** More fields of the token request: `{ audience: '…' }`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Where id and secret stand: in an Authorization header (default), or in the form. */
  readonly sends?: 'basic' | 'body';
}

/** A request about to be sent. */
export interface SignableRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a POST. */
  readonly body: string | null;
}

/** Answers the headers to add. Asked for each request anew, also when one is repeated. */
export type SignRequest = (
  request: SignableRequest,
  context: Pick<Context, 'secret' | 'now' | 'signal'>,
) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;

/** HTTP Basic (RFC 7617): `basic(secret('API_USER'), secret('API_PASSWORD'))`. */
export const basic = (user: Setting, password: Setting): HttpAuth => Object.freeze({ kind: 'basic', user, password });

/** A token in the Authorization header (RFC 6750): `bearer(secret('API_TOKEN'))`. */
export const bearer = (token: Setting): HttpAuth => Object.freeze({ kind: 'bearer', token });

/** A key in a header or a parameter of the query: `apiKey({ header: 'X-Api-Key' }, secret('API_KEY'))`. */
export const apiKey = (place: { readonly header: string } | { readonly query: string }, value: Setting): HttpAuth =>
  Object.freeze({
    kind: 'api-key',
    in: 'header' in place ? 'header' : 'query',
    name: 'header' in place ? place.header : place.query,
    value,
  });

/** OAuth 2, client credentials (RFC 6749, 4.4). The token is kept until shortly before it expires, and asked for anew where it is refused. */
export const clientCredentials = (options: ClientCredentials): HttpAuth => Object.freeze({ kind: 'client-credentials', ...options });

/** Anything else, such as a signature: `custom(async ({ method, url, body }, { secret }) => ({ 'X-Signature': … }))`. */
export const custom = (sign: SignRequest): HttpAuth => Object.freeze({ kind: 'custom', sign });
