import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { MillraceError } from '@millrace/core/runtime';
import { type AmazonEndpoint, amazonEndpoint } from '../aws/endpoint.ts';
import { urlOfSecret } from './rds-secret.ts';

/** Where a Postgres is and how to log in. Made from a URL; holds the password, so it is never printed. */
export interface Address {
  readonly host: string;
  /** The IP address that is dialled where `host` is only its name: the near end of a tunnel. */
  readonly hostaddr: string | undefined;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly login: Login;
  readonly tls: Tls;
  readonly amazon: AmazonEndpoint | null;
}

export type Login =
  | { readonly by: 'password'; readonly password: string | undefined }
  /** The secret of this name holds the password, or `{"username", "password"}`. */
  | { readonly by: 'secret'; readonly name: string }
  | { readonly by: 'iam'; readonly region: string }
  /** As the user of the URL, or of none: as who the process is to AWS. */
  | {
      readonly by: 'redshift-iam';
      readonly kind: 'cluster' | 'workgroup';
      readonly name: string;
      readonly region: string;
      readonly user: string | null;
    };

/** `prefer` falls back to an open connection where the server knows no TLS. */
export interface Tls {
  readonly mode: 'disable' | 'prefer' | 'require';
  readonly options: ConnectionOptions;
  /** The certificate must come from one of Amazon's authorities. */
  readonly amazon?: true;
}

/** `true` verifies the server's certificate; an object is handed to Node's TLS. */
export type SslSetting = boolean | Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>;

/**
 * Reads `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path`. As with libpq: `require` encrypts
 * without looking at the certificate, `verify-ca` and `verify-full` look, and without `sslmode` a server elsewhere is asked for
 * TLS and taken as it is, but one at an endpoint of RDS or Redshift must prove by Amazon's authorities who it is. `host=/directory`
 * names a Unix socket, `hostaddr` the IP address to dial for `host`. Fields left out come from PGHOST and its like.
 *
 * `auth=iam` logs in with a token of IAM, or what Redshift gives for it, `login=name` with what the secret of that name holds. In place of a URL there may be the JSON
 * object that Secrets Manager keeps for a database.
 *
 * @throws CONFIG_INVALID, without the URL in it
 */
export function parseAddress(url: string, ssl?: SslSetting): Address {
  const parsed = readUrl(urlOfSecret(url) ?? url);
  const query = parsed.searchParams;
  const env = process.env;
  const host = query.get('host') || decode(parsed.hostname).replace(/^\[(.+)\]$/, '$1') || env['PGHOST'] || 'localhost';
  const port = Number(query.get('port') || parsed.port || env['PGPORT'] || 5432);
  const user = query.get('user') || decode(parsed.username) || env['PGUSER'] || env['USER'] || 'postgres';
  const database = decode(parsed.pathname.slice(1)) || query.get('dbname') || env['PGDATABASE'] || user;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid('its port is not a number from 1 to 65535');
  const hostaddr = query.get('hostaddr') || undefined;
  if (hostaddr !== undefined && isIP(hostaddr) === 0) throw invalid('its hostaddr is not an IP address');
  const amazon = amazonEndpoint(host);
  const login = loginOf(parsed, amazon);
  const tls = tlsOf(host, amazon, query, ssl);
  if ((login.by === 'iam' || login.by === 'redshift-iam') && !proves(tls))
    throw invalid('it has auth=iam, and a token may go only to a server that has proved who it is: leave out sslmode, or set verify-full');
  return { host, hostaddr, port, user, database, login, tls, amazon };
}

/** One authority signs for every customer of Amazon: only the name tells servers apart. */
const proves = ({ mode, options }: Tls): boolean =>
  mode === 'require' && options.rejectUnauthorized !== false && options.checkServerIdentity === undefined;

function loginOf(url: URL, amazon: AmazonEndpoint | null): Login {
  const query = url.searchParams;
  const password = query.get('password') || decode(url.password);
  const [auth, name] = [query.get('auth'), query.get('login')];
  if ([auth, name, password].filter(Boolean).length > 1) throw invalid('of a password, auth and login it has more than one');
  if (name) return { by: 'secret', name };
  if (!auth) return { by: 'password', password: password || process.env['PGPASSWORD'] || undefined };
  if (auth !== 'iam') throw invalid(`auth "${auth}" is not known; there is iam`);
  if (!amazon) throw invalid('it has auth=iam, and its host is not an endpoint of RDS, Aurora or Redshift by its own name');
  const { service, region, name: at } = amazon;
  if (service === 'rds') return { by: 'iam', region };
  const user = query.get('user') || decode(url.username) || null;
  if (service === 'redshift') return { by: 'redshift-iam', kind: 'cluster', name: at, region, user };
  if (user !== null) throw invalid('it has auth=iam and a user, and Redshift Serverless knows who the process is: leave out the user');
  return { by: 'redshift-iam', kind: 'workgroup', name: at, region, user };
}

function readUrl(url: string): URL {
  let parsed: URL;
  try {
    // A URL cannot have an empty host with a user; libpq's can, and means a socket.
    parsed = new URL(url.trim().replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?]|$)/, '$1localhost'));
  } catch {
    throw invalid('it is not a URL');
  }
  if (parsed.protocol !== 'postgres:' && parsed.protocol !== 'postgresql:') throw invalid('it does not begin with postgres://');
  return parsed;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('it has a "%" that begins no escape; write %25 for the character itself');
  }
}

function tlsOf(host: string, amazon: AmazonEndpoint | null, query: URLSearchParams, ssl: SslSetting | undefined): Tls {
  if (ssl === false) return { mode: 'disable', options: {} };
  const byAmazon = (options: ConnectionOptions): Tls => ({ mode: 'require', options, ...(amazon && !options.ca && { amazon: true }) });
  if (ssl !== undefined) return byAmazon(ssl === true ? {} : ssl);
  const mode = query.get('sslmode');
  const files: ConnectionOptions = {
    ...pem('ca', query.get('sslrootcert') ?? process.env['PGSSLROOTCERT'] ?? null),
    ...pem('cert', query.get('sslcert')),
    ...pem('key', query.get('sslkey')),
  };
  const unverified: ConnectionOptions = { ...files, rejectUnauthorized: false };
  switch (mode) {
    case 'disable':
      return { mode: 'disable', options: {} };
    case 'allow':
    case 'prefer':
      return { mode: 'prefer', options: unverified };
    case 'require':
    case 'no-verify':
      return { mode: 'require', options: files.ca ? { ...files, checkServerIdentity: () => undefined } : unverified };
    case 'verify-ca':
      return byAmazon({ ...files, checkServerIdentity: () => undefined });
    case 'verify-full':
      return byAmazon(files);
    case null:
      if (amazon) return byAmazon(files);
      return isHere(host) ? { mode: 'disable', options: {} } : { mode: 'prefer', options: unverified };
    default:
      throw invalid(`sslmode "${mode}" is none of disable, allow, prefer, require, verify-ca, verify-full`);
  }
}

const isHere = (host: string): boolean => host.startsWith('/') || host === 'localhost' || host === '::1' || host.startsWith('127.');

function pem(option: 'ca' | 'cert' | 'key', path: string | null): ConnectionOptions {
  if (!path || path === 'system') return {};
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
    message: `The URL of a Postgres connection cannot be used: ${why}.`,
    remedy: 'Write postgres://user:password@host:5432/database, with special characters of the password percent-encoded.',
  });
}
