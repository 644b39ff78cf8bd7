import { connect as dial, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { MillraceError } from '@millrace/core/runtime';
import type { Connection, ConnectionOptions } from 'mysql2';
import { amazonAuthorities } from '../aws/authorities.ts';
import type { Address } from './address.ts';
import type { Credentials } from './credentials.ts';

/** A socket on which somebody has logged in. Whoever has it speaks the protocol from here on. */
export interface LoggedIn {
  readonly stream: Duplex;
  /** As the server counts connections: what KILL takes. */
  readonly thread: number;
  readonly secure: boolean;
}

/** Long enough for a serverless Aurora that has to wake up. */
const connectTimeoutMs = 20_000;

/**
 * Logs in with the driver `mysql2`, which knows TLS and the ways of authentication, and takes the socket over from it.
 *
 * @throws CONFIG_INVALID without the package; else the driver's own errors
 */
export async function logIn(credentials: Credentials, program: string): Promise<LoggedIn> {
  const { tls } = credentials.address;
  try {
    return await attempt(credentials, program, tls.mode !== 'disable');
  } catch (error) {
    if (tls.mode !== 'prefer' || (error as { code?: string }).code !== 'HANDSHAKE_NO_SSL_SUPPORT') throw error;
    return await attempt(credentials, program, false);
  }
}

async function attempt({ address, user, password = '' }: Credentials, program: string, secure: boolean): Promise<LoggedIn> {
  const { createConnection } = await driver();
  const connection = createConnection({
    ...placeOf(address),
    user,
    password,
    ...(address.database !== '' && { database: address.database }),
    ...(secure && { ssl: await sslOf(address) }),
    ...(address.login.by === 'iam' && { authPlugins: { mysql_clear_password: () => () => Buffer.from(`${password}\0`) } }),
    charset: 'utf8mb4_general_ci',
    connectTimeout: connectTimeoutMs,
    connectAttributes: { program_name: program },
    // Changed rows are counted, not those that were found; blanks and double quotes keep the meaning that the server gives them; a
    // statement is its text and nothing before it.
    flags: ['-FOUND_ROWS', '-IGNORE_SPACE', '-ODBC', '-CLIENT_QUERY_ATTRIBUTES'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      connection.once('connect', () => resolve());
      connection.once('error', reject);
    });
  } catch (error) {
    connection.destroy();
    throw error;
  }
  connection.on('error', () => {}); // told by the socket itself
  const stream = streamOf(connection);
  stream.removeAllListeners('data');
  if (connection.threadId === null) throw new Error('The driver has logged in without a connection id.');
  return { stream, thread: connection.threadId, secure };
}

function placeOf({ host, hostaddr, port, socket }: Address): Partial<ConnectionOptions> {
  if (socket !== undefined) return { socketPath: socket };
  // The certificate is for the name, whatever is dialled.
  if (hostaddr !== undefined) return { host, port, stream: (): Socket => dial(port, hostaddr).setNoDelay(true).setKeepAlive(true, 10_000) };
  return { host, port, enableKeepAlive: true, keepAliveInitialDelay: 10_000 };
}

async function sslOf({ tls }: Address): Promise<NonNullable<Exclude<ConnectionOptions['ssl'], string>>> {
  const { ca, cert, key, rejectUnauthorized } = tls.options;
  return {
    verifyIdentity: tls.identity,
    ...(tls.amazon ? { ca: await amazonAuthorities() } : ca !== undefined && { ca: ca as string }),
    ...(cert !== undefined && { cert: cert as string }),
    ...(key !== undefined && { key: key as string }),
    ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
  };
}

/** A part of the driver's connection that its types leave out: the socket, or TLS over it. */
const streamOf = (connection: Connection): Duplex => (connection as Connection & { readonly stream: Duplex }).stream;

async function driver(): Promise<typeof import('mysql2')> {
  try {
    const loaded = (await import('mysql2')) as typeof import('mysql2') & { readonly default?: typeof import('mysql2') };
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'A connection leads to MySQL or MariaDB, and the package mysql2 is not installed.',
      remedy: 'Run "npm install mysql2".',
      cause,
    });
  }
}
