import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type LogicalServer, logicalServer } from '../../../test/logical-server.ts';

export interface SecureServer extends LogicalServer {
  /** File of the authority that has signed its certificate. */
  readonly authority: string;
  /** A URL of the administrator for one of the names of the certificate, which leads to this server. */
  as(host: string, more?: Readonly<Record<string, string>>): string;
}

/** A Postgres that speaks TLS with a certificate for these names. Null where openssl is not installed. */
export async function secureServer(...names: readonly string[]): Promise<SecureServer | null> {
  const server = await logicalServer();
  const file = (name: string) => join(server.data, name);
  const [authority, key] = [file('authority.crt'), file('authority.key')];
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const made =
    openssl('req', '-x509', ...fresh, '-subj', '/CN=an authority', '-out', authority, '-keyout', key) &&
    openssl(
      ...['req', '-x509', ...fresh, '-CA', authority, '-CAkey', key, '-subj', '/CN=a server', '-out', file('server.crt')],
      ...['-keyout', file('server.key'), '-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`],
    );
  if (!made) {
    await server[Symbol.asyncDispose]();
    return null;
  }
  const { uid, gid } = statSync(server.data);
  for (const name of ['server.crt', 'server.key']) chownSync(file(name), uid, gid);
  chmodSync(file('server.key'), 0o600);
  await server.stop();
  await server.start({ ssl: 'on' });
  return Object.assign(server, {
    authority,
    as: (host: string, more: Readonly<Record<string, string>> = {}) =>
      `postgres://postgres:millrace@${host}:${server.port}/postgres?${new URLSearchParams({ hostaddr: '127.0.0.1', ...more })}`,
  });
}

const openssl = (...args: readonly string[]): boolean => spawnSync('openssl', args, { stdio: 'ignore' }).status === 0;
