import type { Context, Setting } from '@millrace/core/runtime';
import { databaseToken } from '../aws/token.ts';
import { userOfSecret } from '../postgres/rds-secret.ts';
import { type Address, type MysqlSslSetting, parseAddress } from './address.ts';

/** What a session needs to know: a connection's settings as its author wrote them. */
export interface SessionSettings {
  readonly url: Setting;
  readonly ssl?: MysqlSslSetting;
}

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
  { url: setting, ssl }: SessionSettings,
  context: Pick<Context, 'secret'>,
  refused?: Credentials,
): Promise<Credentials> {
  const url = typeof setting === 'string' ? setting : await context.secret(setting, refused?.from.url);
  const address = parseAddress(url, ssl);
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
    default:
      return login satisfies never;
  }
}

/** Whether a server that has refused one may accept the other. */
export const differ = (one: Credentials, other: Credentials): boolean =>
  one.address.login.by !== 'iam' && (one.from.url !== other.from.url || one.from.login !== other.from.login);
