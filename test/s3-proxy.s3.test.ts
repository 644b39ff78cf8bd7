import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type TestBucket, testBucket } from './s3.ts';

let s3: TestBucket;
let client: S3Client;
beforeAll(async () => {
  s3 = await testBucket();
  client = new S3Client({ endpoint: s3.endpoint, region: s3.region, credentials: s3.credentials, forcePathStyle: true, maxAttempts: 1 });
});
beforeEach(() => s3.proxy.heal());
afterAll(async () => {
  client.destroy();
  await s3[Symbol.asyncDispose]();
});

const put = (Key: string, more: Record<string, unknown> = {}) =>
  client.send(new PutObjectCommand({ Bucket: s3.bucket, Key, Body: 'hello', ...more }));
const exists = (Key: string) =>
  client.send(new HeadObjectCommand({ Bucket: s3.bucket, Key })).then(
    () => true,
    () => false,
  );
const status = (code: number) => ({ $metadata: expect.objectContaining({ httpStatusCode: code }) });

test('If-None-Match: * creates once', async () => {
  await put('once', { IfNoneMatch: '*' });
  await expect(put('once', { IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'PreconditionFailed', ...status(412) });
});

test('of fifty writers at once, one creates', async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, (_, writer) => put('race', { IfNoneMatch: '*', Body: String(writer) })),
  );
  expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
});

test('If-Match replaces only what was read', async () => {
  const { ETag } = await put('match');
  await put('match', { IfMatch: ETag, Body: 'second' });
  await expect(put('match', { IfMatch: ETag, Body: 'third' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await expect(put('missing', { IfMatch: ETag })).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('the completion of a multipart upload obeys both conditions', async () => {
  const upload = async (more: Record<string, string>) => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: s3.bucket, Key: 'multi' }));
    const part = { Bucket: s3.bucket, Key: 'multi', UploadId, PartNumber: 1 };
    const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: 'a part' }));
    const Parts = [{ PartNumber: 1, ETag }];
    return client.send(
      new CompleteMultipartUploadCommand({ Bucket: s3.bucket, Key: 'multi', UploadId, MultipartUpload: { Parts }, ...more }),
    );
  };
  const { ETag } = await upload({ IfNoneMatch: '*' });
  await expect(upload({ IfNoneMatch: '*' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await expect(upload({ IfMatch: '"00000000000000000000000000000000"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await upload({ IfMatch: ETag ?? '' });
});

test('a copy obeys If-None-Match', async () => {
  await put('from');
  await put('to');
  await expect(
    client.send(new CopyObjectCommand({ Bucket: s3.bucket, Key: 'to', CopySource: `${s3.bucket}/from`, IfNoneMatch: '*' })),
  ).rejects.toMatchObject({ name: 'PreconditionFailed' });
});

test.each([
  { ChecksumCRC32: 'AAAAAA==' },
  { ChecksumCRC32C: 'AAAAAA==' },
  { ChecksumCRC64NVME: 'AAAAAAAAAAA=' },
  { ChecksumSHA256: Buffer.alloc(32).toString('base64') },
  { ContentMD5: Buffer.alloc(16).toString('base64') },
])('a body that its checksum does not fit is refused: %o', async (wrong) => {
  await expect(put('damaged', wrong)).rejects.toMatchObject({ name: 'BadDigest', ...status(400) });
  expect(await exists('damaged')).toBe(false);
});

test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'])(
  'a body with the right %s is stored, in one piece or streamed',
  async (ChecksumAlgorithm) => {
    await put('whole', { ChecksumAlgorithm });
    const body = Readable.from(Array.from({ length: 9 }, () => Buffer.alloc(20_000, 'streamed')));
    await put('streamed', { ChecksumAlgorithm, Body: body, ContentLength: 180_000 });
    const back = await client.send(new GetObjectCommand({ Bucket: s3.bucket, Key: 'streamed', ChecksumMode: 'ENABLED' }));
    expect((await back.Body?.transformToString())?.length).toBe(180_000);
  },
);

test.each([503, 500, 409, 412, 403] as const)('an injected %i is seen as often as asked, and stores nothing', async (code) => {
  s3.proxy.fail({ method: 'PUT', path: /_manifest/, times: 2, with: code });
  const key = `_manifest/${code}.json`;
  for (let attempt = 0; attempt < 2; attempt++) await expect(put(key)).rejects.toMatchObject(status(code));
  expect(await exists(key)).toBe(false);
  await put(key);
  expect(s3.proxy.requests.filter((one) => one.method === 'PUT').map((one) => one.status)).toEqual([code, code, 200]);
});

test('a request cut in the middle stores nothing', async () => {
  s3.proxy.fail({ method: 'PUT', with: 'cut' });
  await expect(put('cut', { Body: Buffer.alloc(1_000_000) })).rejects.toThrow();
  expect(await exists('cut')).toBe(false);
});

test('an answer cut in the middle ends in an error, not in a shorter file', async () => {
  await put('long', { Body: Buffer.alloc(1_000_000) });
  s3.proxy.fail({ method: 'GET', path: 'long', with: 'cut' });
  const reply = await client.send(new GetObjectCommand({ Bucket: s3.bucket, Key: 'long' }));
  await expect(reply.Body?.transformToByteArray()).rejects.toThrow();
});

test('a lost answer leaves the object there', async () => {
  s3.proxy.fail({ method: 'PUT', with: 'lost' });
  await expect(put('lost', { IfNoneMatch: '*' })).rejects.toThrow();
  expect(await exists('lost')).toBe(true);
});

test('the third match fails when two may pass', async () => {
  s3.proxy.fail({ path: 'third', method: 'PUT', after: 2, with: 503 });
  await put('third');
  await put('third');
  await expect(put('third')).rejects.toMatchObject(status(503));
});
