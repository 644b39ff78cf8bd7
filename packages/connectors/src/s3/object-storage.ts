import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { awsFailure, isConflict, isMissing, isTaken } from './aws-failure.ts';
import { urlOf } from './location.ts';
import { changed } from './mismatch.ts';
import type { Storage, Stored } from './storage.ts';

type Aws = typeof import('@aws-sdk/client-s3') & { readonly Upload: typeof import('@aws-sdk/lib-storage').Upload };

/** S3 takes 10,000 parts; two at once are 32 MB of memory. */
const partBytes = 16 * 1024 * 1024;
const conflictAttempts = 8;

/** A prefix of a bucket as a `Storage`. The client is the connection's, and is not ended here. */
export function objectStorage(
  aws: Aws,
  client: S3Client,
  place: { readonly bucket: string; readonly prefix: string },
  signal: AbortSignal,
): Storage {
  const url = urlOf({ kind: 's3', ...place });
  const at = (key: string) => ({ Bucket: place.bucket, Key: place.prefix + key });
  const options = { abortSignal: signal };

  /** One request, and what it said when it failed; an abort is the abort's own reason. */
  async function ask<Result>(doing: string, request: () => Promise<Result>): Promise<Result> {
    try {
      return await request();
    } catch (error) {
      signal.throwIfAborted();
      throw awsFailure(error, doing);
    }
  }

  const storage: Storage = {
    url,
    shared: true,
    async *list(prefix, { after } = {}) {
      let token: string | undefined;
      do {
        const page = await ask(`listing ${url}${prefix}`, () =>
          client.send(
            new aws.ListObjectsV2Command({
              Bucket: place.bucket,
              Prefix: place.prefix + prefix,
              ...(after !== undefined && { StartAfter: place.prefix + after }),
              ...(token !== undefined && { ContinuationToken: token }),
            }),
            options,
          ),
        );
        for (const object of page.Contents ?? []) {
          yield {
            key: object.Key!.slice(place.prefix.length),
            size: object.Size ?? 0,
            etag: object.ETag ?? '',
            modified: object.LastModified ?? new Date(0),
          };
        }
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    head: (key) =>
      ask(`looking at ${url}${key}`, async () => {
        try {
          const found = await client.send(new aws.HeadObjectCommand(at(key)), options);
          return { key, size: found.ContentLength ?? 0, etag: found.ETag ?? '', modified: found.LastModified ?? new Date(0) };
        } catch (error) {
          if (isMissing(error)) return null;
          throw error;
        }
      }),
    read: (key) =>
      ask(`reading ${url}${key}`, async () => {
        try {
          const found = await client.send(new aws.GetObjectCommand(at(key)), options);
          return Buffer.from(await found.Body!.transformToByteArray());
        } catch (error) {
          if (isMissing(error)) return null;
          throw error;
        }
      }),
    async fetch(object, path) {
      await ask(`reading ${url}${object.key}`, async () => {
        try {
          const found = await client.send(new aws.GetObjectCommand({ ...at(object.key), IfMatch: object.etag }), options);
          await pipeline(found.Body as Readable, createWriteStream(path), { signal });
        } catch (error) {
          if (isMissing(error) || isTaken(error)) throw changed(url + object.key, isMissing(error));
          throw error;
        }
      });
      const { size } = await stat(path);
      if (size !== object.size)
        throw awsFailure({ name: 'Error', code: 'ECUT', message: 'the answer ended early' }, `reading ${url}${object.key}`);
      return path;
    },
    async write(key, body) {
      await ask(`writing ${url}${key}`, () =>
        client.send(new aws.PutObjectCommand({ ...at(key), Body: body, ContentType: 'application/json' }), options),
      );
    },
    async create(key, body) {
      for (let attempt = 1; ; attempt++) {
        const answer = await ask(`creating ${url}${key}`, async () => {
          try {
            await client.send(
              new aws.PutObjectCommand({ ...at(key), Body: body, ContentType: 'application/json', IfNoneMatch: '*' }),
              options,
            );
            return 'created';
          } catch (error) {
            if (isTaken(error)) return 'taken';
            if (isConflict(error) && attempt < conflictAttempts) return 'conflict';
            throw error;
          }
        });
        if (answer !== 'conflict') return answer === 'created';
        await sleep(Math.random() * 50 * 2 ** attempt, undefined, { signal });
      }
    },
    async upload(key, path) {
      const { size } = await stat(path);
      const stored = await ask(`writing ${url}${key}`, async () => {
        const upload = new aws.Upload({
          client,
          params: { ...at(key), Body: createReadStream(path, { highWaterMark: 1024 * 1024 }) },
          partSize: Math.max(partBytes, Math.ceil(size / 9_000)),
          queueSize: 2,
        });
        const abort = () => void upload.abort();
        signal.addEventListener('abort', abort, { once: true });
        try {
          return await upload.done();
        } finally {
          signal.removeEventListener('abort', abort);
        }
      });
      return { key, size, etag: stored.ETag ?? '', modified: new Date() } satisfies Stored;
    },
    async delete(keys) {
      for (let from = 0; from < keys.length; from += 1_000) {
        const Objects = keys.slice(from, from + 1_000).map((key) => ({ Key: place.prefix + key }));
        const answer = await ask(`deleting under ${url}`, () =>
          client.send(new aws.DeleteObjectsCommand({ Bucket: place.bucket, Delete: { Objects, Quiet: true } }), options),
        );
        const failed = answer.Errors?.[0];
        if (failed) throw awsFailure({ name: failed.Code ?? 'Error', message: failed.Message ?? '' }, `deleting under ${url}`);
      }
    },
    async sweep(before) {
      const page = await ask(`listing uploads under ${url}`, () =>
        client.send(new aws.ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: place.prefix }), options),
      );
      for (const upload of page.Uploads ?? []) {
        if (!upload.Initiated || upload.Initiated >= before) continue;
        await ask('ending an upload', () =>
          client.send(new aws.AbortMultipartUploadCommand({ Bucket: place.bucket, Key: upload.Key!, UploadId: upload.UploadId! }), options),
        );
      }
    },
    async [Symbol.asyncDispose]() {},
  };
  return storage;
}
