import type { Context } from '@millrace/core/runtime';
import { redshiftLogin } from '../aws/redshift-login.ts';
import { databaseToken } from '../aws/token.ts';
import { type Address, parseAddress } from './address.ts';
import type { SessionSettings } from './client.ts';
import { userOfSecret } from './rds-secret.ts';

/** Everything one connection is made with. Never printed. */
export interface Credentials {
  readonly address: Address;
  readonly user: string;
  readonly password: string | undefined;
  /** The secrets that they came from, as they were. */
  readonly from: { readonly url: string; readonly login?: string };
}

/**
 * Looks up what the settings name. With `refused`, which a server did not accept, the secrets are looked up anew: somebody may have
 * changed the password. A token of IAM is signed each time.
 */
export async function credentialsOf(
  { url: setting, ssl, hostaddr }: SessionSettings,
  context: Pick<Context, 'secret'>,
  refused?: Credentials,
): Promise<Credentials> {
  const url = typeof setting === 'string' ? setting : await context.secret(setting, refused?.from.url);
  const parsed = parseAddress(url, ssl);
  const address = hostaddr === undefined ? parsed : { ...parsed, hostaddr };
  const { login, user, host, port } = address;
  switch (login.by) {
    case 'password':
      return { address, user, password: login.password, from: { url } };
    case 'secret': {
      const text = await context.secret({ kind: 'secret', name: login.name }, refused?.from.login);
      const { username = user, password } = userOfSecret(text);
      return { address, user: username, password, from: { url, login: text } };
    }
    case 'iam': {
      const password = await databaseToken({ hostname: host, port, username: user, region: login.region });
      return { address, user, password, from: { url } };
    }
    case 'redshift-iam': {
      const { by: _, ...place } = login;
      const given = await redshiftLogin({ ...place, database: address.database });
      return { address, ...given, from: { url } };
    }
    default:
      return login satisfies never;
  }
}

/** Whether a server that has refused one may accept the other. */
export const differ = (one: Credentials, other: Credentials): boolean =>
  one.address.login.by !== 'iam' &&
  one.address.login.by !== 'redshift-iam' &&
  (one.from.url !== other.from.url || one.from.login !== other.from.login);
