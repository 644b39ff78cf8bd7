import { type Context, describeSetting, MillraceError, type Setting } from '@millrace/core/runtime';

/** Where a database is and how to log in, as the author wrote it. */
export interface AddressSettings {
  /** `jdbc:oracle:thin:@//host:1521/service`: what the driver's documentation says. May hold user and password. */
  readonly url: Setting;
  readonly user?: Setting;
  readonly password?: Setting;
  /** Further properties of the driver. */
  readonly properties?: Readonly<Record<string, Setting>>;
}

/** Looked up; holds passwords, so it is never printed. */
export interface Address {
  readonly url: string;
  readonly properties: Readonly<Record<string, string>>;
  /** What a message must not hold. */
  readonly hidden: readonly string[];
}

/** Without passwords, without the part behind `?` or the first `;`, where drivers put them. */
export function addressLabel(url: Setting): string {
  if (typeof url !== 'string') return describeSetting(url);
  const [place = ''] = url.split(/[?;]/, 1);
  return place.replace(/\/\/[^/@]*@/, '//').replace(/^(jdbc:oracle:\w+:)[^@]*@/, '$1@');
}

/**
 * Looks up what the settings name. With `refused`, which a server did not accept, the secrets are looked up anew: somebody may have changed
 * the password.
 *
 * @throws SECRET_MISSING, CONFIG_INVALID
 */
export async function addressOf(settings: AddressSettings, context: Pick<Context, 'secret'>, refused?: Address): Promise<Address> {
  const look = (setting: Setting, before: string | undefined): Promise<string> | string =>
    typeof setting === 'string' ? setting : context.secret(setting, before);
  const url = (await look(settings.url, refused?.url)).trim();
  if (!/^jdbc:\w+:/i.test(url)) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 'The URL of a JDBC connection does not begin with jdbc: and the name of a driver.',
      remedy:
        'Write it as the documentation of the driver says: jdbc:oracle:thin:@//host:1521/service, jdbc:sqlserver://host;databaseName=shop.',
    });
  }
  const named = {
    ...settings.properties,
    ...(settings.user !== undefined && { user: settings.user }),
    ...(settings.password !== undefined && { password: settings.password }),
  };
  const properties: Record<string, string> = {};
  for (const [name, setting] of Object.entries(named)) properties[name] = await look(setting, refused?.properties[name]);
  const secrets = Object.entries(named).flatMap(([name, setting]) =>
    typeof setting !== 'string' || isSecret(name) ? [properties[name] as string] : [],
  );
  return { url, properties, hidden: [url, ...secrets, ...passwordsIn(url)] };
}

const isSecret = (name: string): boolean => /password|pwd|secret|token|key/i.test(name);

/** `password=…` among the parameters of a URL, `//user:password@`, and Oracle's `thin:user/password@`; as they stand there, and decoded. */
function passwordsIn(url: string): string[] {
  const written = [
    ...[...url.matchAll(/[?&;]([^=&;]*)=(\{[^}]*\}|[^&;]*)/g)].flatMap(([, name = '', value = '']) =>
      isSecret(name) ? [value.replace(/^\{|\}$/g, '')] : [],
    ),
    ...[...url.matchAll(/\/\/[^/@:]*:([^/@]*)@/g)].map(([, value = '']) => value),
    ...[...url.matchAll(/^jdbc:oracle:\w+:[^/@]*\/([^@]*)@/g)].map(([, value = '']) => value),
  ];
  return [...new Set(written.flatMap((value) => [value, decoded(value)]))];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a server that has refused one may accept the other. */
export const differ = (one: Address, other: Address): boolean =>
  one.url !== other.url || JSON.stringify(one.properties) !== JSON.stringify(other.properties);
