import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { MillraceError } from '@millrace/core/runtime';
import { type AmazonEndpoint, amazonEndpoint } from '../aws/endpoint.ts';
import { urlOfSecret } from '../postgres/rds-secret.ts';

/** Where a MySQL or MariaDB is and how to log in. Made from a URL; holds the password, so it is never printed. */
export interface Address {
  readonly host: string;
  /** The IP address that is dialled where `host` is only its name: the near end of a tunnel. */
  readonly hostaddr: string | undefined;
  /** The path of a Unix socket, in place of host and port. */
  readonly socket: string | undefined;
  readonly port: number;
  readonly user: string;
  /** Empty where the URL names none: then tables are named with theirs. */
  readonly database: string;
  readonly login: Login;
  readonly tls: Tls;
  readonly amazon: AmazonEndpoint | null;
}

export type Login =
  | { readonly by: 'password'; readonly password: string | undefined }
  /** The secret of this name holds the password, or `{"username", "password"}`. */
  | { readonly by: 'secret'; readonly name: string }
  | { readonly by: 'iam'; readonly region: string };

/** `prefer` falls back to an open connection where the server knows no TLS. */
export interface Tls {
  readonly mode: 'disable' | 'prefer' | 'require';
  /** The name in the certificate must be the host's. */
  readonly identity: boolean;
  readonly options: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'>;
  /** The certificate must come from one of Amazon's authorities. */
  readonly amazon?: true;
}

/** `true` verifies the server's certificate, name included; an object is handed to Node's TLS. */
export type MysqlSslSetting = boolean | Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'>;

/**
 * Reads `mysql://user:password@host:port/database?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path`, or the same with `mariadb://`. As with the
 * servers' own clients: `REQUIRED` encrypts without looking at the certificate, `VERIFY_CA` and `VERIFY_IDENTITY` look, and without
 * `ssl-mode` a server elsewhere is asked for TLS and taken as it is, but one at an endpoint of RDS must prove by Amazon's authorities
 * who it is. `socket=/path` names a Unix socket, `hostaddr` the IP address to dial for `host`.
 *
 * `auth=iam` logs in with a token of IAM, `login=name` with what the secret of that name holds. In place of a URL there may be the JSON
 * object that Secrets Manager keeps for a database.
 *
 * @throws CONFIG_INVALID, without the URL in it
 */
export function parseAddress(url: string, ssl?: MysqlSslSetting): Address {
  const parsed = readUrl(urlOfSecret(url)?.replace(/^postgres:/, 'mysql:') ?? url);
  const query = parsed.searchParams;
  const socket = query.get('socket') || undefined;
  const host = decode(parsed.hostname).replace(/^\[(.+)\]$/, '$1') || 'localhost';
  const port = Number(parsed.port || 3306);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid('its port is not a number from 1 to 65535');
  const hostaddr = query.get('hostaddr') || undefined;
  if (hostaddr !== undefined && isIP(hostaddr) === 0) throw invalid('its hostaddr is not an IP address');
  const amazon = amazonEndpoint(host);
  const login = loginOf(parsed, amazon);
  const tls = tlsOf(socket === undefined ? host : 'localhost', amazon, query, ssl);
  if (login.by === 'iam' && !(tls.mode === 'require' && tls.identity && tls.options.rejectUnauthorized !== false))
    throw invalid(
      'it has auth=iam, and a token may go only to a server that has proved who it is: leave out ssl-mode, or set VERIFY_IDENTITY',
    );
  return {
    host,
    hostaddr,
    socket,
    port,
    user: decode(parsed.username) || process.env['USER'] || 'root',
    database: decode(parsed.pathname.slice(1)),
    login,
    tls,
    amazon,
  };
}

function loginOf(url: URL, amazon: AmazonEndpoint | null): Login {
  const query = url.searchParams;
  const password = decode(url.password);
  const [auth, name] = [query.get('auth'), query.get('login')];
  if ([auth, name, password].filter(Boolean).length > 1) throw invalid('of a password, auth and login it has more than one');
  if (name) return { by: 'secret', name };
  if (!auth) return { by: 'password', password: password || process.env['MYSQL_PWD'] || undefined };
  if (auth !== 'iam') throw invalid(`auth "${auth}" is not known; there is iam`);
  if (amazon?.service !== 'rds') throw invalid('it has auth=iam, and its host is not an endpoint of RDS or Aurora by its own name');
  return { by: 'iam', region: amazon.region };
}

function readUrl(url: string): URL {
  let parsed: URL;
  try {
    // A URL cannot have an empty host with a user; one with a socket has.
    parsed = new URL(url.trim().replace(/^((?:mysql|mariadb):\/\/[^/?#]*@)(?=[/?]|$)/, '$1localhost'));
  } catch {
    throw invalid('it is not a URL');
  }
  if (parsed.protocol !== 'mysql:' && parsed.protocol !== 'mariadb:') throw invalid('it begins with neither mysql:// nor mariadb://');
  return parsed;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('it has a "%" that begins no escape; write %25 for the character itself');
  }
}

function tlsOf(host: string, amazon: AmazonEndpoint | null, query: URLSearchParams, ssl: MysqlSslSetting | undefined): Tls {
  const disabled: Tls = { mode: 'disable', identity: false, options: {} };
  const verified = (options: Tls['options'], identity: boolean): Tls => ({
    mode: 'require',
    identity,
    options,
    ...(amazon && !options.ca && { amazon: true }),
  });
  if (ssl === false) return disabled;
  if (ssl !== undefined) return verified(ssl === true ? {} : ssl, ssl === true || ssl.rejectUnauthorized !== false);
  const files = {
    ...pem('ca', query.get('ssl-ca')),
    ...pem('cert', query.get('ssl-cert')),
    ...pem('key', query.get('ssl-key')),
  };
  const unverified = { ...files, rejectUnauthorized: false };
  const mode = query.get('ssl-mode');
  switch (mode?.toUpperCase() ?? '') {
    case 'DISABLED':
      return disabled;
    case 'PREFERRED':
      return { mode: 'prefer', identity: false, options: unverified };
    case 'REQUIRED':
      return { mode: 'require', identity: false, options: unverified };
    case 'VERIFY_CA':
      return verified(files, false);
    case 'VERIFY_IDENTITY':
      return verified(files, true);
    case '':
      if (amazon || files.ca) return verified(files, true);
      return isHere(host) ? disabled : { mode: 'prefer', identity: false, options: unverified };
    default:
      throw invalid(`ssl-mode "${mode}" is none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY`);
  }
}

const isHere = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

function pem(option: 'ca' | 'cert' | 'key', path: string | null): Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> {
  if (!path) return {};
  try {
    return { [option]: readFileSync(path) };
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `The file ${path}, named by the connection URL, cannot be read.`,
      remedy: 'Correct the path of the certificate.',
      cause,
    });
  }
}

function invalid(why: string): MillraceError {
  return new MillraceError('CONFIG_INVALID', {
    message: `The URL of a MySQL connection cannot be used: ${why}.`,
    remedy: 'Write mysql://user:password@host:3306/database, with special characters of the password percent-encoded.',
  });
}
