import type { Context, Finding, Setting } from '@millrace/core/runtime';
import { examineStore } from '../s3/examine.ts';
import type { StoreSettings } from '../s3/open-storage.ts';

/** The journal needs a store that keeps two writers apart; DMS one without versions. */
export async function examineBucket(url: string, store: StoreSettings, context: Context): Promise<Finding[]> {
  const findings = await examineStore(url, store, context);
  const bucket = /^s3:\/\/([^/]+)/.exec(url)?.[1];
  if (bucket === undefined || findings.some(({ level }) => level === 'problem')) return findings;
  return [...findings, ...(await versioning(bucket, url, store, context))];
}

async function versioning(bucket: string, subject: string, store: StoreSettings, context: Context): Promise<Finding[]> {
  const { S3Client, GetBucketVersioningCommand } = await import('@aws-sdk/client-s3');
  const value = (setting: Setting): string | Promise<string> => (typeof setting === 'string' ? setting : context.secret(setting));
  const endpoint = store.endpoint ?? process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
  const client = new S3Client({
    ...(store.region !== undefined && { region: store.region }),
    ...(endpoint !== undefined && { endpoint, forcePathStyle: store.forcePathStyle ?? true }),
    ...(store.credentials && {
      credentials: {
        accessKeyId: await value(store.credentials.accessKeyId),
        secretAccessKey: await value(store.credentials.secretAccessKey),
        ...(store.credentials.sessionToken && { sessionToken: await value(store.credentials.sessionToken) }),
      },
    }),
    followRegionRedirects: true,
  });
  try {
    const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal: context.signal });
    return Status === 'Enabled'
      ? [
          {
            subject,
            level: 'warning',
            message: 'the bucket keeps versions, which DMS asks for not to be on: files that it replaces are kept and paid for',
            remedy: 'Give DMS a bucket of its own without versions, or a lifecycle rule that ends old ones.',
          },
        ]
      : [];
  } catch {
    context.signal.throwIfAborted();
    return [
      {
        subject,
        level: 'warning',
        message: 'whether the bucket keeps versions cannot be seen',
        remedy: 'Grant s3:GetBucketVersioning, and see that it is off.',
      },
    ];
  } finally {
    client.destroy();
  }
}
