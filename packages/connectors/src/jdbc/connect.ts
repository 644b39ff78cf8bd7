import { type Context, isMillraceError, type Setting } from '@millrace/core/runtime';
import { type Address, type AddressSettings, addressLabel, addressOf, differ } from './address.ts';
import { type Dialect, defaultProperties, dialectOf, firstStatements } from './dialect.ts';
import { jarsOf } from './drivers.ts';
import { type JavaSettings, javaCommand } from './java.ts';
import { javaProcess } from './process.ts';
import { productNamed } from './product.ts';
import { JdbcSession } from './session.ts';

/** What a session needs to know: a connection's settings as its author wrote them. */
export interface SessionSettings extends AddressSettings {
  /** See `DriverName`. */
  readonly drivers?: readonly Setting[];
  readonly driverClass?: string;
  readonly java?: JavaSettings;
  /** Rows that the driver fetches at once. */
  readonly fetchSize?: number;
}

export interface Connected {
  readonly session: JdbcSession;
  readonly dialect: Dialect;
  readonly url: string;
}

/**
 * Opens a session. It ends when it is disposed, or at once when the context's signal aborts: the running statement is cancelled at the
 * server, and what waits for it rejects with the signal's reason. A log-in that is refused is tried once more where a secret has changed
 * since it was looked up.
 *
 * @throws AUTHENTICATION_FAILED, CONFIG_INVALID, CONNECTION_FAILED, DATABASE_MISSING, SECRET_MISSING
 */
export async function connect(settings: SessionSettings, context: Pick<Context, 'secret' | 'signal'>): Promise<Connected> {
  const address = await addressOf(settings, context);
  const named = (settings.drivers ?? []).map((driver) => (typeof driver === 'string' ? driver : context.secret(driver)));
  const jars = await jarsOf(await Promise.all(named));
  try {
    return await logIn(settings, address, jars, context);
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'AUTHENTICATION_FAILED') throw error;
    const again = await addressOf(settings, context, address);
    if (!differ(address, again)) throw error;
    return logIn(settings, again, jars, context);
  }
}

async function logIn(
  settings: SessionSettings,
  { url, properties, hidden }: Address,
  jars: readonly string[],
  context: Pick<Context, 'signal'>,
): Promise<Connected> {
  const request = {
    jars,
    driverClass: settings.driverClass ?? null,
    url,
    properties: { ...defaultProperties(url), ...properties },
    first: firstStatements(url),
  };
  const session = await JdbcSession.open(
    javaProcess(javaCommand(settings.java)),
    request,
    { label: addressLabel(settings.url), hidden },
    context,
  );
  return { session, dialect: dialectOf(productNamed(session.product.name)), url };
}
