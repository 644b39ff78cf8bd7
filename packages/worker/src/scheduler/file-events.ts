import type { ScheduleStore } from '@millrace/core/runtime';
import { type FileStore, type FoundFile, fileTick } from './found-file.ts';
import type { TriggerSource } from './trigger-source.ts';

/** A queue that tells of new objects, such as SQS. A message that is not `done` comes again. */
export interface EventQueue {
  /** Waits for messages for some seconds; none is an empty answer. */
  receive(signal: AbortSignal): Promise<readonly QueueMessage[]>;
}

export interface QueueMessage {
  readonly body: string;
  done(): Promise<void>;
}

export interface FileEventsOptions {
  readonly store: ScheduleStore;
  readonly queue: EventQueue;
  readonly files: Pick<FileStore, 'matches'>;
  /** Which pipelines wait for which files. */
  readonly patterns: readonly { readonly pipeline: string; readonly pattern: string }[];
  readonly onError?: (error: unknown) => void;
}

/**
 * `onFiles()` by S3's own events, sent to a queue directly or by EventBridge. They come when an object is whole, so nothing is waited
 * for; an object that is told of twice, or that a listing has found as well, counts once. A message is done when its ticks are stored.
 */
export function fileEvents({ store, queue, files, patterns, onError }: FileEventsOptions): TriggerSource {
  return {
    name: 'events of new files',
    everyMs: 0,
    async look(signal) {
      for (const message of await queue.receive(signal)) {
        for (const file of filesIn(message.body, onError))
          for (const { pipeline, pattern } of patterns)
            if (files.matches(pattern, file.url)) await store.offer(pipeline, [fileTick(file, 'waiting')]);
        await message.done();
      }
      return null;
    },
  };
}

interface S3Object {
  readonly key?: string;
  readonly eTag?: string;
  readonly etag?: string;
}

interface S3Record {
  readonly eventName?: string;
  readonly s3?: { readonly bucket?: { readonly name?: string }; readonly object?: S3Object };
}

interface EventBody {
  readonly Records?: readonly S3Record[];
  /** EventBridge: keys are as they are. */
  readonly 'detail-type'?: string;
  readonly detail?: { readonly bucket?: { readonly name?: string }; readonly object?: S3Object };
  /** A topic of SNS in between. */
  readonly Message?: string;
}

/** The new objects that a message tells of; none for a test event, a deletion, or what is none of S3's. */
export function filesIn(body: string, onError: (error: unknown) => void = () => {}): FoundFile[] {
  let event: EventBody | null;
  try {
    event = JSON.parse(body) as EventBody | null;
  } catch (error) {
    onError(error);
    return [];
  }
  if (typeof event !== 'object' || event === null) return [];
  if (typeof event.Message === 'string') return filesIn(event.Message, onError);
  const found: (FoundFile | undefined)[] = [];
  // In S3's own notifications keys are encoded as in a form: a space is "+".
  for (const { eventName, s3 } of Array.isArray(event.Records) ? (event.Records as S3Record[]) : [])
    if (eventName?.startsWith('ObjectCreated'))
      found.push(fileOf(s3?.bucket?.name, s3?.object, (key) => decodeURIComponent(key.replaceAll('+', ' '))));
  if (event['detail-type'] === 'Object Created') found.push(fileOf(event.detail?.bucket?.name, event.detail?.object, (key) => key));
  return found.filter((file) => file !== undefined);
}

function fileOf(bucket: string | undefined, object: S3Object | undefined, decoded: (key: string) => string): FoundFile | undefined {
  const etag = object?.eTag ?? object?.etag;
  if (bucket === undefined || object?.key === undefined || etag === undefined) return undefined;
  return { url: `s3://${bucket}/${decoded(object.key)}`, etag };
}
