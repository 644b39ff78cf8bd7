import { type Context, MillraceError, type Setting } from '@millrace/core/runtime';
import { localStorage } from './local-storage.ts';
import { type Location, parseLocation, within } from './location.ts';
import { objectStorage } from './object-storage.ts';
import type { Storage } from './storage.ts';

/** How an object store is reached. All of it has defaults from the environment (AWS_REGION, AWS_PROFILE, a role, AWS_ENDPOINT_URL_S3). */
export interface StoreSettings {
  readonly region?: string;
  /** Of a store that is not AWS's, such as MinIO or R2. */
  readonly endpoint?: string;
  /** `endpoint/bucket/key` rather than `bucket.endpoint/key`. True by default where `endpoint` is given. */
  readonly forcePathStyle?: boolean;
  readonly credentials?: { readonly accessKeyId: Setting; readonly secretAccessKey: Setting; readonly sessionToken?: Setting };
}

export type StorageContext = Pick<Context, 'signal' | 'secret'>;

/** Opens the place at a URL: that of a connection, or of a dataset's `FilesRef`. */
export async function openStorage(url: string, settings: StoreSettings, context: StorageContext, prefix = ''): Promise<Storage> {
  return open(within(parseLocation(url), prefix), settings, context);
}

async function open(location: Location, settings: StoreSettings, context: StorageContext): Promise<Storage> {
  if (location.kind === 'file') return localStorage(location.directory);
  const aws = await sdk();
  const endpoint = settings.endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
  const value = (setting: Setting) => (typeof setting === 'string' ? setting : context.secret(setting));
  const keys = settings.credentials;
  const client = new aws.S3Client({
    ...(settings.region !== undefined && { region: settings.region }),
    ...(endpoint !== undefined && { endpoint, forcePathStyle: settings.forcePathStyle ?? true }),
    ...(keys && {
      credentials: {
        accessKeyId: await value(keys.accessKeyId),
        secretAccessKey: await value(keys.secretAccessKey),
        ...(keys.sessionToken && { sessionToken: await value(keys.sessionToken) }),
      },
    }),
    followRegionRedirects: true,
    maxAttempts: 5,
    // A peer that is silent for a minute is gone, and a part that takes five as well; without these a cut cable is waited for until the stage's timeout.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000, requestTimeout: 300_000, throwOnRequestTimeout: true },
  });
  const storage = objectStorage(aws, client, location, context.signal);
  return {
    ...storage,
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

async function sdk() {
  try {
    const [client, { Upload }] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')]);
    return { ...client, Upload };
  } catch (error) {
    throw new MillraceError('CONFIG_INVALID', {
      message: 's3:// needs the AWS SDK, which is not installed.',
      remedy: 'Run "npm install @aws-sdk/client-s3 @aws-sdk/lib-storage".',
      cause: error,
    });
  }
}
