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

/** Without user and password, and without the part behind `?`, the first `;` or the first property, where drivers put them. */
export function addressLabel(url: Setting): string {
  if (typeof url !== 'string') return describeSetting(url);
  const [place = ''] = url.replace(/^(jdbc:oracle:\w+:)(?:[^@"]|"[^"]*")*@/is, '$1@').split(/[?;]/, 1);
  return (
    place
      .replace(/\/\/.*@/s, '//')
      // Half of a log-in, where the other half holds what begins the parameters.
      .replace(/\/\/[^/@:[]+:(?!\d+(?:[/,:]|$)).*$/s, '//')
      .replace(/[:,/]\s*[\w.-]+\s*=.*$/s, '')
  );
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
  if (!/^jdbc:\w[\w.+-]*:/i.test(url)) {
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

const isSecret = (name: string): boolean => /pass|pwd|secret|token|key|credential/i.test(name);

/** `password=…` among the properties of a URL, `//user:password@`, and Oracle's `thin:user/password@`; as they stand there, and decoded. */
function passwordsIn(url: string): string[] {
  const ofProperties = [...url.matchAll(/[?&;:,/(]\s*([\w.-]+)\s*=(?=(\{[^}]*\}|'[^']*'|"[^"]*"|[^&;]*))/g)].flatMap(
    ([, name = '', value = '']) => (isSecret(name) ? [value, value.split(',', 1)[0] as string] : []),
  );
  const ofLogins = [/\/\/[^/@:]*:([^/]*)@/g, /\/\/[^/@:]*:([^@]*)@/g, /^jdbc:oracle:\w+:[^/@]*\/("[^"]*"|[^@]*)@/gi].flatMap((login) =>
    [...url.matchAll(login)].map(([, value = '']) => value),
  );
  const bare = [...ofProperties, ...ofLogins].map((value) => value.replace(/^[{'"]|[}'"]$/g, ''));
  return [...new Set(bare.flatMap((value) => [value, decoded(value)]))];
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
