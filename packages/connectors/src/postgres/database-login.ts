import type { ConnectionOptions } from 'node:tls';
import type { Context, Setting } from '@millrace/core/runtime';
import { credentialsOf, differ } from './credentials.ts';
import { tlsOptions } from './tls-options.ts';

/** How others' clients of the driver log in where sessions of ours would. */
export interface DatabaseLogin {
  /** Without user and password. */
  readonly url: string;
  readonly client: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
    readonly ssl: ConnectionOptions | false;
    /** For each new connection: a token is signed anew, a secret looked up. */
    readonly password: () => Promise<string>;
  };
  /** The server has refused what `password` answered: the secrets are looked up anew. Answers whether they have changed. */
  refused(): Promise<boolean>;
}

/** @throws CONFIG_INVALID, SECRET_MISSING, AUTHENTICATION_FAILED where no token can be signed */
export async function databaseLogin(url: Setting, context: Pick<Context, 'secret'>): Promise<DatabaseLogin> {
  const look = () => credentialsOf({ url }, context);
  let latest = await look();
  const { address, user } = latest;
  const { host, hostaddr, port, database, tls } = address;
  return {
    url: `postgres://${host.includes(':') ? `[${host}]` : host.startsWith('/') ? 'localhost' : host}:${port}/${encodeURIComponent(database)}`,
    client: {
      host: hostaddr ?? host,
      port,
      user,
      database,
      // This driver does not fall back: a server that must not have TLS is not asked for it.
      ssl: tls.mode === 'require' ? await tlsOptions(address) : false,
      async password() {
        latest = await look();
        return latest.password ?? '';
      },
    },
    async refused() {
      const before = latest;
      latest = await credentialsOf({ url }, context, before);
      return differ(before, latest);
    },
  };
}
