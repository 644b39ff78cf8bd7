import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import { type S3Proxy, startS3Proxy } from './s3-proxy.ts';

export interface TestBucket extends AsyncDisposable {
  /** `s3://bucket/prefix`: what a user would put into LAKE_URL. */
  url: string;
  bucket: string;
  prefix: string;
  /** The proxy's address, where faults can be asked for. Path-style addressing. */
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** The same as environment variables, for child processes. */
  env: Record<string, string>;
  proxy: S3Proxy;
}

/** An empty bucket of one's own on the run's moto server, behind a proxy of one's own. */
export async function testBucket(): Promise<TestBucket> {
  const proxy = await startS3Proxy(inject('s3'));
  const bucket = `test-${randomUUID().slice(0, 13)}`;
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const region = 'us-east-1';
  const made = await fetch(`${proxy.endpoint}/${bucket}`, { method: 'PUT' });
  if (!made.ok) throw new Error(`The bucket was refused: ${made.status} ${await made.text()}`);
  proxy.heal();
  const prefix = 'lake';
  return {
    url: `s3://${bucket}/${prefix}`,
    bucket,
    prefix,
    endpoint: proxy.endpoint,
    region,
    credentials,
    env: {
      AWS_ENDPOINT_URL_S3: proxy.endpoint,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    proxy,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}
