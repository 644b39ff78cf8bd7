import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { MillraceError } from '@millrace/core/runtime';

/** Where a Postgres is and how to log in. Made from a URL; holds the password, so it is never printed. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  readonly tls: Tls;
}

/** `prefer` falls back to an open connection where the server knows no TLS. */
export interface Tls {
  readonly mode: 'disable' | 'prefer' | 'require';
  readonly options: ConnectionOptions;
}

/** `true` verifies the server's certificate; an object is handed to Node's TLS. */
export type SslSetting = boolean | Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>;

/**
 * Reads `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path`. As with libpq: `require` encrypts
 * without looking at the certificate, `verify-ca` and `verify-full` look, and without `sslmode` a server elsewhere is asked for
 * TLS and taken as it is. `host=/directory` names a Unix socket. Fields left out come from PGHOST and its like.
 *
 * @throws CONFIG_INVALID, without the URL in it
 */
export function parseAddress(url: string, ssl?: SslSetting): Address {
  const parsed = readUrl(url);
  const query = parsed.searchParams;
  const env = process.env;
  const host = query.get('host') || decode(parsed.hostname).replace(/^\[(.+)\]$/, '$1') || env['PGHOST'] || 'localhost';
  const port = Number(query.get('port') || parsed.port || env['PGPORT'] || 5432);
  const user = query.get('user') || decode(parsed.username) || env['PGUSER'] || env['USER'] || 'postgres';
  const database = decode(parsed.pathname.slice(1)) || query.get('dbname') || env['PGDATABASE'] || user;
  const password = query.get('password') || decode(parsed.password) || env['PGPASSWORD'];
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid('its port is not a number from 1 to 65535');
  return { host, port, user, database, password: password || undefined, tls: tlsOf(host, query, ssl) };
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

function tlsOf(host: string, query: URLSearchParams, ssl: SslSetting | undefined): Tls {
  if (ssl === false) return { mode: 'disable', options: {} };
  if (ssl !== undefined) return { mode: 'require', options: ssl === true ? {} : ssl };
  const mode = query.get('sslmode');
  const files: ConnectionOptions = {
    ...pem('ca', query.get('sslrootcert')),
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
      return { mode: 'require', options: { ...files, checkServerIdentity: () => undefined } };
    case 'verify-full':
      return { mode: 'require', options: files };
    case null:
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
