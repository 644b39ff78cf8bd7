import { awsFailure, type Context, MillraceError, type Setting } from '@millrace/core/runtime';
import { oneCallAgents } from './agents.ts';
import type { AwsSettings } from './settings.ts';

export type Calling = Pick<Context, 'signal' | 'secret'>;

/** What every client of the SDK is made with. */
export interface ClientConfiguration {
  readonly region?: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };
  readonly maxAttempts: number;
  readonly requestHandler: {
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly throwOnRequestTimeout: boolean;
  } & Partial<ReturnType<typeof oneCallAgents>>;
}

export interface ServiceOf<Sdk, Client> {
  /** For messages: `Glue`. */
  readonly name: string;
  /** The package that has its client. */
  readonly package: string;
  readonly load: () => Promise<Sdk>;
  readonly client: (sdk: Sdk, configuration: ClientConfiguration) => Client;
  /** What to grant where access is denied. */
  readonly grant: string;
  /** The longest answer that is waited for. 60 s by default. */
  readonly answerMs?: number;
  /** True where every call may be made again, so that connections are kept for the next call. */
  readonly isRepeatable?: boolean;
}

type Request<Sdk, Client, Result> = (sdk: Sdk, client: Client, options: { readonly abortSignal: AbortSignal }) => Promise<Result>;

/** One service as a connection reaches it. Its package is loaded, and a client made, with the first call, and each call has a connection of its own unless it may be repeated. */
export interface AwsService<Sdk, Client> {
  readonly region: string | null;
  /**
   * Sent once, for an answer that was lost says nothing of what was done: whether and when again is decided where it is written down what may
   * have been started. `doing` is a phrase: `looking at run jr_1`.
   */
  call<Result>(doing: string, context: Calling, request: Request<Sdk, Client, Result>): Promise<Result>;
  /** Of the client, for links: where `region` is null, the environment's. */
  regionInUse(context: Calling): Promise<string>;
}

interface AnyClient {
  readonly config: { region(): Promise<string> };
}

export function awsService<Sdk, Client extends AnyClient>(of: ServiceOf<Sdk, Client>, settings: AwsSettings): AwsService<Sdk, Client> {
  let made: { keys: string; sdk: Sdk; client: Client } | null = null;

  async function ready(context: Calling) {
    const credentials = settings.credentials && (await keysOf(settings.credentials, context));
    const keys = JSON.stringify(credentials ?? null);
    if (made?.keys === keys) return made;
    const sdk = await loaded(of);
    if (made?.keys === keys) return made;
    const client = of.client(sdk, {
      ...(settings.region !== undefined && { region: settings.region }),
      ...(settings.endpoint !== undefined && { endpoint: settings.endpoint }),
      ...(credentials && { credentials }),
      maxAttempts: 1,
      requestHandler: {
        ...(!of.isRepeatable && oneCallAgents()),
        connectionTimeout: 10_000,
        requestTimeout: of.answerMs ?? 60_000,
        throwOnRequestTimeout: true,
      },
    });
    // Calls that are under way have the client of before.
    made = { keys, sdk, client };
    return made;
  }

  async function call<Result>(doing: string, context: Calling, request: Request<Sdk, Client, Result>): Promise<Result> {
    context.signal.throwIfAborted();
    const { sdk, client } = await ready(context);
    try {
      return await request(sdk, client, { abortSignal: context.signal });
    } catch (error) {
      context.signal.throwIfAborted();
      throw awsFailure(error, { service: of.name, doing, grant: of.grant });
    }
  }

  return {
    region: settings.region ?? null,
    call,
    regionInUse: (context) => call('finding its region', context, (_, client) => client.config.region()),
  };
}

async function keysOf({ accessKeyId, secretAccessKey, sessionToken }: NonNullable<AwsSettings['credentials']>, context: Calling) {
  const value = async (setting: Setting) => (typeof setting === 'string' ? setting : context.secret(setting));
  return {
    accessKeyId: await value(accessKeyId),
    secretAccessKey: await value(secretAccessKey),
    ...(sessionToken && { sessionToken: await value(sessionToken) }),
  };
}

async function loaded<Sdk>({ name, package: wanted, load }: { name: string; package: string; load: () => Promise<Sdk> }): Promise<Sdk> {
  try {
    return await load();
  } catch (cause) {
    throw new MillraceError('CONFIG_INVALID', {
      message: `${name} needs the package ${wanted}, which is not installed.`,
      remedy: `Run "npm install ${wanted}".`,
      cause,
    });
  }
}
